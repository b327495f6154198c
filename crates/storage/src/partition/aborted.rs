//! Aborted transactions of a partition: the last ones are part of its state, older ones are rows of the catalogue, a row for each
//! block of offsets with a marker of one. A checkpoint writes the blocks that changed, a fetch reads those that it touches.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::row::partition_key;
use super::{Log, Partition};
use crate::error::{ReadError, StoreError};
use crate::meta::{self, MetaStore, MetaWrite};
use crate::partition_state::{AbortedTransaction, SettledAbort};

/// Offsets of a block. A marker comes behind one record at least: so a row has half as many transactions at most, of some ten
/// bytes each.
pub(crate) const BLOCK_OFFSETS: i64 = 4096;
const VERSION: u8 = 1;

/// What of a partition's blocks is in memory.
pub(crate) struct Blocks {
    /// Offsets of each.
    size: i64,
    /// Rows that the catalogue does not have yet; `None`: it goes.
    unwritten: BTreeMap<i64, Option<Bytes>>,
    /// Markers from here on are in no block.
    end: i64,
    /// Blocks before this one are of no use, and what of that the catalogue has heard.
    first: i64,
    removed_to: i64,
}

/// What a checkpoint takes of them.
pub(crate) struct CapturedBlocks {
    rows: BTreeMap<i64, Option<Bytes>>,
    /// Those before this one are removed.
    remove_to: Option<i64>,
}

fn row_key(partition: &[u8], block: i64) -> Vec<u8> {
    [partition, &block.to_be_bytes()].concat()
}

fn block_of_key(key: &[u8]) -> Option<i64> {
    let (_, block) = key.split_last_chunk::<8>()?;
    Some(i64::from_be_bytes(*block))
}

fn encode(aborts: &[SettledAbort]) -> Bytes {
    let rows: Vec<(i64, i64, i64, i64)> = aborts
        .iter()
        .map(|a| {
            let t = &a.transaction;
            let stable = a.last_stable_offset - t.last_offset;
            // Small numbers take few bytes.
            (
                t.producer_id,
                t.last_offset,
                t.last_offset - t.first_offset,
                stable,
            )
        })
        .collect();
    let bytes = postcard::to_extend(&rows, vec![VERSION]);
    Bytes::from(bytes.expect("plain data in memory always serialises"))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<SettledAbort>, String> {
    let rows: Vec<(i64, i64, i64, i64)> = match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| e.to_string())?,
        Some((version, _)) => return Err(format!("it has version {version}")),
        None => return Err("it is empty".to_owned()),
    };
    let aborts = rows
        .into_iter()
        .map(|(producer_id, last_offset, length, stable)| SettledAbort {
            transaction: AbortedTransaction {
                producer_id,
                first_offset: last_offset - length,
                last_offset,
            },
            last_stable_offset: last_offset + stable,
        });
    Ok(aborts.collect())
}

impl Blocks {
    /// Of a partition that is loaded: where its blocks end.
    pub fn load(meta: &dyn MetaStore, partition: &[u8], size: i64) -> io::Result<Blocks> {
        let (from, to) = (row_key(partition, 0), row_key(partition, i64::MAX));
        let last = meta.last(meta::ABORTED, &from, &to)?;
        let last = last.and_then(|(key, _)| block_of_key(&key));
        Ok(Blocks {
            size,
            unwritten: BTreeMap::new(),
            end: last.map_or(0, |block| (block + 1) * size),
            first: 0,
            removed_to: 0,
        })
    }

    /// Blocks before the one with `offset` are of no use. Returns whether there may be such.
    pub fn start_at(&mut self, offset: i64) -> bool {
        let first = offset / self.size;
        let moved = first > self.first;
        self.first = self.first.max(first);
        self.unwritten.retain(|block, _| *block >= first);
        moved && self.end > 0
    }

    /// Takes whole blocks out of the state, of which nothing is taken back any more, and what a checkpoint is to write.
    pub fn capture(log: &mut Log, durable: i64) -> CapturedBlocks {
        let size = log.blocks.size;
        let end = durable / size * size;
        let mut taken = log.state.take_aborted(end).into_iter().peekable();
        let blocks = &mut log.blocks;
        while let Some(first) = taken.peek() {
            let block = first.transaction.last_offset / size;
            let mut of_block = Vec::new();
            while let Some(abort) = taken.next_if(|a| a.transaction.last_offset / size == block) {
                of_block.push(abort);
            }
            blocks.unwritten.insert(block, Some(encode(&of_block)));
            blocks.end = blocks.end.max((block + 1) * size);
        }
        CapturedBlocks {
            rows: blocks.unwritten.clone(),
            remove_to: (blocks.first > blocks.removed_to && blocks.end > 0).then_some(blocks.first),
        }
    }

    /// A checkpoint has written what it took.
    pub fn written(&mut self, captured: &CapturedBlocks) {
        self.unwritten
            .retain(|block, row| captured.rows.get(block) != Some(row));
        self.removed_to = self.removed_to.max(captured.remove_to.unwrap_or(0));
    }
}

impl CapturedBlocks {
    /// The rows that must be there before a state without these transactions is.
    pub fn rows(&self, partition: &Partition) -> Vec<MetaWrite> {
        let partition = partition_key(partition.topic(), partition.index());
        let rows = self.rows.iter().map(|(block, row)| MetaWrite {
            tree: meta::ABORTED,
            key: row_key(&partition, *block),
            value: row.as_ref().map(|row| row.to_vec()),
        });
        rows.collect()
    }

