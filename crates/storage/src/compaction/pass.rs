//! The first half of a pass: the last offset of each key of the dirty part.

use std::ops::ControlFlow;

use ottla_codec::batch::BatchHeader;
use ottla_codec::records::RecordError;
use ottla_codec::rewrite;

use super::aborted::AbortedList;
use super::offset_map::OffsetMap;
use crate::partition::INFLATE_LIMIT;
use crate::partition_state::AbortedTransaction;

/// Whether the map takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Give it the next batch.
    Left,
    /// It took none of the batch's records, or only a part: the pass ends here.
    Full,
}

/// Fills the map with the batches of the dirty part, in order (Kafka's `Cleaner.buildOffsetMap`).
///
/// Records of aborted transactions, records without a key and control batches are passed over. That everything is decided
/// (below the last stable offset) is the caller's promise.
#[derive(Debug)]
pub(crate) struct MapBuilder {
    map: OffsetMap,
    aborted: AbortedList,
    from: i64,
    /// Everything before this is in the map.
    reached: i64,
    full: bool,
}

/// The map, and how far it goes.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// Of all keys from the dirty part's first offset on. Of a batch that did not fit it may know some: an older record
    /// of such a key goes rightly, since nothing from `end` on does.
    pub map: OffsetMap,
    /// The offset after the last record that the map has. From here on all is kept, and this is what `cleaned_to` becomes when
    /// the pass has replaced every segment below it.
    pub end: i64,
}

impl MapBuilder {
    /// For what is dirty from `from` on, in up to `max_bytes`. `aborted` are all aborted transactions with records there.
    pub fn new(max_bytes: usize, from: i64, aborted: Vec<AbortedTransaction>) -> MapBuilder {
        MapBuilder {
            map: OffsetMap::new(max_bytes),
            aborted: AbortedList::new(aborted),
            from,
            reached: from,
            full: false,
        }
    }

    /// Takes in the next batch, whose CRC was checked when it was read; one that is not dirty is passed over. Where one does not fit the pass ends before it; if it is the
    /// first, within it, before the first record that did not fit.
    ///
    /// # Errors
    /// It is not a sound batch all the same.
    pub fn batch(&mut self, bytes: &[u8]) -> Result<Room, RecordError> {
        if self.full {
            return Ok(Room::Full);
        }
        let header = BatchHeader::parse(bytes)?;
        if header.next_offset() <= self.from {
            return Ok(Room::Left);
        }
        let has_keys = !header.is_control() && !self.aborted.has(&header);
        if has_keys && let Some(offset) = self.put_all(bytes)? {
            self.full = true;
            if self.reached == self.from {
                self.reached = offset;
            } else {
                self.reached = self.reached.max(header.base_offset);
            }
            return Ok(Room::Full);
        }
        self.reached = header.next_offset();
        Ok(Room::Left)
    }

    /// The offset of the first record that did not fit.
    fn put_all(&mut self, bytes: &[u8]) -> Result<Option<i64>, RecordError> {
        let (from, map) = (self.from, &mut self.map);
        let hasher = map.hasher();
        let mut unfit = None;
        rewrite::each(
            bytes,
            INFLATE_LIMIT,
            || hasher,
            |record| {
                let Some(key) = record.key.filter(|_| record.offset >= from) else {
                    return ControlFlow::Continue(());
                };
                match map.put(key, record.offset) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => {
                        unfit = Some(record.offset);
                        ControlFlow::Break(())
                    }
                }
            },
        )?;
        Ok(unfit)
    }

    /// The map; `end` is where the dirty part ends, up to which every batch was given unless the map was full before.
    pub fn finish(self, end: i64) -> Mapped {
        Mapped {
            map: self.map,
            end: if self.full { self.reached } else { end },
        }
    }
}
