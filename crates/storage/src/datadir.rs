//! The data directory: its lock, its properties, what it may hold.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::OpenError;
use crate::fs::{Fs, LockError, OpenMode};
use crate::snapshot::restore;

/// The format that this version writes and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
pub(crate) const PROPERTIES: &str = "meta.properties";
/// Of all that comes after its line. Versions before it was introduced, and people, write none.
const CRC: &str = "crc32c";
const LOCK: &str = ".lock";
/// Names at the top that are Ottla's. `lost+found` is there on a file system of its own.
const OURS: [&str; 12] = [
    PROPERTIES,
    "meta.properties.new",
    LOCK,
    "journal",
    "topics",
    "meta",
    "reserve",
    "snapshots",
    restore::NEW,
    restore::READY,
    restore::OLD,
    "lost+found",
];

/// A data directory that is locked.
pub(crate) struct DataDir {
    pub cluster_id: String,
    pub lock: Box<dyn Send + Sync>,
}

pub(crate) fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}
pub(crate) fn topics_dir(dir: &Path) -> PathBuf {
    dir.join("topics")
}
pub(crate) fn meta_dir(dir: &Path) -> PathBuf {
    dir.join("meta")
}

/// Locks a directory and reads its properties, or makes a new one, with this cluster id if there is one.
pub(crate) fn open(
    fs: &dyn Fs,
    dir: &Path,
    cluster_id: Option<&str>,
) -> Result<DataDir, OpenError> {
    let io_error = |source: io::Error| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    fs.create_dir_all(dir).map_err(io_error)?;
    let lock = lock(fs, dir)?;
    restore::finish(fs, dir).map_err(io_error)?;
    let path = properties(dir);
    let cluster_id = if fs.exists(&path).map_err(io_error)? {
        let found = read_properties(fs, dir, &path)?;
        make_directories(fs, dir).map_err(io_error)?;
        fs.sync_dir(dir).map_err(io_error)?;
        found
    } else {
        refuse_orphans(fs, dir)?;
        // Before the properties, so that one sync of the directory makes all of them durable.
        make_directories(fs, dir).map_err(io_error)?;
        create(fs, dir, cluster_id).map_err(io_error)?
    };
    Ok(DataDir { cluster_id, lock })
}

/// Where the properties are.
pub(crate) fn properties(dir: &Path) -> PathBuf {
    dir.join(PROPERTIES)
}

/// Locks a directory that is Ottla's or empty.
pub(crate) fn lock(fs: &dyn Fs, dir: &Path) -> Result<Box<dyn Send + Sync>, OpenError> {
    let io_error = |source: io::Error| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    if !fs.exists(&properties(dir)).map_err(io_error)? {
        // Before anything is written into somebody else's directory.
        refuse_foreign(fs, dir)?;
    }
    fs.lock(&dir.join(LOCK)).map_err(|e| match e {
        LockError::Held(pid) => OpenError::Locked {
            path: dir.to_owned(),
            pid,
        },
        LockError::Io(source) => io_error(source),
    })
}

fn refuse_foreign(fs: &dyn Fs, dir: &Path) -> Result<(), OpenError> {
    let entries = fs.read_dir(dir).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        source,
    })?;
    match entries.iter().find(|e| !OURS.contains(&e.name.as_str())) {
        Some(e) => Err(OpenError::NotOurs {
            path: dir.to_owned(),
            reason: format!(
                "it has no {PROPERTIES} but holds {:?}: choose an empty directory",
                e.name
            ),
        }),
        None => Ok(()),
    }
}

/// Refuses data whose properties are gone. They are durable before there is any, so that no crash leaves this; a new cluster id would
/// pass for another cluster with clients, and the format may be any.
fn refuse_orphans(fs: &dyn Fs, dir: &Path) -> Result<(), OpenError> {
    let is_used = |sub: PathBuf| -> io::Result<bool> {
        Ok(fs.exists(&sub)? && !fs.read_dir(&sub)?.is_empty())
    };
    for sub in [journal_dir(dir), meta_dir(dir)] {
        let found = is_used(sub).map_err(|source| OpenError::Io {
            path: dir.to_owned(),
            source,
        })?;
        if found {
            return Err(OpenError::Damaged {
                path: dir.to_owned(),
                reason: format!(
                    "{PROPERTIES} is missing beside its data: put it back, or write one with the lines \
                     ottla.format={FORMAT} and cluster.id= with the cluster's id"
                ),
            });
        }
    }
    Ok(())
}

fn make_directories(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for sub in [journal_dir(dir), topics_dir(dir), meta_dir(dir)] {
        if !fs.exists(&sub)? {
            fs.create_dir_all(&sub)?;
        }
    }
    Ok(())
}

/// Makes the properties, and all that is in the directory, durable.
fn create(fs: &dyn Fs, dir: &Path, cluster_id: Option<&str>) -> io::Result<String> {
    let cluster_id = cluster_id.map_or_else(
        || base64url(Uuid::new_v4().as_bytes()),
        |given| given.to_owned(),
    );
    let new = dir.join("meta.properties.new");
    write_properties(fs, &new, &cluster_id)?;
    fs.rename(&new, &dir.join(PROPERTIES))?;
    fs.sync_dir(dir)?;
    sync_parent(fs, dir)?;
    Ok(cluster_id)
}

