//! The write-ahead journal: files of fixed size, written zeros at first, recycled after a checkpoint, so that a sync
//! writes no file metadata. Only the writer thread has it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{File, Fs, OpenMode, is_disk_full};

pub(crate) mod format;
mod replay;

pub(crate) use replay::{Replay, ReplayError, replay};

use format::{FileHeader, HEADER_LEN, VERSION};

/// Journal files double in size from the first to this.
const MAX_FILE_LEN: u64 = 32 << 20;
/// The first file: small, since most development brokers never need more.
pub(crate) const MIN_FILE_LEN: u64 = 1 << 20;
/// Files kept for reuse when more than needed were written between two checkpoints.
const MAX_SPARES: usize = 2;

struct JournalFile {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    /// The last record of the file before it.
    after_seq: u64,
    id: u64,
}

pub(crate) struct Journal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    min_len: u64,
    current: JournalFile,
    position: u64,
    last_seq: u64,
    /// Full files that a recovery still needs, oldest first.
    full: VecDeque<JournalFile>,
    spares: Vec<(PathBuf, Arc<dyn File>, u64)>,
    next_slot: u64,
}

pub(crate) fn slot_path(dir: &Path, slot: u64) -> PathBuf {
    dir.join(format!("{slot:016}.wal"))
}

impl Journal {
    /// A journal that goes on after `found.last_seq` in a fresh file. A checkpoint stands there already, so all older files are free.
    pub fn start(fs: Arc<dyn Fs>, dir: &Path, found: Replay, min_len: u64) -> io::Result<Journal> {
        let mut spares = Vec::new();
        for path in found.spares {
            let file = fs.open(&path, OpenMode::Write)?;
            let len = file.len()?;
            spares.push((path, file, len));
        }
        for path in &found.stale {
            fs.remove_file(path)?;
        }
        // Also the names of the spares: a process that was killed may have made one without a sync, and a power cut would take it
        // with all the records that it has got since.
        if !found.stale.is_empty() || !spares.is_empty() {
            fs.sync_dir(dir)?;
        }
        let mut next_slot = found.next_slot;
        let current = JournalFile::create(
            &*fs,
            dir,
            &mut next_slot,
            spares.pop(),
            min_len,
            FileHeader {
                version: VERSION,
                id: found.max_id + 1,
                after_seq: found.last_seq,
            },
        )?;
        Ok(Journal {
            fs,
            dir: dir.to_owned(),
            min_len,
            current,
            position: HEADER_LEN,
            last_seq: found.last_seq,
            full: VecDeque::new(),
            spares,
            next_slot,
        })
    }

    /// Makes room for `len` bytes of records, in a new file if need be. `released`: records up to it are no longer needed.
    /// Returns the file's id, with which the records must be encoded.
    pub fn reserve(&mut self, len: usize, released: u64) -> io::Result<u64> {
        if self.position + len as u64 <= self.current.len {
            return Ok(self.current.id);
        }
        self.recycle(released)?;
        let wanted = (self.current.len * 2)
            .clamp(self.min_len, MAX_FILE_LEN)
            .max(HEADER_LEN + len as u64);
        let spare = self
            .spares
            .iter()
            .position(|(_, _, l)| *l >= HEADER_LEN + len as u64)
            .map(|i| self.spares.remove(i));
        let header = FileHeader {
            version: VERSION,
            id: self.current.id + 1,
            after_seq: self.last_seq,
        };
        let mut create = |spare, len| {
            JournalFile::create(
                &*self.fs,
                &self.dir,
                &mut self.next_slot,
                spare,
                len,
                header,
            )
        };
        let next = match create(spare, wanted) {
            // A smaller one may fit.
            Err(e) if is_disk_full(&e) => create(None, self.min_len.max(HEADER_LEN + len as u64))?,
            other => other?,
        };
        self.full
            .push_back(std::mem::replace(&mut self.current, next));
        self.position = HEADER_LEN;
        Ok(self.current.id)
    }

    /// Removes every file that no recovery needs: the disk is full.
    pub fn give_back(&mut self, released: u64) -> io::Result<()> {
        self.recycle(released)?;
        while let Some((path, _, _)) = self.spares.pop() {
            self.fs.remove_file(&path)?;
        }
        Ok(())
    }

