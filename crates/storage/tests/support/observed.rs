//! The operating system's files, counted, bounded and held up.
#![allow(dead_code, clippy::unwrap_used)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use ottla_storage::fs::{DirEntry, File, Fs, LockError, OpenMode, OsFs};
use ottla_storage::meta::MetaStore;

#[derive(Debug)]
struct Shared {
    /// Bytes that all files but those of the catalogue may have together.
    limit: AtomicU64,
    used: AtomicU64,
    operations: AtomicU64,
    bytes_read: AtomicU64,
    /// How often somebody waited for the device: files that are synced together count once.
    syncs: AtomicU64,
    /// Bytes that the device was asked to begin with.
    started: AtomicU64,
    /// What the directories of segments end in whose syncs wait.
    held: Mutex<Option<PathBuf>>,
    /// How many of those there are.
    waiting: AtomicU64,
    /// Syncs of segments fail.
    failing: AtomicBool,
    released: Condvar,
}

/// [`OsFs`] with a budget, and counters.
#[derive(Clone)]
pub struct ObservedFs(Arc<Shared>);

impl Default for ObservedFs {
    fn default() -> Self {
        ObservedFs(Arc::new(Shared {
            limit: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            started: AtomicU64::new(0),
            held: Mutex::default(),
            waiting: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            released: Condvar::new(),
        }))
    }
}

impl ObservedFs {
    pub fn limit(&self, bytes: u64) {
        self.0.limit.store(bytes, Ordering::SeqCst);
    }
    pub fn operations(&self) -> u64 {
        self.0.operations.load(Ordering::SeqCst)
    }
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.load(Ordering::SeqCst)
    }
    /// Bytes that all files but those of the catalogue have together, of what was written.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::SeqCst)
    }
    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }
    pub fn started(&self) -> u64 {
        self.0.started.load(Ordering::SeqCst)
    }
    /// From now on whoever syncs a segment waits for the end of what this returns.
    pub fn hold_segments(&self) -> HeldSegments<'_> {
        self.hold_segments_of("")
    }
    /// The same of segments in directories that end in this path.
    pub fn hold_segments_of(&self, directory: &str) -> HeldSegments<'_> {
        *self.0.held.lock().unwrap() = Some(directory.into());
        HeldSegments(self)
    }
    /// How many wait for that.
    pub fn waiting(&self) -> u64 {
        self.0.waiting.load(Ordering::SeqCst)
    }
    /// From now on syncs of segments fail, those included that are held.
    pub fn fail_segments(&self) {
        self.0.failing.store(true, Ordering::SeqCst);
    }
    fn count(&self) {
        self.0.operations.fetch_add(1, Ordering::SeqCst);
    }
    fn free(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// Syncs of segments wait until this is dropped: also when a test fails, or its store would never close.
pub struct HeldSegments<'a>(&'a ObservedFs);

impl Drop for HeldSegments<'_> {
    fn drop(&mut self) {
        let shared = &self.0.0;
        *shared.held.lock().unwrap() = None;
        shared.released.notify_all();
    }
}

fn len_of(path: &Path) -> u64 {
    let Ok(meta) = std::fs::metadata(path) else {
        return 0;
    };
    if meta.is_file() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|e| len_of(&e.path())).sum()
}

#[derive(Debug)]
struct ObservedFile {
    /// Of a segment: the directory it is in.
    segments: Option<PathBuf>,
    inner: Arc<dyn File>,
    shared: Arc<Shared>,
}

impl File for ObservedFile {
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.shared.operations.fetch_add(1, Ordering::SeqCst);
        let n = self.inner.read_at(position, buf)?;
        self.shared.bytes_read.fetch_add(n as u64, Ordering::SeqCst);
        Ok(n)
    }
    fn write_at(&self, position: u64, bufs: &[&[u8]]) -> io::Result<()> {
        self.shared.operations.fetch_add(1, Ordering::SeqCst);
        let end = position + bufs.iter().map(|b| b.len() as u64).sum::<u64>();
        let grown = end.saturating_sub(self.inner.len()?);
        let limit = self.shared.limit.load(Ordering::SeqCst);
        let used = self.shared.used.load(Ordering::SeqCst);
        if used + grown > limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.shared.used.fetch_add(grown, Ordering::SeqCst);
        self.inner.write_at(position, bufs)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.shared.syncs.fetch_add(1, Ordering::SeqCst);
        self.shared.operations.fetch_add(1, Ordering::SeqCst);
        if let Some(directory) = &self.segments {
            let held = self.shared.held.lock().unwrap();
            let is_held = |held: &mut Option<PathBuf>| {
                held.as_ref().is_some_and(|held| directory.ends_with(held))
            };
            self.shared.waiting.fetch_add(1, Ordering::SeqCst);
            drop(self.shared.released.wait_while(held, is_held).unwrap());
            self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
            if self.shared.failing.load(Ordering::SeqCst) {
                return Err(io::Error::other("the device does not take it"));
            }
        }
        self.inner.sync_data()
    }
    fn start_sync(&self, position: u64, len: u64) {
        self.shared.started.fetch_add(len, Ordering::SeqCst);
        self.inner.start_sync(position, len);
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.inner.len()?;
        self.inner.set_len(len)?;
        self.shared
            .used
            .fetch_add(len.saturating_sub(before), Ordering::SeqCst);
        self.shared
            .used
            .fetch_sub(before.saturating_sub(len), Ordering::SeqCst);
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn os_file(&self) -> Option<&std::fs::File> {
        self.inner.os_file()
    }
}

impl Fs for ObservedFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.count();
        let before = if mode == OpenMode::Truncate {
            len_of(path)
        } else {
            0
        };
        let inner = OsFs.open(path, mode)?;
        self.free(before);
        let is_segment = path.extension().is_some_and(|e| e == "log");
        Ok(Arc::new(ObservedFile {
            segments: path.parent().filter(|_| is_segment).map(Path::to_owned),
            inner,
            shared: self.0.clone(),
        }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.count();
        OsFs.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.count();
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        OsFs.sync_dir(path)
    }
    fn sync_all(&self, files: &[Arc<dyn File>], directories: &[PathBuf]) -> io::Result<()> {
        let before = self.syncs();
        directories.iter().try_for_each(|dir| self.sync_dir(dir))?;
        files.iter().try_for_each(|file| file.sync_data())?;
        if self.syncs() > before {
            self.0.syncs.store(before + 1, Ordering::SeqCst);
        }
        Ok(())
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.count();
        OsFs.read_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.count();
        OsFs.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count();
        OsFs.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count();
        OsFs.hard_link(from, to)
    }
    fn sync_tree(&self, dir: &Path) -> io::Result<()> {
        self.count();
        OsFs.sync_tree(dir)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.count();
        let len = len_of(path);
        OsFs.remove_file(path)?;
        self.free(len);
        Ok(())
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.count();
        let len = len_of(path);
        OsFs.remove_dir_all(path)?;
        self.free(len);
        Ok(())
    }
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let limit = self.0.limit.load(Ordering::SeqCst);
        let left = limit.saturating_sub(self.0.used.load(Ordering::SeqCst));
        Ok(left.min(OsFs.available_bytes(path)?))
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        OsFs.lock(path)
    }
    fn write_meta_again(&self, dir: &Path) -> io::Result<()> {
        OsFs.write_meta_again(dir)
    }

    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>> {
        OsFs.open_meta(dir)
    }
}
