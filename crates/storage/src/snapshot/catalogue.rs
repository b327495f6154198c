//! The rows of all trees in one file, and what they say of topics and segments.
//!
//! ```text
//! file  magic [8] | version u32 | rows
//! row   tree u8 | key length u32 | key | value length u32 | value
//! ```
//! Numbers are little-endian. Length and CRC32C of the file are in `snapshot.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::SEGMENTS;
use crate::catalog::{TopicRow, is_legal_name};
use crate::fs::{Fs, OpenMode};
use crate::index::{OFFSET_ENTRY, TIME_ENTRY};
use crate::meta::{self, TreeId};
use crate::partition::files::{SegmentFile, file_name};
use crate::partition::row::{PartitionRow, SegmentRow, parse_partition_key, partition_key};
use crate::topic::TopicId;

const NAME: &str = "catalogue";
const MAGIC: &[u8; 8] = b"OTTLACAT";
const VERSION: u32 = 1;
/// Bytes that are written at once.
const BLOCK: usize = 1 << 20;

/// All rows, by tree and key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Catalogue {
    pub rows: BTreeMap<(TreeId, Vec<u8>), Vec<u8>>,
}

/// A file of records or of an index that belongs to a snapshot.
#[derive(Debug)]
pub(super) struct SegmentPart {
    /// The partition's directory, below `topics/`.
    pub dir: String,
    /// Its name there.
    pub file: String,
    /// Its name in the snapshot, below [`SEGMENTS`].
    pub link: String,
    /// Bytes that are known to be in it; there may be more, which nobody reads.
    pub len: u64,
    /// Without it there is no record; an index can be made anew.
    pub is_log: bool,
}

impl SegmentPart {
    pub fn link(&self, snapshot: &Path) -> PathBuf {
        snapshot.join(SEGMENTS).join(&self.link)
    }
    pub fn file(&self, topics_dir: &Path) -> PathBuf {
        topics_dir.join(&self.dir).join(&self.file)
    }
}

impl Catalogue {
    /// Writes and syncs the file. Returns its length and CRC32C.
    pub fn write(&self, fs: &dyn Fs, dir: &Path) -> io::Result<(u64, u32)> {
        let file = fs.open(&dir.join(NAME), OpenMode::Truncate)?;
        let (mut len, mut crc) = (0, 0);
        let mut buffer = MAGIC.to_vec();
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        let mut rows = self.rows.iter().peekable();
        loop {
            let row = rows.next();
            if let Some(((tree, key), value)) = row {
                buffer.push(*tree);
                for part in [key, value] {
                    buffer.extend_from_slice(&(part.len() as u32).to_le_bytes());
                    buffer.extend_from_slice(part);
                }
            }
            if row.is_none() || buffer.len() >= BLOCK {
                file.write_at(len, &[&buffer])?;
                len += buffer.len() as u64;
                crc = crc32c::crc32c_append(crc, &buffer);
                buffer.clear();
            }
            if row.is_none() {
                file.sync_data()?;
                return Ok((len, crc));
            }
        }
    }

    /// Reads the file. An error of the kind `InvalidData` says that it is damaged.
    pub fn read(fs: &dyn Fs, dir: &Path, len: u64, crc: u32) -> io::Result<Catalogue> {
        let file = fs.open(&dir.join(NAME), OpenMode::Read)?;
        let found = file.len()?;
        if found != len {
            return Err(damaged(format!(
                "{NAME} has {found} bytes instead of {len}"
            )));
        }
        let mut bytes = vec![0; found as usize];
        file.read_exact_at(0, &mut bytes)?;
        if crc32c::crc32c(&bytes) != crc {
            return Err(damaged(format!("the checksum of {NAME} is wrong")));
        }
        Catalogue::parse(&bytes).ok_or_else(|| damaged(format!("{NAME} cannot be read")))
    }

