//! The *moved set* of a queue's partition: which offsets are not in the queue any more, though its log still has them.
//!
//! Rows hold blocks of [`BLOCK`] offsets, so that a change writes the blocks that it touches and not the whole set; a block that
//! is moved entirely is a row of a few bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::StoreOp;

/// Offsets that one row covers.
pub const BLOCK: i64 = 1 << 16;
/// The first byte of the rows' keys.
pub const KEY: u8 = b'm';
const VERSION: u8 = 1;

/// A set of offsets, kept as ranges that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeSet {
    /// First offset to the one after the last.
    ranges: BTreeMap<i64, i64>,
}

/// A row that is none of this version's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row of moved records cannot be read: {0}")]
pub struct BadRow(pub String);

impl RangeSet {
    /// Adds a range. An empty one adds nothing.
    pub fn insert(&mut self, range: Range<i64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &its_end)) = self.ranges.range(..=start).next_back()
            && its_end >= start
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((&next, &its_end)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&next);
            end = end.max(its_end);
        }
        self.ranges.insert(start, end);
    }

    /// Whether it has `offset`.
    pub fn contains(&self, offset: i64) -> bool {
        self.first_absent(offset) != offset
    }

    /// The first offset from `offset` on that it does not have.
    pub fn first_absent(&self, offset: i64) -> i64 {
        match self.ranges.range(..=offset).next_back() {
            Some((_, &end)) if end > offset => end,
            _ => offset,
        }
    }

    /// How many offsets of `range` it has.
    pub fn count_in(&self, range: &Range<i64>) -> u64 {
        let first = self
            .ranges
            .range(..=range.start)
            .next_back()
            .map_or(range.start, |(&start, _)| start);
        self.ranges
            .range(first..range.end.max(first))
            .map(|(&start, &end)| (end.min(range.end) - start.max(range.start)).max(0) as u64)
            .sum()
    }

    /// Its ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<i64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// What of it lies in `within`.
    fn clipped(&self, within: &Range<i64>) -> impl Iterator<Item = Range<i64>> + '_ {
        let first = self
            .ranges
            .range(..=within.start)
            .next_back()
            .map_or(within.start, |(&start, _)| start);
        let within = within.clone();
        self.ranges
            .range(first..within.end)
            .map(move |(&start, &end)| start.max(within.start)..end.min(within.end))
            .filter(|r| !r.is_empty())
    }

    /// The rows of the blocks that `touched` lies in, as they are now. `queue` is the queue topic's id.
    pub fn rows(&self, queue: &[u8; 16], partition: i32, touched: &Range<i64>) -> Vec<StoreOp> {
        if touched.is_empty() {
            return Vec::new();
        }
        (touched.start.div_euclid(BLOCK)..=(touched.end - 1).div_euclid(BLOCK))
            .map(|block| {
                let start = block * BLOCK;
                let mut last = start;
                let mut lengths: Vec<u32> = Vec::new();
                for range in self.clipped(&(start..start + BLOCK)) {
                    lengths.push((range.start - last) as u32);
                    lengths.push((range.end - range.start) as u32);
                    last = range.end;
                }
                let key = row_key(queue, partition, block);
                if lengths.is_empty() {
                    return StoreOp::Delete { key };
                }
                let value = postcard::to_extend(&lengths, vec![VERSION])
                    .expect("a list of numbers can be encoded into memory");
                StoreOp::Put { key, value }
            })
            .collect()
    }

    /// Reads the rows of one partition: key and value of each, as [`rows_prefix`] finds them.
    pub fn load<'a>(
        rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<RangeSet, BadRow> {
        let mut set = RangeSet::default();
        for (key, value) in rows {
            let bad = |what: &str| BadRow(what.to_owned());
            let start = block_of(key)
                .and_then(|block| block.checked_mul(BLOCK))
                .filter(|start| *start >= 0 && *start <= i64::MAX - BLOCK)
                .ok_or_else(|| bad("its key is of another form"))?;
            let Some((&VERSION, body)) = value.split_first() else {
                return Err(bad("it is of another version"));
            };
            let lengths: Vec<u32> =
                postcard::from_bytes(body).map_err(|e| BadRow(e.to_string()))?;
            let mut at = start;
            for pair in lengths.chunks(2) {
                let &[gap, len] = pair else {
                    return Err(bad("a range without an end"));
                };
                let from = at.saturating_add(i64::from(gap));
                at = from.saturating_add(i64::from(len));
                if at > start + BLOCK {
                    return Err(bad("a range that leaves its block"));
                }
                set.insert(from..at);
            }
        }
        Ok(set)
    }
}

