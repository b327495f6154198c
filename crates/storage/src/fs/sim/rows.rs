//! The rows of the simulated key-value store.

use std::collections::btree_map::Range;
use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, MetaMap, RowKey, SimFs};
use crate::meta::{MetaWrite, Pair, Pairs, TreeId};

impl SimFs {
    pub(crate) fn meta_get(
        &self,
        dir: &Path,
        tree: TreeId,
        key: &[u8],
    ) -> io::Result<Option<Vec<u8>>> {
        let mut disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let key = (dir.to_owned(), tree, key.to_vec());
        let found = disk.meta.get(&key).cloned();
        disk.note_row(found.as_ref());
        Ok(found)
    }

    pub(crate) fn meta_first(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
    ) -> io::Result<Option<Pair>> {
        self.meta_one_of(dir, tree, from, to, |mut rows| rows.next())
    }

    pub(crate) fn meta_last(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
    ) -> io::Result<Option<Pair>> {
        self.meta_one_of(dir, tree, from, to, |mut rows| rows.next_back())
    }

    fn meta_one_of(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
        one: impl for<'a> FnOnce(Range<'a, RowKey, Vec<u8>>) -> Option<(&'a RowKey, &'a Vec<u8>)>,
    ) -> io::Result<Option<Pair>> {
        let mut disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let key = |key: &[u8]| (dir.to_owned(), tree, key.to_vec());
        let found = one(disk.meta.range(key(from)..key(to)));
        let found = found.map(|((_, _, k), v)| (k.clone(), v.clone()));
        disk.note_row(found.as_ref().map(|(_, v)| v));
        Ok(found)
    }

    pub(crate) fn meta_scan(&self, dir: &Path, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        Ok(disk
            .meta
            .range((dir.to_owned(), tree, prefix.to_vec())..)
            .take_while(|((d, t, k), _)| d == dir && *t == tree && k.starts_with(prefix))
            .map(|((_, _, k), v)| (k.clone(), v.clone()))
            .collect())
    }

    pub(crate) fn meta_trees(&self, dir: &Path) -> io::Result<Vec<TreeId>> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let mut trees: Vec<TreeId> = disk
            .meta
            .keys()
            .filter(|(d, _, _)| d == dir)
            .map(|(_, tree, _)| *tree)
            .collect();
        trees.dedup();
        Ok(trees)
    }

    pub(crate) fn meta_write(&self, dir: &Path, writes: &[MetaWrite]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        for write in writes {
            let generation = disk.generation;
            let crashing = disk.tick(generation)?;
            apply(&mut disk.meta, dir, write);
            disk.stats.rows_written += 1;
            disk.stats.row_bytes_written += write.len();
            disk.pending_meta.push((dir.to_owned(), write.clone()));
            Disk::changed(crashing)?;
        }
        Ok(())
    }

    pub(super) fn write_rows_again(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        disk.sync_tick(generation)?;
        let disk = &mut *disk;
        disk.pending_meta.retain(|(of, _)| of != dir);
        disk.durable_meta.retain(|(of, _, _), _| of != dir);
        let rows = disk.meta.iter().filter(|((of, _, _), _)| of == dir);
        disk.durable_meta
            .extend(rows.map(|(key, value)| (key.clone(), value.clone())));
        Ok(())
    }

    pub(crate) fn meta_sync(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        if let Err(e) = disk.sync_tick(generation) {
            if std::mem::take(&mut disk.cleans_failed) {
                disk.pending_meta.retain(|(of, _)| of != dir);
            }
            return Err(e);
        }
        let (synced, others) = std::mem::take(&mut disk.pending_meta)
            .into_iter()
            .partition(|(of, _)| of == dir);
        disk.pending_meta = others;
        let synced: Vec<(PathBuf, MetaWrite)> = synced;
        for (dir, write) in synced {
            apply(&mut disk.durable_meta, &dir, &write);
        }
        Ok(())
    }
}

pub(super) fn apply(map: &mut MetaMap, dir: &Path, write: &MetaWrite) {
    let key = (dir.to_owned(), write.tree, write.key.clone());
    match &write.value {
        Some(v) => map.insert(key, v.clone()),
        None => map.remove(&key),
    };
}
