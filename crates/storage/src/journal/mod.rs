//! The write-ahead journal: files of fixed size, written zeros at first, recycled after a checkpoint, so that a sync
//! writes no file metadata. Only the writer thread has it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{File, Fs, OpenMode, is_disk_full};

mod damage;
pub(crate) mod format;
mod next;
mod notes;
mod replay;
#[cfg(test)]
mod simulation;

pub(crate) use damage::JournalDamage;
pub(crate) use next::NextFile;
pub(crate) use replay::{Replay, ReplayError, replay};

use format::{FileHeader, HEADER_LEN, VERSION};
use next::Spare;
use notes::{Beginning, Next};

/// Journal files double in size from the first to this.
const MAX_FILE_LEN: u64 = 32 << 20;
/// The first file: small, since most development brokers never need more.
pub(crate) const MIN_FILE_LEN: u64 = 1 << 20;
/// Ids left out when a file has no header: if it is damaged, records of a later id may be behind it, and must not pass for new ones.
const SKIPPED_IDS: u64 = 1 << 32;
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
    /// The last record that a sync has made durable: behind `last_seq` for good when one has failed.
    synced_seq: u64,
    /// Full files that a recovery still needs, oldest first.
    full: VecDeque<JournalFile>,
    spares: Vec<Spare>,
    next: Arc<NextFile>,
    /// The next file was asked for: once for each, since one that cannot be made would be tried again and again.
    asked: bool,
    next_slot: u64,
    /// Whether each group is synced before the next is written.
    synced: bool,
}

pub(crate) fn slot_path(dir: &Path, slot: u64) -> PathBuf {
    dir.join(format!("{slot:016}.wal"))
}

/// The path of the next new file.
fn next_path(dir: &Path, next_slot: &mut u64) -> PathBuf {
    let path = slot_path(dir, *next_slot);
    *next_slot += 1;
    path
}

fn header(id: u64, after_seq: u64) -> FileHeader {
    FileHeader {
        version: VERSION,
        id,
        after_seq,
    }
}

impl Journal {
    /// A journal that goes on after `found.last_seq` in a fresh file. A checkpoint stands there already, so all older files are free.
    /// Later files may be made through `next`, by another thread. `synced`: each group will be synced before the next is written.
    pub fn start(
        fs: Arc<dyn Fs>,
        dir: &Path,
        mut found: Replay,
        min_len: u64,
        next: Arc<NextFile>,
        synced: bool,
    ) -> io::Result<Journal> {
        let mut spares = Vec::new();
        for path in found.spares {
            let file = fs.open(&path, OpenMode::Write)?;
            let len = file.len()?;
            // A crash came into its making. It would grow by what is written to it, and be taken for a damaged one where that is lost.
            match len < min_len {
                true => found.stale.push(path),
                false => spares.push(Spare { path, file, len }),
            }
        }
        // Also the names of the spares: a process that was killed may have made one without a sync, and a power cut would take it
        // with all the records that it has got since.
        if !found.stale.is_empty() || !spares.is_empty() {
            fs.sync_dir(dir)?;
        }
        let mut next_slot = found.next_slot;
        // The last one: all others that have a header say that a later file follows, so that a start misses the one that is made here.
        let skipped = if found.headless { SKIPPED_IDS } else { 0 };
        let current = JournalFile::create(
            &*fs,
            dir,
            &mut next_slot,
            spares.pop(),
            min_len,
            Beginning {
                header: header(found.max_id + 1 + skipped, found.last_seq),
                checkpoint: found.last_seq,
                is_synced: synced,
            },
        )?;
        for path in &found.stale {
            fs.remove_file(path)?;
        }
        if !found.stale.is_empty() {
            fs.sync_dir(dir)?;
        }
        Ok(Journal {
            fs,
            dir: dir.to_owned(),
            min_len,
            current,
            position: HEADER_LEN,
            last_seq: found.last_seq,
            synced_seq: found.last_seq,
            full: VecDeque::new(),
            spares,
            next,
            asked: false,
            next_slot,
            synced,
        })
    }