    /// The removal of rows that are of no use.
    pub fn removals(
        &self,
        meta: &dyn MetaStore,
        partition: &Partition,
    ) -> io::Result<Vec<MetaWrite>> {
        let partition = partition_key(partition.topic(), partition.index());
        match self.remove_to {
            Some(first) => removals(meta, &partition, first),
            None => Ok(Vec::new()),
        }
    }
}

/// The removal of a partition's blocks before block `first`.
pub(crate) fn removals(
    meta: &dyn MetaStore,
    partition: &[u8],
    first: i64,
) -> io::Result<Vec<MetaWrite>> {
    let (mut from, to) = (row_key(partition, 0), row_key(partition, first));
    let mut found = Vec::new();
    while let Some((key, _)) = meta.first(meta::ABORTED, &from, &to)? {
        // The next key there can be.
        from = [&key[..], &[0]].concat();
        found.push(MetaWrite {
            tree: meta::ABORTED,
            key,
            value: None,
        });
    }
    Ok(found)
}

impl Partition {
    /// Aborted transactions with records in `from..to`, by marker. Looks at few others.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub fn aborted_between(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        // First what is in memory: a checkpoint moves it down, never up.
        let (recent, unwritten, size, end) = {
            let log = self.lock();
            let recent = log.state.aborted_between(from, to);
            if from >= log.blocks.end {
                return Ok(recent);
            }
            let blocks = &log.blocks;
            (recent, blocks.unwritten.clone(), blocks.size, blocks.end)
        };
        let found = self.in_blocks(from..to, size, end, unwritten)?;
        // After a crash in a checkpoint a state may be older than blocks: it has some of theirs, too.
        let all = found.into_iter().chain(recent);
        let by_marker: BTreeMap<i64, AbortedTransaction> =
            all.map(|t| (t.last_offset, t)).collect();
        Ok(by_marker.into_values().collect())
    }

    fn in_blocks(
        &self,
        wanted: Range<i64>,
        size: i64,
        end: i64,
        unwritten: BTreeMap<i64, Option<Bytes>>,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let Some(store) = self.core.store() else {
            return Err(ReadError::Io("the store is closed".to_owned()));
        };
        let unreadable = |e: String| ReadError::Io(format!("aborted transactions: {e}"));
        let partition = partition_key(&self.topic, self.index);
        let last_key = row_key(&partition, i64::MAX);
        let mut found = Vec::new();
        let mut block = wanted.start / size;
        while block * size < end {
            let stored = store
                .meta
                .first(meta::ABORTED, &row_key(&partition, block), &last_key)
                .map_err(|e| unreadable(e.to_string()))?;
            let stored =
                stored.and_then(|(key, row)| Some((block_of_key(&key)?, Bytes::from(row))));
            let waiting = unwritten.range(block..).next();
            let (at, row) = match (stored, waiting) {
                (Some((at, row)), waiting) if waiting.is_none_or(|(w, _)| at < *w) => {
                    (at, Some(row))
                }
                (_, Some((at, row))) => (*at, row.clone()),
                (_, None) => break,
            };
            block = at + 1;
            let Some(row) = row else {
                continue;
            };
            for abort in decode(&row).map_err(unreadable)? {
                let t = abort.transaction;
                if t.last_offset < wanted.start {
                    continue;
                }
                if t.first_offset < wanted.end {
                    found.push(t);
                }
                if abort.last_stable_offset >= wanted.end {
                    // All that follow began after it.
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Forgets the aborted transactions whose markers are at `last_offsets`, before a pass removes those markers. The next checkpoint keeps
    /// it: no segment without the markers may be put in its place before that came to an end. Waits for one that is under way.
    ///
    /// # Errors
    /// The catalogue cannot be read; nothing of it is changed then.
    pub fn forget_aborted(&self, last_offsets: &[i64]) -> Result<(), StoreError> {
        let store = self.core.store().ok_or(StoreError::Closed)?;
        let _checkpointing = store.checkpointing.lock();
        let partition = partition_key(&self.topic, self.index);
        let mut log = self.lock();
        let size = log.blocks.size;
        let mut sorted = last_offsets.to_vec();
        sorted.sort_unstable();
        let mut changed = BTreeMap::new();
        let end = log.blocks.end;
        let mut rest = sorted.iter().filter(|o| **o < end).peekable();
        while let Some(first) = rest.peek() {
            let block = **first / size;
            let mut gone = Vec::new();
            while let Some(offset) = rest.next_if(|o| **o / size == block) {
                gone.push(*offset);
            }
            let row = match log.blocks.unwritten.get(&block) {
                Some(row) => row.clone(),
                None => store
                    .meta
                    .get(meta::ABORTED, &row_key(&partition, block))
                    .map_err(|e| StoreError::Failed(format!("reading the catalogue: {e}")))?
                    .map(Bytes::from),
            };
            let Some(row) = row else {
                continue;
            };
            let mut aborts = decode(&row)
                .map_err(|e| StoreError::Failed(format!("a block of aborted transactions: {e}")))?;
            aborts.retain(|a| gone.binary_search(&a.transaction.last_offset).is_err());
            changed.insert(block, (!aborts.is_empty()).then(|| encode(&aborts)));
        }
        log.state.forget_aborted(last_offsets);
        log.blocks.unwritten.extend(changed);
        self.mark_dirty(&mut log);
        drop(log);
        self.core.background.mark_dirty();
        Ok(())
    }
}

#[cfg(test)]
#[path = "aborted/tests.rs"]
mod tests;
