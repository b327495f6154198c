//! All file access of this crate goes through [`Fs`], so that tests can lose what was not synced, tear writes, fill the disk and fail a sync.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::meta::MetaStore;

mod cache;
mod os;
pub mod sim;

pub(crate) use cache::FileCache;
pub use os::OsFs;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// For reading and writing; made if missing, emptied if not.
    Truncate,
}

/// An open file. Positions are absolute: there is no cursor, so that threads may share one.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `position`; 0 at the end.
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bufs`, one after the other, at `position`.
    fn write_at(&self, position: u64, bufs: &[&[u8]]) -> io::Result<()>;
    /// Makes what was written durable, the length included (fdatasync). An error is final: the pages may be gone.
    fn sync_data(&self) -> io::Result<()>;
    /// Has the device begin with `len` bytes that were written at `position`, so that the next sync has less to wait for. Promises nothing.
    fn start_sync(&self, _position: u64, _len: u64) {}
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// The operating system's file, for sendfile; `None` if this is not one.
    fn os_file(&self) -> Option<&std::fs::File>;
}

impl dyn File + '_ {
    /// Reads exactly `buf.len()` bytes at `position`.
    pub(crate) fn read_exact_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(position + done as u64, &mut buf[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Why a directory could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it; its id if the lock file says so.
    Held(Option<u32>),
    /// The lock file cannot be made or locked.
    Io(io::Error),
}

/// The file system as the store needs it.
pub trait Fs: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Makes a directory and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes what was written to `files` durable, and the names in `directories`. All at the same time, if that is faster; an error is
    /// one of those that there were.
    fn sync_all(&self, files: &[Arc<dyn File>], directories: &[PathBuf]) -> io::Result<()> {
        directories.iter().try_for_each(|dir| self.sync_dir(dir))?;
        files.iter().try_for_each(|file| file.sync_data())
    }
    /// What a directory holds, in no particular order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether there is such a file or directory.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Renames a file or directory, over an existing file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name on the same file system.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes all that is below a directory durable: files, and the names of files and directories.
    fn sync_tree(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Bytes that can still be written on the file system of `path`.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock that ends with the returned value or the process.
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError>;
    /// Has the device hold what can be read of the catalogue's key-value store in `dir`, if there is one, whatever became of syncs before. Nobody may have
    /// it open.
    fn write_meta_again(&self, dir: &Path) -> io::Result<()>;
    /// Opens the catalogue's key-value store in `dir`.
    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>>;
}

impl dyn Fs + '_ {
    /// The length of a file in bytes.
    pub(crate) fn len_of(&self, path: &Path) -> io::Result<u64> {
        self.open(path, OpenMode::Read)?.len()
    }
}

/// Whether an error says that the disk (or a quota) is full.
pub(crate) fn is_disk_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