    /// Makes a journal's first file, in a directory whose catalogue holds all commits up to `position`.
    pub fn make_first(fs: &dyn Fs, dir: &Path, position: u64) -> io::Result<()> {
        let beginning = Beginning {
            header: header(1, position),
            checkpoint: position,
            is_synced: true,
        };
        JournalFile::create(fs, dir, &mut 1, None, MIN_FILE_LEN, beginning)?;
        Ok(())
    }

    /// Makes room for `len` bytes of records, in a new file if need be. `released`: records up to it are no longer needed.
    /// Returns the file's id, with which the records must be encoded.
    pub fn reserve(&mut self, len: usize, released: u64) -> io::Result<u64> {
        if self.position + len as u64 <= self.current.len {
            return Ok(self.current.id);
        }
        self.spares.extend(self.next.take());
        self.recycle(released)?;
        let wanted = self.next_len().max(HEADER_LEN + len as u64);
        let spare = self
            .spares
            .iter()
            .position(|spare| spare.len >= HEADER_LEN + len as u64)
            .map(|i| self.spares.remove(i));
        let beginning = Beginning {
            header: header(self.current.id + 1, self.last_seq),
            checkpoint: released,
            is_synced: self.synced,
        };
        let mut create = |spare, len| {
            JournalFile::create(
                &*self.fs,
                &self.dir,
                &mut self.next_slot,
                spare,
                len,
                beginning,
            )
        };
        let next = match create(spare, wanted) {
            // A smaller one may fit.
            Err(e) if is_disk_full(&e) => create(None, self.min_len.max(HEADER_LEN + len as u64))?,
            other => other?,
        };
        let before = std::mem::replace(&mut self.current, next);
        let (file, id) = (before.file.clone(), before.id);
        self.full.push_back(before);
        self.position = HEADER_LEN;
        self.asked = false;
        // After the change is complete: the next group goes on from here, whatever becomes of the note.
        if self.synced {
            notes::note_end(&*file, id, self.last_seq, Next::File)?;
        }
        Ok(self.current.id)
    }

    /// Asks for the next file once half of this one is written, unless there is one that can be used again. Returns whether
    /// [`NextFile::make`] has something to do.
    pub fn ask_for_next(&mut self, released: u64) -> bool {
        let is_due = self.position > self.current.len / 2 && !self.asked;
        if !is_due || !self.spares.is_empty() || self.is_first_released(released) {
            return false;
        }
        self.asked = true;
        let len = self.next_len();
        self.next
            .ask(|| next_path(&self.dir, &mut self.next_slot), len)
    }

    fn next_len(&self) -> u64 {
        (self.current.len * 2).clamp(self.min_len, MAX_FILE_LEN)
    }

    /// Whether no recovery needs the first of the full files any more.
    fn is_first_released(&self, released: u64) -> bool {
        let last = self.full.get(1).unwrap_or(&self.current).after_seq;
        !self.full.is_empty() && last <= released
    }

    /// Notes that a checkpoint has brought everything up to `seq` into segments and catalogue.
    pub fn note_checkpoint(&self, seq: u64) -> io::Result<()> {
        notes::note_checkpoint(&*self.current.file, self.current.id, seq)
    }

    /// Notes that nothing follows what was written, unless a power cut may still take what comes before the note.
    pub fn close(&self) -> io::Result<()> {
        if !self.synced || self.synced_seq != self.last_seq {
            return Ok(());
        }
        let file = &*self.current.file;
        notes::note_end(file, self.current.id, self.last_seq, Next::Nothing)
    }

    /// Removes every file that no recovery needs: the disk is full.
    pub fn give_back(&mut self, released: u64) -> io::Result<()> {
        self.spares.extend(self.next.take());
        self.recycle(released)?;
        while let Some(spare) = self.spares.pop() {
            self.fs.remove_file(&spare.path)?;
        }
        Ok(())
    }

