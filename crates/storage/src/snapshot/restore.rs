//! Bringing a snapshot into a data directory that no broker uses.
//!
//! The new state is made beside the old in `restore~new`. Renamed to `restore~ready` it is what the directory holds: who opens the
//! directory next carries on if this process does not. So there is one moment before which the old state is whole and after which the
//! new one is.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::catalogue::{Catalogue, SegmentPart};
use super::manifest::Manifest;
use super::{Snapshot, SnapshotError, link_or_copy};
use crate::datadir;
use crate::fs::Fs;
use crate::journal::Journal;
use crate::meta::MetaWrite;

pub(crate) const NEW: &str = "restore~new";
pub(crate) const READY: &str = "restore~ready";
pub(crate) const OLD: &str = "restore~old";
const DIRS: [&str; 3] = ["journal", "topics", "meta"];
const PROPERTIES: &str = "meta.properties";

/// A snapshot that was read and verified.
struct Verified {
    manifest: Manifest,
    catalogue: Catalogue,
    parts: Vec<SegmentPart>,
}

/// Makes `data_dir` hold what the snapshot in `from` has. What it held before goes if `replace` says so; otherwise that is an error.
///
/// Segments are linked where that can be: the snapshot's rows begin new ones for all that comes, so nobody writes to them.
pub fn restore(
    fs: &dyn Fs,
    from: &Path,
    data_dir: &Path,
    replace: bool,
) -> Result<Snapshot, SnapshotError> {
    let verified = verify(fs, from)?;
    let io = SnapshotError::io(data_dir);
    fs.create_dir_all(data_dir).map_err(&io)?;
    let _lock = datadir::lock(fs, data_dir)?;
    finish(fs, data_dir).map_err(&io)?;
    let properties = data_dir.join(PROPERTIES);
    if fs.exists(&properties).map_err(&io)? {
        datadir::read_properties(fs, data_dir, &properties)?;
        if !replace {
            return Err(SnapshotError::HoldsData {
                path: data_dir.to_owned(),
            });
        }
    }
    let new = data_dir.join(NEW);
    let made = make(fs, from, &verified, &new).and_then(|()| {
        fs.sync_tree(&new)?;
        fs.sync_dir(data_dir)?;
        datadir::sync_parent(fs, data_dir)?;
        fs.rename(&new, &data_dir.join(READY))?;
        fs.sync_dir(data_dir)
    });
    made.map_err(|e| {
        // The error at hand is the one to tell; the next start removes what is left.
        let _ = fs.remove_dir_all(&new);
        io(e)
    })?;
    finish(fs, data_dir).map_err(&io)?;
    Ok(Snapshot::new(from, verified.manifest))
}

fn verify(fs: &dyn Fs, from: &Path) -> Result<Verified, SnapshotError> {
    let manifest = Manifest::read(fs, from)?;
    let damaged = |reason: String| SnapshotError::Damaged {
        path: from.to_owned(),
        reason,
    };
    let (len, crc) = (manifest.catalogue_bytes, manifest.catalogue_crc32c);
    let catalogue = Catalogue::read(fs, from, len, crc).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => damaged(e.to_string()),
        io::ErrorKind::NotFound => damaged("its catalogue is gone".to_owned()),
        _ => SnapshotError::io(from)(e),
    })?;
    let topics = catalogue.topics().map_err(damaged)?;
    let mut parts = Vec::new();
    for part in catalogue.segments(&topics).map_err(damaged)? {
        match fs.len_of(&part.link(from)) {
            Ok(len) if len < part.len => {
                return Err(damaged(format!(
                    "{} has {len} bytes instead of {}",
                    part.link, part.len
                )));
            }
            Ok(_) => parts.push(part),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !part.is_log => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(format!("{} is gone", part.link)));
            }
            Err(e) => return Err(SnapshotError::io(from)(e)),
        }
    }
    Ok(Verified {
        manifest,
        catalogue,
        parts,
    })
}

/// Makes a data directory's content in `new`.
fn make(fs: &dyn Fs, from: &Path, verified: &Verified, new: &Path) -> io::Result<()> {
    for dir in DIRS {
        fs.create_dir_all(&new.join(dir))?;
    }
    let topics = new.join("topics");
    let dirs: BTreeSet<&str> = verified.parts.iter().map(|p| &p.dir[..]).collect();
    for dir in dirs {
        fs.create_dir_all(&topics.join(dir))?;
    }
    for part in &verified.parts {
        link_or_copy(fs, &part.link(from), &part.file(&topics))?;
    }
    let rows = verified.catalogue.rows.iter();
    let rows: Vec<MetaWrite> = rows
        .map(|((tree, key), value)| MetaWrite {
            tree: *tree,
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect();
    let meta = fs.open_meta(&new.join("meta"))?;
    meta.write(&rows)?;
    meta.sync()?;
    let position = crate::recovery::read_position(&*meta)?;
    meta.close();
    // Without one a start would miss a journal that goes on from there.
    Journal::make_first(fs, &new.join("journal"), position)?;
    let cluster_id = &verified.manifest.cluster_id;
    datadir::write_properties(fs, &new.join(PROPERTIES), cluster_id)
}

/// Carries on with a restore that a crash cut short after its decision, and removes what is left of one that came to none.
pub(crate) fn finish(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    let (ready, old) = (dir.join(READY), dir.join(OLD));
    if fs.exists(&dir.join(NEW))? {
        fs.remove_dir_all(&dir.join(NEW))?;
    }
    if fs.exists(&ready)? {
        fs.create_dir_all(&old)?;
        for name in DIRS {
            // What is not there any more was moved before the crash.
            if !fs.exists(&ready.join(name))? {
                continue;
            }
            if fs.exists(&dir.join(name))? {
                if fs.exists(&old.join(name))? {
                    fs.remove_dir_all(&old.join(name))?;
                }
                fs.rename(&dir.join(name), &old.join(name))?;
            }
            fs.rename(&ready.join(name), &dir.join(name))?;
        }
        if fs.exists(&ready.join(PROPERTIES))? {
            fs.rename(&ready.join(PROPERTIES), &dir.join(PROPERTIES))?;
        }
        // The moves, before what shows that they are not done yet goes.
        fs.sync_dir(&ready)?;
        fs.sync_dir(dir)?;
        fs.remove_dir_all(&ready)?;
        fs.sync_dir(dir)?;
    }
    if fs.exists(&old)? {
        fs.remove_dir_all(&old)?;
    }
    Ok(())
}