    /// Moves files whose records are all released to the spares.
    fn recycle(&mut self, released: u64) -> io::Result<()> {
        while !self.full.is_empty() {
            let last = self.full.get(1).unwrap_or(&self.current).after_seq;
            if last > released {
                break;
            }
            if let Some(f) = self.full.pop_front() {
                self.spares.push((f.path, f.file, f.len));
            }
        }
        self.spares.sort_by_key(|(_, _, len)| *len);
        while self.spares.len() > MAX_SPARES {
            let (path, _, _) = self.spares.remove(0);
            self.fs.remove_file(&path)?;
        }
        Ok(())
    }

    /// Writes records at the end of the current file, where [`Journal::reserve`] made room.
    /// `last_seq` is the last of them.
    pub fn write(&mut self, records: &[u8], last_seq: u64) -> io::Result<()> {
        self.current.file.write_at(self.position, &[records])?;
        self.last_seq = last_seq;
        self.position += records.len() as u64;
        Ok(())
    }

    /// Makes the current file durable.
    pub fn sync(&self) -> io::Result<()> {
        self.current.file.sync_data()
    }

    /// The files that hold records which a recovery may need, oldest first.
    pub fn files(&self) -> impl Iterator<Item = Arc<dyn File>> {
        let files = self.full.iter().chain([&self.current]);
        files.map(|f| f.file.clone())
    }
}

impl JournalFile {
    fn create(
        fs: &dyn Fs,
        dir: &Path,
        next_slot: &mut u64,
        spare: Option<(PathBuf, Arc<dyn File>, u64)>,
        len: u64,
        header: FileHeader,
    ) -> io::Result<JournalFile> {
        let (path, file, len) = match spare {
            Some(spare) => spare,
            None => {
                let path = slot_path(dir, *next_slot);
                let file = fs.open(&path, OpenMode::Truncate)?;
                if let Err(e) = fill_with_zeros(&*file, len).and_then(|()| fs.sync_dir(dir)) {
                    // Leaves the space to those who can use it; the error at hand is the one to tell.
                    let _ = fs.remove_file(&path);
                    return Err(e);
                }
                *next_slot += 1;
                (path, file, len)
            }
        };
        file.write_at(0, &[&header.encode()])?;
        // Before the first record, so that a torn record cannot stand in a file of the old id.
        file.sync_data()?;
        Ok(JournalFile {
            path,
            file,
            len,
            after_seq: header.after_seq,
            id: header.id,
        })
    }
}

fn fill_with_zeros(file: &dyn File, len: u64) -> io::Result<()> {
    const BLOCK: usize = 256 << 10;
    let zeros = vec![0; BLOCK.min(len as usize)];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(BLOCK as u64);
        file.write_at(at, &[&zeros[..n as usize]])?;
        at += n;
    }
    file.sync_data()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::fs::sim::SimFs;
    use format::JournalOp;

    const LEN: u64 = 2 * HEADER_LEN;

    /// What the journal holds, by commit.
    fn read(fs: &SimFs, dir: &Path) -> (Replay, Vec<u64>) {
        let mut seen = Vec::new();
        let found = replay(fs, dir, 0, u64::MAX, |seq, _| {
            seen.push(seq);
            Ok(true)
        });
        (found.unwrap(), seen)
    }

    #[test]
    fn a_file_that_a_killed_process_made_without_syncing_its_name_is_there_after_a_power_cut() {
        let dir = Path::new("/journal");
        for seed in 0..20 {
            let fs = SimFs::new(seed);
            fs.create_dir_all(dir).unwrap();
            fs.sync_dir(dir).unwrap();
            let made = fs.open(&slot_path(dir, 1), OpenMode::Truncate).unwrap();
            fill_with_zeros(&*made, LEN).unwrap();
            fs.kill();

            let (found, _) = read(&fs, dir);
            let mut journal = Journal::start(Arc::new(fs.clone()), dir, found, LEN).unwrap();
            let ops = [JournalOp::Meta {
                tree: 1,
                key: Bytes::from_static(b"k"),
                value: None,
            }];
            let id = journal.reserve(format::record_len(&ops), 0).unwrap();
            let mut record = Vec::new();
            format::encode_record(&mut record, id, 1, &ops);
            journal.write(&record, 1).unwrap();
            journal.sync().unwrap();
            fs.crash();

            assert_eq!(read(&fs, dir).1, [1], "seed {seed}");
        }
    }
}