    /// Moves files whose records are all released to the spares.
    fn recycle(&mut self, released: u64) -> io::Result<()> {
        while self.is_first_released(released)
            && let Some(f) = self.full.pop_front()
        {
            self.spares.push(Spare {
                path: f.path,
                file: f.file,
                len: f.len,
            });
        }
        self.spares.sort_by_key(|spare| spare.len);
        while self.spares.len() > MAX_SPARES {
            let spare = self.spares.remove(0);
            self.fs.remove_file(&spare.path)?;
        }
        Ok(())
    }

    /// The number of the last record.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
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
    pub fn sync(&mut self) -> io::Result<()> {
        self.current.file.sync_data()?;
        self.synced_seq = self.last_seq;
        Ok(())
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
        spare: Option<Spare>,
        len: u64,
        beginning: Beginning,
    ) -> io::Result<JournalFile> {
        let head = beginning.header.encode();
        // The header is synced before the first record, so that a torn record cannot stand in a file of the old id.
        let Spare { path, file, len } = match spare {
            Some(spare) => {
                spare.file.write_at(0, &[&head])?;
                spare.file.sync_data()?;
                spare
            }
            None => Spare::make(fs, next_path(dir, next_slot), len, &head)?,
        };
        notes::begin(&*file, &beginning, len)?;
        Ok(JournalFile {
            path,
            file,
            len,
            after_seq: beginning.header.after_seq,
            id: beginning.header.id,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::fs::sim::SimFs;
    use format::JournalOp;
    use next::fill_with_zeros;

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
            let next = Arc::default();
            let mut journal =
                Journal::start(Arc::new(fs.clone()), dir, found, LEN, next, true).unwrap();
            let ops = [JournalOp::Meta {
                tree: 1,
                key: Bytes::from_static(b"k"),
                value: None,
            }];
            let id = journal.reserve(format::record_len(&ops), 0).unwrap();
            let mut record = Vec::new();
            format::encode_record(&mut record, id, 1, &ops, None);
            journal.write(&record, 1).unwrap();
            journal.sync().unwrap();
            fs.crash();

            assert_eq!(read(&fs, dir).1, [1], "seed {seed}");
        }
    }

    #[test]
    fn a_file_whose_making_was_cut_short_is_not_used() {
        let dir = Path::new("/journal");
        for len in [0, HEADER_LEN - 1, LEN - 1] {
            let fs = SimFs::new(1);
            fs.create_dir_all(dir).unwrap();
            let cut_short = slot_path(dir, 1);
            let made = fs.open(&cut_short, OpenMode::Truncate).unwrap();
            fill_with_zeros(&*made, len).unwrap();
            fs.kill();
            let found = read(&fs, dir).0;
            let next = Arc::default();
            let journal =
                Journal::start(Arc::new(fs.clone()), dir, found, LEN, next, true).unwrap();
            assert_eq!(journal.current.len, LEN, "{len}");
            assert!(!fs.exists(&cut_short).unwrap(), "{len}");
        }
    }

    /// Writes one record.
    fn put(journal: &mut Journal, seq: u64, value: usize) {
        let ops = [JournalOp::Meta {
            tree: 1,
            key: Bytes::from_static(b"k"),
            value: Some(vec![7; value].into()),
        }];
        let len = format::record_len(&ops) + format::GROUP_MARK_LEN;
        let id = journal.reserve(len, 0).unwrap();
        let mut record = Vec::new();
        format::encode_record(&mut record, id, seq, &ops, Some(seq));
        journal.write(&record, seq).unwrap();
        journal.sync().unwrap();
    }

    #[test]
    fn an_end_that_a_failed_sync_may_have_lost_is_not_noted() {
        let dir = Path::new("/journal");
        for seed in 0..20 {
            let fs = SimFs::new(seed);
            fs.create_dir_all(dir).unwrap();
            fs.sync_dir(dir).unwrap();
            let found = read(&fs, dir).0;
            let next = Arc::default();
            let mut journal =
                Journal::start(Arc::new(fs.clone()), dir, found, LEN, next, true).unwrap();
            put(&mut journal, 1, 10);
            let ops = [JournalOp::Meta {
                tree: 1,
                key: Bytes::from_static(b"k"),
                value: None,
            }];
            let mut record = Vec::new();
            format::encode_record(&mut record, journal.current.id, 2, &ops, Some(2));
            journal.write(&record, 2).unwrap();
            fs.fail_next_sync();
            journal.sync().unwrap_err();
            journal.close().unwrap();
            fs.crash();
            let (found, seen) = read(&fs, dir);
            assert_eq!(found.damage, None, "seed {seed}");
            assert!(seen.starts_with(&[1]), "seed {seed}");
        }
    }

    #[test]
    fn a_file_with_a_damaged_header_gives_its_records_to_no_later_life() {
        let dir = Path::new("/journal");
        let fs = SimFs::new(1);
        fs.create_dir_all(dir).unwrap();
        let open = |found| {
            let next = Arc::default();
            Journal::start(Arc::new(fs.clone()), dir, found, 4 * LEN, next, true).unwrap()
        };
        let mut journal = open(read(&fs, dir).0);
        for seq in 1..=9 {
            put(&mut journal, seq, 100);
        }
        drop(journal);
        fs.flip_bit(&slot_path(dir, 1), 20);
        let mut journal = open(read(&fs, dir).0);
        put(&mut journal, 1, 100);
        drop(journal);
        let (found, seen) = read(&fs, dir);
        assert_eq!(found.damage, None);
        assert_eq!(seen, [1]);
    }

    /// A journal with files of eight header lengths, whose later ones are made through `next`.
    fn started(fs: &SimFs, dir: &Path, next: &Arc<NextFile>) -> Journal {
        let found = read(fs, dir).0;
        let fs = Arc::new(fs.clone());
        Journal::start(fs, dir, found, 4 * LEN, next.clone(), true).unwrap()
    }

    fn files(fs: &SimFs, dir: &Path) -> usize {
        fs.read_dir(dir).unwrap().len()
    }

    #[test]
    fn a_file_that_was_made_before_is_the_next_and_a_late_one_that_after_it() {
        let dir = Path::new("/journal");
        let fs = SimFs::new(1);
        fs.create_dir_all(dir).unwrap();
        fs.sync_dir(dir).unwrap();
        let next = Arc::new(NextFile::default());
        let mut journal = started(&fs, dir, &next);
        assert!(!journal.ask_for_next(0), "nothing is written yet");

        put(&mut journal, 1, 3 * LEN as usize);
        assert!(journal.ask_for_next(0));
        assert!(!journal.ask_for_next(0), "it is asked for once");
        next.make(&fs);
        assert_eq!(files(&fs, dir), 2);
        put(&mut journal, 2, 3 * LEN as usize);
        assert_eq!(files(&fs, dir), 2, "the writer makes none");
        assert_eq!(journal.current.len, 8 * LEN);

        put(&mut journal, 3, 3 * LEN as usize);
        assert!(journal.ask_for_next(0));
        // Nobody has made it by now, so the writer does; what was asked for is not made any more.
        put(&mut journal, 4, 7 * LEN as usize);
        assert_eq!(files(&fs, dir), 3);
        next.make(&fs);
        assert_eq!(files(&fs, dir), 3);

        fs.crash();
        assert_eq!(read(&fs, dir).1, [1, 2, 3, 4]);
    }

    #[test]
    fn a_file_that_cannot_be_made_leaves_nothing_and_the_writer_tries_by_itself() {
        let dir = Path::new("/journal");
        let fs = SimFs::new(1);
        fs.create_dir_all(dir).unwrap();
        let next = Arc::new(NextFile::default());
        let mut journal = started(&fs, dir, &next);
        put(&mut journal, 1, 3 * LEN as usize);
        assert!(journal.ask_for_next(0));
        fs.set_free(Some(100));
        next.make(&fs);
        assert_eq!(files(&fs, dir), 1);
        fs.set_free(None);
        put(&mut journal, 2, 3 * LEN as usize);
        assert_eq!(read(&fs, dir).1, [1, 2]);
    }
}