/// The keys of all rows of a queue's partition begin with this.
pub fn rows_prefix(queue: &[u8; 16], partition: i32) -> Vec<u8> {
    let mut key = vec![KEY];
    key.extend_from_slice(queue);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

/// Whether the row at `key` covers offsets below `offset` only: its queue's log begins there, so that nobody asks for it.
pub fn is_below(key: &[u8], offset: i64) -> bool {
    block_of(key).is_some_and(|block| (block + 1).saturating_mul(BLOCK) <= offset)
}

fn row_key(queue: &[u8; 16], partition: i32, block: i64) -> Vec<u8> {
    let mut key = rows_prefix(queue, partition);
    key.extend_from_slice(&block.to_be_bytes());
    key
}

fn block_of(key: &[u8]) -> Option<i64> {
    let rest = key.strip_prefix(&[KEY])?.get(20..)?;
    Some(i64::from_be_bytes(rest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const QUEUE: [u8; 16] = [7; 16];

    proptest! {
        #[test]
        fn it_has_what_was_inserted_and_nothing_else(
            ranges in prop::collection::vec((0i64..200, 0i64..20), 0..40),
            asked in 0i64..220, len in 0i64..50,
        ) {
            let mut set = RangeSet::default();
            let mut model = BTreeSet::new();
            for (start, len) in ranges {
                set.insert(start..start + len);
                model.extend(start..start + len);
            }
            for offset in 0..230 {
                prop_assert_eq!(set.contains(offset), model.contains(&offset));
            }
            let absent = (asked..).find(|o| !model.contains(o)).unwrap();
            prop_assert_eq!(set.first_absent(asked), absent);
            let range = asked..asked + len;
            prop_assert_eq!(set.count_in(&range), model.range(range.clone()).count() as u64);
            let listed: Vec<Range<i64>> = set.ranges().collect();
            prop_assert!(listed.windows(2).all(|w| w[0].end < w[1].start));
        }

        #[test]
        fn rows_written_as_it_grows_give_the_same_set(
            ranges in prop::collection::vec((0i64..3 * BLOCK, 1i64..BLOCK), 1..12),
        ) {
            let mut set = RangeSet::default();
            let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for (start, len) in ranges {
                let range = start..start + len;
                set.insert(range.clone());
                for op in set.rows(&QUEUE, 3, &range) {
                    match op {
                        StoreOp::Put { key, value } => stored.insert(key, value),
                        StoreOp::Delete { key } => stored.remove(&key),
                    };
                }
            }
            let prefix = rows_prefix(&QUEUE, 3);
            prop_assert!(stored.keys().all(|k| k.starts_with(&prefix)));
            let rows = stored.iter().map(|(k, v)| (&k[..], &v[..]));
            prop_assert_eq!(RangeSet::load(rows).unwrap(), set);
        }

        #[test]
        fn a_damaged_row_is_an_error_and_never_a_panic(key: [u8; 29], value: Vec<u8>) {
            let _ = RangeSet::load([(&key[..], &value[..])]);
            let mut key = key;
            key[0] = KEY;
            let mut value = value;
            value.insert(0, VERSION);
            let _ = RangeSet::load([(&key[..], &value[..])]);
        }
    }

    #[test]
    fn a_block_that_is_moved_entirely_is_a_short_row() {
        let mut set = RangeSet::default();
        set.insert(0..3 * BLOCK);
        let rows = set.rows(&QUEUE, 0, &(0..3 * BLOCK));
        assert_eq!(rows.len(), 3);
        for row in rows {
            let StoreOp::Put { value, .. } = row else {
                panic!("{row:?} is empty");
            };
            assert!(value.len() < 8, "{value:?}");
        }
    }

    #[test]
    fn rows_below_the_logs_start_are_known() {
        let mut set = RangeSet::default();
        set.insert(0..2 * BLOCK);
        let keys: Vec<Vec<u8>> = set
            .rows(&QUEUE, 0, &(0..2 * BLOCK))
            .into_iter()
            .map(|op| match op {
                StoreOp::Put { key, .. } | StoreOp::Delete { key } => key,
            })
            .collect();
        let below = |offset| keys.iter().filter(|k| is_below(k, offset)).count();
        assert_eq!(
            (below(BLOCK - 1), below(BLOCK), below(2 * BLOCK)),
            (0, 1, 2)
        );
    }
}
