//! Snapshots: all state of a store at one point in time, taken while it runs. docs/STORAGE_FORMAT.md has the files.
//!
//! Segments are linked and not copied, so what is linked must never be written to again, by anybody. That holds because a snapshot begins with
//! new active segments everywhere, here and in its own rows: closed segments are only ever removed.

mod catalogue;
pub(crate) mod manifest;
pub mod restore;
mod save;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{OpenError, StoreError};
use crate::fs::{Fs, OpenMode, is_disk_full};
use manifest::Manifest;
pub use restore::restore;

/// A name at the end of which this stands is on its way in or out; no snapshot's name has a `~`.
const SAVING: &str = "~saving";
const DELETED: &str = "~deleted";
const SEGMENTS: &str = "segments";
/// The longest name of a snapshot.
const MAX_NAME: usize = 100;

/// What can go wrong with snapshots. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SnapshotError {
    #[error(
        "{name:?} is no name for a snapshot: use 1 to {MAX_NAME} letters, digits, '.', '_' and '-', beginning with a letter or digit"
    )]
    BadName { name: String },
    #[error("there is a snapshot {name} already: delete it, or choose another name")]
    Exists { name: String },
    #[error("there is no snapshot at {}", path.display())]
    NotFound { path: PathBuf },
    #[error("snapshot {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "snapshot {} was written in format {found}, newer than the {supported} that this ottla knows: use a newer ottla",
        path.display()
    )]
    NewerFormat {
        path: PathBuf,
        found: u64,
        supported: u64,
    },
    #[error("{} holds data already: choose another directory, or replace what is there with --replace", path.display())]
    HoldsData { path: PathBuf },
    #[error("there is no room for a snapshot: {} is on a full disk", path.display())]
    DiskFull { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl SnapshotError {
    fn io(path: &Path) -> impl Fn(io::Error) -> SnapshotError + '_ {
        move |source| match is_disk_full(&source) {
            true => SnapshotError::DiskFull {
                path: path.to_owned(),
            },
            false => SnapshotError::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// When it was taken, milliseconds since the epoch.
    pub created_ms: i64,
    /// The cluster's id.
    pub cluster_id: String,
    /// How many topics.
    pub topics: u64,
    /// How many partitions.
    pub partitions: u64,
    /// Bytes of record batches, most of which it shares with the data directory.
    pub bytes: u64,
}

impl Snapshot {
    fn new(path: &Path, manifest: Manifest) -> Snapshot {
        Snapshot {
            name: manifest.name,
            path: path.to_owned(),
            created_ms: manifest.created_ms,
            cluster_id: manifest.cluster_id,
            topics: manifest.topics,
            partitions: manifest.partitions,
            bytes: manifest.bytes,
        }
    }
}

/// Where the snapshots of a data directory are.
fn snapshots_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshots")
}

/// Where the snapshot of this name is, or would be. A name that could leave the directory is refused.
pub fn path_of(data_dir: &Path, name: &str) -> Result<PathBuf, SnapshotError> {
    let legal = name.len() <= MAX_NAME
        && crate::catalog::is_legal_name(name)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match legal {
        true => Ok(snapshots_dir(data_dir).join(name)),
        false => Err(SnapshotError::BadName {
            name: name.to_owned(),
        }),
    }
}

/// The snapshots in a data directory, oldest first. One whose description cannot be read is an error.
pub fn list(fs: &dyn Fs, data_dir: &Path) -> Result<Vec<Snapshot>, SnapshotError> {
    let dir = snapshots_dir(data_dir);
    if !fs.exists(&dir).map_err(SnapshotError::io(&dir))? {
        return Ok(Vec::new());
    }
    let entries = fs.read_dir(&dir).map_err(SnapshotError::io(&dir))?;
    let mut found = Vec::new();
    for entry in entries.into_iter().filter(|e| e.is_dir) {
        let Ok(path) = path_of(data_dir, &entry.name) else {
            continue;
        };
        match Manifest::read(fs, &path) {
            Ok(manifest) => found.push(Snapshot::new(&path, manifest)),
            // Deleted meanwhile.
            Err(SnapshotError::NotFound { .. })
                if !fs.exists(&path).map_err(SnapshotError::io(&path))? => {}
            Err(e) => return Err(e),
        }
    }
    found.sort_by(|a, b| (a.created_ms, &a.name).cmp(&(b.created_ms, &b.name)));
    Ok(found)
}

/// Deletes a snapshot of a data directory; a broker may be using it.
pub fn delete(fs: &dyn Fs, data_dir: &Path, name: &str) -> Result<(), SnapshotError> {
    let path = path_of(data_dir, name)?;
    let io = SnapshotError::io(&path);
    if !fs.exists(&path).map_err(&io)? {
        return Err(SnapshotError::NotFound { path: path.clone() });
    }
    let dir = snapshots_dir(data_dir);
    let away = path.with_file_name(format!("{name}{DELETED}"));
    if fs.exists(&away).map_err(&io)? {
        remove_renamed(fs, &dir, &away).map_err(&io)?;
    }
    fs.rename(&path, &away).map_err(&io)?;
    remove_renamed(fs, &dir, &away).map_err(&io)
}

/// Removes a directory in `dir` that has got another name. That name is made durable first, or a power cut could bring the old one back over
/// what is left of the files.
fn remove_renamed(fs: &dyn Fs, dir: &Path, away: &Path) -> io::Result<()> {
    fs.sync_dir(dir)?;
    fs.remove_dir_all(away)
}

/// Copies a snapshot into the directory `to`, as `to`/name; by links where that can be.
pub fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<Snapshot, SnapshotError> {
    let manifest = Manifest::read(fs, from)?;
    let target = to.join(&manifest.name);
    let io = SnapshotError::io(&target);
    if fs.exists(&target).map_err(&io)? {
        return Err(SnapshotError::Exists {
            name: target.display().to_string(),
        });
    }
    let part = to.join(format!("{}{SAVING}", manifest.name));
    let copied = copy_files(fs, from, &part).and_then(|()| {
        fs.sync_tree(&part)?;
        fs.rename(&part, &target)?;
        fs.sync_dir(to)
    });
    copied.map_err(|e| {
        // The error at hand is the one to tell.
        let _ = fs.remove_dir_all(&part);
        io(e)
    })?;
    Ok(Snapshot::new(&target, manifest))
}

fn copy_files(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    if fs.exists(to)? {
        fs.remove_dir_all(to)?;
    }
    fs.create_dir_all(&to.join(SEGMENTS))?;
    for sub in ["", SEGMENTS] {
        for entry in fs.read_dir(&from.join(sub))? {
            if !entry.is_dir {
                let name = Path::new(sub).join(&entry.name);
                link_or_copy(fs, &from.join(&name), &to.join(&name))?;
            }
        }
    }
    Ok(())
}

/// Removes what a crash left of a snapshot on its way in or out.
pub(crate) fn remove_leftovers(fs: &dyn Fs, data_dir: &Path) -> io::Result<()> {
    let dir = snapshots_dir(data_dir);
    if !fs.exists(&dir)? {
        return Ok(());
    }
    for entry in fs.read_dir(&dir)? {
        if entry.name.ends_with(SAVING) || entry.name.ends_with(DELETED) {
            // The process may have died between the new name and its sync.
            remove_renamed(fs, &dir, &dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Gives a file another name; where links cannot be made, copies it.
fn link_or_copy(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    match fs.hard_link(from, to) {
        Err(e) if cannot_link(&e) => copy_file(fs, from, to),
        other => other,
    }
}

/// Another file system, one without links, too many of them, or a file of somebody else.
fn cannot_link(e: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(
        e.kind(),
        CrossesDevices | PermissionDenied | TooManyLinks | Unsupported
    )
}

fn copy_file(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<()> {
    const BLOCK: usize = 1 << 20;
    let source = fs.open(from, OpenMode::Read)?;
    let target = fs.open(to, OpenMode::Truncate)?;
    let mut buffer = vec![0; BLOCK];
    let mut at = 0;
    loop {
        match source.read_at(at, &mut buffer)? {
            0 => return Ok(()),
            n => {
                target.write_at(at, &[&buffer[..n]])?;
                at += n as u64;
            }
        }
    }
}
