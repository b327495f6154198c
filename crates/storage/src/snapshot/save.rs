//! Taking a snapshot: a cut, a checkpoint of what was cut, links, the rows, and a rename that makes it visible.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use super::{SAVING, SEGMENTS, Snapshot, SnapshotError, link_or_copy, path_of, snapshots_dir};
use crate::checkpoint::{CheckpointError, Taken};
use crate::datadir::FORMAT;
use crate::error::StoreError;
use crate::fs::is_disk_full;
use crate::meta::{self, MetaWrite};
use crate::partition::row::{PartitionRow, parse_partition_key};
use crate::store::{Inner, Store};

impl Store {
    /// Saves all state, as it is at one moment during this call, under `name` in the data directory. `now_ms`: milliseconds since the
    /// epoch. Blocking. Appends and other commits wait while all partitions are noted, not while files are written. Nothing is left of a
    /// snapshot that fails.
    pub fn save_snapshot(&self, name: &str, now_ms: i64) -> Result<Snapshot, SnapshotError> {
        self.inner().save_snapshot(name, now_ms)
    }

    /// The snapshots in the data directory, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, SnapshotError> {
        let core = &self.inner().core;
        super::list(&*core.fs, &core.dir)
    }

    /// Deletes a snapshot in the data directory.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        let core = &self.inner().core;
        super::delete(&*core.fs, &core.dir, name)
    }
}

/// What was true at one moment.
struct Cut {
    taken: Taken,
    /// Changes that the key-value store lacks, or may be about to get in a newer version.
    changes: Vec<MetaWrite>,
    /// The last commit that had failed.
    last_failed: u64,
}

impl Inner {
    fn save_snapshot(&self, name: &str, now_ms: i64) -> Result<Snapshot, SnapshotError> {
        let path = path_of(&self.core.dir, name)?;
        let io = SnapshotError::io(&path);
        // No checkpoint changes the rows meanwhile, and no file is removed.
        let _one = self.checkpointing.lock();
        if self.core.fs.exists(&path).map_err(&io)? {
            return Err(SnapshotError::Exists {
                name: name.to_owned(),
            });
        }
        if let Some(trouble) = self.core.queue.trouble() {
            return Err(trouble.into());
        }
        self.load_active_segments().map_err(&io)?;
        let cut = self.cut(now_ms);
        let last_failed = cut.last_failed;
        if let Err(e) = self.finish_checkpoint(cut.taken) {
            let told = match &e {
                CheckpointError::Store(e) => e.clone().into(),
                CheckpointError::Io(e) if is_disk_full(e) => {
                    SnapshotError::DiskFull { path: path.clone() }
                }
                e => StoreError::Failed(format!("checkpoint: {e}")).into(),
            };
            self.note_trouble("checkpoint", Err(e));
            return Err(told);
        }
        if self.core.queue.progress.last_failed() != last_failed {
            // Something of what was cut was taken back.
            return Err(StoreError::DiskFull.into());
        }
        let fs = &*self.core.fs;
        let saving = path.with_file_name(format!("{name}{SAVING}"));
        let saved = self
            .write_snapshot(&saving, name, now_ms, cut.changes)
            .and_then(|manifest| {
                fs.rename(&saving, &path)?;
                fs.sync_dir(&snapshots_dir(&self.core.dir))?;
                Ok(manifest)
            });
        match saved {
            Ok(manifest) => Ok(Snapshot::new(&path, manifest)),
            Err(e) => {
                // What cannot be removed now is by the next start.
                let _ = fs.remove_dir_all(&saving);
                Err(match e.kind() {
                    io::ErrorKind::InvalidData => {
                        StoreError::Failed(format!("the catalogue is damaged: {e}")).into()
                    }
                    _ => io(e),
                })
            }
        }
    }

    /// Loads partitions that would go on writing to a segment which they have on disk: the cut gives them another one.
    fn load_active_segments(&self) -> io::Result<()> {
        for (key, row) in self.meta.scan(meta::PARTITIONS, b"")? {
            let Some((topic, index)) = parse_partition_key(&key) else {
                continue;
            };
            if self.partitions.read().contains_key(&(topic, index)) {
                continue;
            }
            // One that cannot be read, or loaded, is found when the segments are linked.
            let active = PartitionRow::decode(&row)
                .is_ok_and(|row| row.segments.last().is_some_and(|s| s.size > 0));
            if active {
                self.partition(&topic, index);
            }
        }
        Ok(())
    }