    fn parse(bytes: &[u8]) -> Option<Catalogue> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (version, mut rest) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION {
            return None;
        }
        let mut rows = BTreeMap::new();
        while let Some((tree, behind)) = rest.split_first() {
            let (key, behind) = part(behind)?;
            let (value, behind) = part(behind)?;
            rows.insert((*tree, key.to_vec()), value.to_vec());
            rest = behind;
        }
        Some(Catalogue { rows })
    }

    fn tree(&self, tree: TreeId) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows
            .range((tree, Vec::new())..)
            .take_while(move |((t, _), _)| *t == tree)
            .map(|((_, key), value)| (&key[..], &value[..]))
    }

    pub fn topics(&self) -> Result<BTreeMap<TopicId, TopicRow>, String> {
        let mut topics = BTreeMap::new();
        for (key, value) in self.tree(meta::TOPICS) {
            let id = TopicId::from_slice(key).map_err(|e| format!("a topic's key: {e}"))?;
            let row: TopicRow =
                postcard::from_bytes(value).map_err(|e| format!("row of topic {id}: {e}"))?;
            let own = row.label == row.name || row.label == format!("~{}", id.simple());
            if !is_legal_name(&row.name) || !own {
                return Err(format!("topic {id} is called {:?}", row.name));
            }
            topics.insert(id, row);
        }
        Ok(topics)
    }

    /// Forgets rows of topics that are gone.
    pub fn forget_deleted(&mut self, topics: &BTreeMap<TopicId, TopicRow>) {
        const OF_PARTITIONS: [TreeId; 3] = [meta::LOG_STARTS, meta::PARTITIONS, meta::STATES];
        self.rows.retain(|(tree, key), _| {
            let partition = match *tree {
                meta::ABORTED => key.split_last_chunk::<8>().map_or(&[][..], |(p, _)| p),
                tree if OF_PARTITIONS.contains(&tree) => &key[..],
                _ => return true,
            };
            parse_partition_key(partition)
                .is_some_and(|(id, index)| topics.get(&id).is_some_and(|t| index < t.partitions))
        });
    }

    /// The files of all segments with records. A partition that would go on writing to one of them is an error.
    pub fn segments(
        &self,
        topics: &BTreeMap<TopicId, TopicRow>,
    ) -> Result<Vec<SegmentPart>, String> {
        let mut parts = Vec::new();
        for (key, value) in self.tree(meta::PARTITIONS) {
            let (id, index) = parse_partition_key(key).ok_or("a partition's key")?;
            let Some(topic) = topics.get(&id).filter(|t| index < t.partitions) else {
                continue;
            };
            let row = PartitionRow::decode(value)
                .map_err(|e| format!("row of partition {index} of {}: {e}", topic.name))?;
            if row.segments.last().is_some_and(|s| s.size > 0) {
                return Err(format!(
                    "partition {index} of {} has an active segment",
                    topic.name
                ));
            }
            let start = self.log_start(&id, index)?;
            let gone = row.segments.iter().skip(1);
            let gone = gone.take_while(|s| s.base_offset <= start).count();
            for segment in row.segments.iter().skip(gone).filter(|s| s.size > 0) {
                let dir = format!("{}-{index}", topic.label);
                parts.extend(parts_of(segment, &dir, &format!("{}-{index}", id.simple())));
            }
        }
        Ok(parts)
    }

    fn log_start(&self, id: &TopicId, index: i32) -> Result<i64, String> {
        match self.rows.get(&(meta::LOG_STARTS, partition_key(id, index))) {
            None => Ok(0),
            Some(value) => value[..]
                .try_into()
                .map(i64::from_be_bytes)
                .map_err(|_| "a log start's row is not 8 bytes".to_owned()),
        }
    }
}

/// A segment's log, and the indexes that have anything in them.
fn parts_of<'a>(
    segment: &'a SegmentRow,
    dir: &'a str,
    prefix: &'a str,
) -> impl Iterator<Item = SegmentPart> + use<'a> {
    let offsets = u64::from(segment.index.offsets) * OFFSET_ENTRY as u64;
    let times = u64::from(segment.index.times) * TIME_ENTRY as u64;
    [
        (SegmentFile::Log, segment.size),
        (SegmentFile::Index, offsets),
        (SegmentFile::TimeIndex, times),
    ]
    .into_iter()
    .filter(|(_, len)| *len > 0)
    .map(move |(kind, len)| {
        let file = file_name(segment.id(), kind);
        SegmentPart {
            dir: dir.to_owned(),
            link: format!("{prefix}-{file}"),
            file,
            len,
            is_log: kind == SegmentFile::Log,
        }
    })
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