/// Writes and syncs the properties into a new file.
pub(crate) fn write_properties(fs: &dyn Fs, path: &Path, cluster_id: &str) -> io::Result<()> {
    let text = format!("# Written by Ottla.\nottla.format={FORMAT}\ncluster.id={cluster_id}\n");
    let crc = format!("{CRC}={:08x}\n", crc32c::crc32c(text.as_bytes()));
    let file = fs.open(path, OpenMode::Truncate)?;
    file.write_at(0, &[crc.as_bytes(), text.as_bytes()])?;
    file.sync_data()
}

/// Makes a directory's own name durable.
pub(crate) fn sync_parent(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    match dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => fs.sync_dir(parent),
        None => Ok(()),
    }
}

/// Reads the properties of a directory that is (or was) Ottla's, and checks that this version can read it.
pub(crate) fn read_properties(fs: &dyn Fs, dir: &Path, path: &Path) -> Result<String, OpenError> {
    let io_error = |source: io::Error| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    let not_ours = |reason: String| OpenError::NotOurs {
        path: dir.to_owned(),
        reason,
    };
    let file = fs.open(path, OpenMode::Read).map_err(io_error)?;
    let mut bytes = vec![0; 4096];
    let n = file.read_at(0, &mut bytes).map_err(io_error)?;
    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
    let properties: BTreeMap<&str, &str> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once('='))
        .collect();
    // First: what is damaged says nothing of whose it is, nor of its format.
    if let Some(told) = properties.get(CRC) {
        let behind = text.split_once(&format!("{CRC}={told}\n"));
        let found = crc32c::crc32c(behind.map_or("", |(_, rest)| rest).as_bytes());
        if u32::from_str_radix(told.trim(), 16) != Ok(found) {
            return Err(OpenError::Damaged {
                path: dir.to_owned(),
                reason: format!(
                    "{PROPERTIES} does not fit its checksum: bring it back from a copy; or, if ottla.format and cluster.id in it are \
                     right, remove its line {CRC}"
                ),
            });
        }
    }
    let Some(format) = properties.get("ottla.format") else {
        let reason = if properties.contains_key("broker.id") || properties.contains_key("node.id") {
            "it is a data directory of Apache Kafka".to_owned()
        } else {
            format!("{PROPERTIES} has no ottla.format")
        };
        return Err(not_ours(reason));
    };
    let found: u32 = format
        .trim()
        .parse()
        .map_err(|_| not_ours(format!("ottla.format={format} is not a number")))?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat {
            path: dir.to_owned(),
            found,
            supported: FORMAT,
        });
    }
    properties
        .get("cluster.id")
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
        .ok_or_else(|| not_ours(format!("{PROPERTIES} has no cluster.id")))
}

/// 16 bytes as 22 characters, as Kafka writes its UUIDs.
fn base64url(bytes: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(*bytes);
    (0..22)
        .map(|i| {
            let shift = 122 - 6 * i;
            let six = if shift >= 0 {
                bits >> shift
            } else {
                bits << -shift
            } & 63;
            char::from(ALPHABET[six as usize])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_base64url_without_padding() {
        assert_eq!(base64url(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64url(&[255; 16]), "_____________________w");
        assert_eq!(
            base64url(&[
                0x14, 0xfb, 0x9c, 0x03, 0xd9, 0x7e, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
            ]),
            "FPucA9l-AQIDBAUGBwgJCg"
        );
    }

    #[test]
    fn any_flipped_bit_of_the_properties_is_harmless_or_named_with_its_file() {
        use crate::fs::sim::SimFs;
        let (dir, path) = (Path::new("/data"), Path::new("/data/meta.properties"));
        let id = base64url(&[7; 16]);
        let written = || {
            let fs = SimFs::new(1);
            fs.create_dir_all(dir).expect("an empty disk");
            write_properties(&fs, path, &id).expect("an empty disk");
            fs
        };
        let mut refused = 0;
        let mut bytes = vec![0; 200];
        let file = written().open(path, OpenMode::Read).expect("it is there");
        let len = file.read_at(0, &mut bytes).expect("it can be read");
        for bit in 0..8 * len {
            let fs = written();
            let file = fs.open(path, OpenMode::Write).expect("it is there");
            let flipped = [bytes[bit / 8] ^ 1 << (bit % 8)];
            file.write_at(bit as u64 / 8, &[&flipped])
                .expect("there is room");
            match read_properties(&fs, dir, path) {
                Ok(found) => assert_eq!(found, id, "bit {bit}"),
                Err(e) => {
                    refused += 1;
                    assert!(e.to_string().contains(PROPERTIES), "bit {bit}: {e}");
                }
            }
        }
        assert!(refused > 400, "{refused}");
    }
}
