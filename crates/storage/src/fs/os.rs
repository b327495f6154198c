//! The operating system's file system.

use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::FlockOperation;

use super::{DirEntry, File, Fs, LockError, OpenMode};
use crate::meta::{MetaStore, SledMeta};

/// The operating system's file system, with sled for the catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFs;

#[derive(Debug)]
struct OsFile(fs::File);

/// Syncs that wait at the same time, where there are many.
const SYNCING_THREADS: usize = 8;
/// Linux takes at most 1024 buffers a call (`UIO_MAXIOV`).
const MAX_BUFFERS: usize = 1024;

impl File for OsFile {
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, position) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_at(&self, mut position: u64, bufs: &[&[u8]]) -> io::Result<()> {
        if let [one] = bufs {
            return self.0.write_all_at(one, position);
        }
        for bufs in bufs.chunks(MAX_BUFFERS) {
            let mut slices: Vec<IoSlice<'_>> = bufs.iter().map(|b| IoSlice::new(b)).collect();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match pwritev(&self.0, rest, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => {
                        position += n as u64;
                        IoSlice::advance_slices(&mut rest, n);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data().map_err(|e| match e.kind() {
            // Too late for "no room, try again": the pages that did not fit may be gone, and a second sync would not say so.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                io::Error::other(format!("a sync failed: {e}"))
            }
            _ => e,
        })
    }

    fn start_sync(&self, position: u64, len: u64) {
        // What is not started the sync does itself.
        let _ = ottla_writeback::start(&self.0, position, len);
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn os_file(&self) -> Option<&fs::File> {
        Some(&self.0)
    }
}

#[cfg(not(target_os = "macos"))]
fn pwritev(file: &fs::File, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, bufs, position)?)
}

/// macOS has pwritev since version 11 only, and rustix does not offer it: one buffer at a time.
#[cfg(target_os = "macos")]
fn pwritev(file: &fs::File, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    file.write_at(&bufs[0], position)
}

impl Fs for OsFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Truncate => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    /// File systems write down many syncs that wait together at once: ext4 in one transaction of its journal.
    fn sync_all(&self, files: &[Arc<dyn File>], directories: &[PathBuf]) -> io::Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                match (
                    directories.get(at),
                    files.get(at.wrapping_sub(directories.len())),
                ) {
                    (Some(dir), _) => self.sync_dir(dir)?,
                    (None, Some(file)) => file.sync_data()?,
                    (None, None) => return Ok(()),
                }
            }
        };
        let helpers = (files.len() + directories.len())
            .min(SYNCING_THREADS)
            .saturating_sub(1);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let results = threads.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => Err(io::Error::other("a thread that syncs panicked")),
            });
            // This thread works as well, and then waits for all of them.
            let own = work();
            results.fold(own, |all, one| all.and(one))
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                Ok(DirEntry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_dir: entry.file_type()?.is_dir(),
                })
            })
            .collect()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// One call for all of the file system: a sync of each of a thousand directories takes a hundred times as long.
    #[cfg(target_os = "linux")]
    fn sync_tree(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(dir)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_tree(&self, dir: &Path) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => self.sync_tree(&entry.path())?,
                false => fs::File::open(entry.path())?.sync_all()?,
            }
        }
        self.sync_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::Io)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Only for the message: without it the message says less.
                let _ = file.read_to_string(&mut pid);
                return Err(LockError::Held(pid.trim().parse().ok()));
            }
            Err(e) => return Err(LockError::Io(e.into())),
        }
        // For the message above; on a full disk it says less. The lock holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Box::new(file))
    }

    fn write_meta_again(&self, dir: &Path) -> io::Result<()> {
        crate::meta::write_sled_again(dir)
    }

    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>> {
        Ok(Box::new(SledMeta::open(dir)?))
    }
}
