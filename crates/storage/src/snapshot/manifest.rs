//! `snapshot.json`: what a snapshot is. Written last.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SnapshotError;
use crate::datadir::FORMAT;
use crate::fs::{Fs, OpenMode};

const NAME: &str = "snapshot.json";
/// Far more than is ever written.
const MAX_LEN: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// That of the data directory.
    pub format: u32,
    pub name: String,
    pub cluster_id: String,
    pub created_ms: i64,
    pub topics: u64,
    pub partitions: u64,
    /// Bytes of record batches.
    pub bytes: u64,
    pub catalogue_bytes: u64,
    pub catalogue_crc32c: u32,
}

impl Manifest {
    pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Manifest, SnapshotError> {
        let io = SnapshotError::io(dir);
        let file = match fs.open(&dir.join(NAME), OpenMode::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(SnapshotError::NotFound {
                    path: dir.to_owned(),
                });
            }
            other => other.map_err(&io)?,
        };
        let mut bytes = vec![0; MAX_LEN];
        let n = file.read_at(0, &mut bytes).map_err(&io)?;
        Manifest::parse(&bytes[..n], dir)
    }

    /// What the manifest of the snapshot in `dir` says.
    pub fn parse(bytes: &[u8], dir: &Path) -> Result<Manifest, SnapshotError> {
        let damaged = |e: serde_json::Error| SnapshotError::Damaged {
            path: dir.to_owned(),
            reason: format!("{NAME}: {e}"),
        };
        let value: Value = serde_json::from_slice(bytes).map_err(damaged)?;
        // Before the rest, which a newer format may have changed.
        match value["format"].as_u64() {
            Some(found) if found > u64::from(FORMAT) => Err(SnapshotError::NewerFormat {
                path: dir.to_owned(),
                found,
                supported: FORMAT.into(),
            }),
            _ => serde_json::from_value(value).map_err(damaged),
        }
    }

    pub fn write(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let file = fs.open(&dir.join(NAME), OpenMode::Truncate)?;
        file.write_at(0, &[text.as_bytes()])?;
        file.sync_data()
    }
}