    /// Notes all that is committed or on its way, and starts a new segment wherever there is one with records.
    ///
    /// A commit is made under the lock of the names, of a partition, or of the overlay: with all of them held there is none, and what the
    /// locks guard is what the journal has up to its last commit.
    fn cut(&self, now_ms: i64) -> Cut {
        let names = self.catalog.lock();
        let partitions = self.loaded_partitions();
        let mut logs: Vec<_> = partitions.iter().map(|p| (p, p.lock())).collect();
        let overlay = self.overlay.lock();
        let moment = self.core.moment();
        let since = self.core.since_checkpoint.load(Ordering::Relaxed);
        let last_failed = self.core.queue.progress.last_failed();
        let changes = overlay.gathered(moment.commit);
        drop(overlay);
        for (partition, log) in &mut logs {
            if log.segments.last().is_some_and(|s| s.size > 0) && !partition.is_deleted() {
                let end = log.end;
                log.open_segment(end, now_ms);
                partition.mark_dirty(log);
            }
        }
        let mut dirty: HashSet<u64> = HashSet::new();
        let mut deleted = Vec::new();
        let known: HashSet<u64> = partitions.iter().map(|p| p.uid()).collect();
        for partition in std::mem::take(&mut *self.core.dirty.lock()) {
            match known.contains(&partition.uid()) {
                true => _ = dirty.insert(partition.uid()),
                false => deleted.push(partition),
            }
        }
        let mut captures: Vec<_> = logs
            .iter_mut()
            .filter(|(p, _)| dirty.contains(&p.uid()))
            .map(|(p, log)| p.capture_locked(log))
            .collect();
        let dead = std::mem::take(&mut *self.dead_rows.lock());
        drop(logs);
        drop(names);
        captures.extend(deleted.iter().map(|p| p.capture()));
        Cut {
            taken: Taken {
                moment,
                since,
                captures,
                dead,
            },
            changes,
            last_failed,
        }
    }

    fn write_snapshot(
        &self,
        dir: &Path,
        name: &str,
        now_ms: i64,
        changes: Vec<MetaWrite>,
    ) -> io::Result<Manifest> {
        let fs = &*self.core.fs;
        let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
        if fs.exists(dir)? {
            fs.remove_dir_all(dir)?;
        }
        fs.create_dir_all(&dir.join(SEGMENTS))?;
        let mut catalogue = self.catalogue(changes)?;
        let topics = catalogue.topics().map_err(invalid)?;
        catalogue.forget_deleted(&topics);
        let mut bytes = 0;
        for part in catalogue.segments(&topics).map_err(invalid)? {
            match link_or_copy(fs, &part.file(&self.topics_dir()), &part.link(dir)) {
                Ok(()) => {}
                // Made anew by who needs it.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !part.is_log => {}
                Err(e) => return Err(e),
            }
            if part.is_log {
                bytes += part.len;
            }
        }
        let (catalogue_bytes, catalogue_crc32c) = catalogue.write(fs, dir)?;
        let manifest = Manifest {
            format: FORMAT,
            name: name.to_owned(),
            cluster_id: self.cluster_id.clone(),
            created_ms: now_ms,
            topics: topics.len() as u64,
            partitions: topics.values().map(|t| t.partitions as u64).sum(),
            bytes,
            catalogue_bytes,
            catalogue_crc32c,
        };
        manifest.write(fs, dir)?;
        fs.sync_tree(dir)?;
        fs.sync_dir(&self.core.dir)?;
        Ok(manifest)
    }

    /// All rows as they were at the cut: those of the checkpoint that followed it, and over them what it was cut with.
    fn catalogue(&self, changes: Vec<MetaWrite>) -> io::Result<Catalogue> {
        let mut rows = BTreeMap::new();
        for tree in self.meta.trees()? {
            for (key, value) in self.meta.scan(tree, b"")? {
                rows.insert((tree, key), value);
            }
        }
        for MetaWrite { tree, key, value } in changes {
            match value {
                Some(value) => rows.insert((tree, key), value),
                None => rows.remove(&(tree, key)),
            };
        }
        Ok(Catalogue { rows })
    }
}
