//! A partition's window of recent batches per producer: the last five, since a producer keeps up to five requests in flight.
//! A marker of a transaction raises the epoch.

use std::collections::{BTreeMap, VecDeque};

use ottla_codec::ResponseError;
use serde::{Deserialize, Serialize};

/// Batches remembered per producer and partition.
const WINDOW: usize = 5;

/// What the window needs to know of a batch that carries a producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct BatchInfo {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub first_sequence: i32,
    pub last_sequence: i32,
    /// Only of an appended batch.
    pub base_offset: i64,
    /// Only of an appended batch.
    pub last_offset: i64,
    /// The batch's largest timestamp with LogAppendTime, -1 otherwise: what a duplicate is answered with.
    pub append_time_ms: i64,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    New,
    /// It is there already.
    Duplicate {
        /// Where.
        base_offset: i64,
        /// When it was appended (LogAppendTime), or -1.
        append_time_ms: i64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Batch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
    append_time_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    /// Oldest first.
    batches: VecDeque<Batch>,
    /// When the last batch was appended, in wall-clock milliseconds.
    last_append_ms: i64,
}

/// As it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored(BTreeMap<i64, Producer>);

/// The window of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerWindow {
    producers: BTreeMap<i64, Producer>,
    /// Producers as they were before a marker that may be taken back, by its offset.
    before_markers: VecDeque<(i64, i64, Option<Producer>)>,
}

impl ProducerWindow {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last epoch of a producer; `None`: it is not known.
    pub fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.producers.get(&producer_id).map(|p| p.epoch)
    }

    /// Decides on a batch before it gets an offset, in Kafka's order: an old epoch, a duplicate, the sequence.
    ///
    /// An unknown producer may start with any sequence, as in Kafka: its state may have expired.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH for an epoch below the last one, OUT_OF_ORDER_SEQUENCE_NUMBER for a gap, and for a new epoch
    /// that does not start at 0.
    pub fn check(&self, batch: &BatchInfo) -> Result<Verdict, ResponseError> {
        let Some(producer) = self.producers.get(&batch.producer_id) else {
            return Ok(Verdict::New);
        };
        if batch.producer_epoch == producer.epoch {
            let duplicate = producer.batches.iter().find(|b| {
                b.first_sequence == batch.first_sequence && b.last_sequence == batch.last_sequence
            });
            if let Some(first) = duplicate {
                return Ok(Verdict::Duplicate {
                    base_offset: first.base_offset,
                    append_time_ms: first.append_time_ms,
                });
            }
        }
        if batch.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let expected = match producer.batches.back() {
            Some(last) if batch.producer_epoch == producer.epoch => {
                next_sequence(last.last_sequence)
            }
            // An epoch that is new, or of which there is a marker alone.
            _ => 0,
        };
        if batch.first_sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(ResponseError::OutOfOrderSequenceNumber)
        }
    }

    /// Notes an appended batch with its offsets. Also called in order when a log is read again at recovery, so it takes
    /// what it is told.
    pub fn appended(&mut self, batch: &BatchInfo, now_ms: i64) {
        let producer = self
            .producers
            .entry(batch.producer_id)
            .or_insert_with(|| Producer {
                epoch: batch.producer_epoch,
                batches: VecDeque::with_capacity(WINDOW),
                last_append_ms: now_ms,
            });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == WINDOW {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Batch {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            append_time_ms: batch.append_time_ms,
        });
        producer.last_append_ms = now_ms;
    }

    /// Notes a marker: batches of an earlier epoch come too late from now on.
    pub fn marker(&mut self, producer_id: i64, epoch: i16, offset: i64, now_ms: i64) {
        let before = self.producers.get(&producer_id).cloned();
        self.before_markers.push_back((offset, producer_id, before));
        let producer = self
            .producers
            .entry(producer_id)
            .or_insert_with(|| Producer {
                epoch,
                batches: VecDeque::new(),
                last_append_ms: now_ms,
            });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.last_append_ms = now_ms;
    }

    /// Everything below `end` is durable: markers there are not taken back any more.
    pub fn durable(&mut self, end: i64) {
        while self
            .before_markers
            .pop_front_if(|(offset, ..)| *offset < end)
            .is_some()
        {}
    }

    /// The first marker that may be taken back.
    pub fn first_marker(&self) -> Option<i64> {
        self.before_markers.front().map(|(offset, ..)| *offset)
    }

    /// Forgets batches at or after `offset`: they were taken back. A producer of which nothing is left is unknown again.
    pub fn truncate(&mut self, offset: i64) {
        while let Some((_, id, before)) = self
            .before_markers
            .pop_back_if(|(marker, ..)| *marker >= offset)
        {
            match before {
                Some(before) => self.producers.insert(id, before),
                None => self.producers.remove(&id),
            };
        }
        self.producers.retain(|_, producer| {
            let had = producer.batches.len();
            producer.batches.retain(|b| b.last_offset < offset);
            had == 0 || !producer.batches.is_empty()
        });
    }

    /// Forgets producers that appended nothing for `expiration_ms` (`producer.id.expiration.ms`, KIP-854), save those to keep.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64, keep: impl Fn(i64) -> bool) {
        self.producers
            .retain(|id, p| keep(*id) || now_ms.saturating_sub(p.last_append_ms) < expiration_ms);
    }

    /// Id, epoch, last sequence (-1 without a batch of this epoch) and time of the last append of every producer.
    pub fn producers(&self) -> impl Iterator<Item = (i64, i16, i32, i64)> {
        self.producers.iter().map(|(id, p)| {
            let last = p.batches.back().map_or(-1, |batch| batch.last_sequence);
            (*id, p.epoch, last, p.last_append_ms)
        })
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    pub(super) fn to_stored(&self) -> Stored {
        Stored(self.producers.clone())
    }

    pub(super) fn from_stored(stored: Stored) -> ProducerWindow {
        ProducerWindow {
            producers: stored.0,
            before_markers: VecDeque::new(),
        }
    }
}

/// Sequences wrap to 0 after `i32::MAX`.
fn next_sequence(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, last: i32, base_offset: i64) -> BatchInfo {
        BatchInfo {
            producer_id: 7,
            producer_epoch: epoch,
            first_sequence: first,
            last_sequence: last,
            base_offset,
            last_offset: base_offset + i64::from(last.wrapping_sub(first)),
            append_time_ms: -1,
        }
    }

    fn window(batches: &[BatchInfo]) -> ProducerWindow {
        let mut window = ProducerWindow::new();
        for b in batches {
            assert_eq!(window.check(b), Ok(Verdict::New));
            window.appended(b, 1000);
        }
        window
    }

    #[test]
    fn any_of_the_last_five_batches_is_answered_with_its_offset() {
        let batches: Vec<_> = (0..6).map(|i| batch(0, i, i, i64::from(i) + 100)).collect();
        let window = window(&batches);
        for b in &batches[1..] {
            let expected = Verdict::Duplicate {
                base_offset: b.base_offset,
                append_time_ms: -1,
            };
            assert_eq!(window.check(b), Ok(expected));
        }
        assert_eq!(
            window.check(&batches[0]),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
    }

    #[test]
    fn sequence_and_epoch_rules() {
        let window = window(&[batch(3, 0, 9, 0)]);
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        let cases = [
            ("the next sequence", batch(3, 10, 12, 0), Ok(Verdict::New)),
            ("a gap", batch(3, 11, 12, 0), gap),
            ("an overlap", batch(3, 5, 12, 0), gap),
            ("a new epoch from 0", batch(4, 0, 0, 0), Ok(Verdict::New)),
            ("a new epoch not from 0", batch(4, 10, 10, 0), gap),
            (
                "an old epoch",
                batch(2, 10, 10, 0),
                Err(ResponseError::InvalidProducerEpoch),
            ),
        ];
        for (name, b, expected) in cases {
            assert_eq!(window.check(&b), expected, "{name}");
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let window = window(&[batch(0, i32::MAX - 1, i32::MAX, 0)]);
        assert_eq!(window.check(&batch(0, 0, 4, 0)), Ok(Verdict::New));
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        let window = ProducerWindow::new();
        assert_eq!(window.check(&batch(2, 55, 60, 0)), Ok(Verdict::New));
    }

    #[test]
    fn what_was_taken_back_can_be_sent_again() {
        let mut window = window(&[batch(0, 0, 4, 0), batch(0, 5, 9, 5)]);
        window.truncate(5);
        assert_eq!(window.check(&batch(0, 5, 9, 0)), Ok(Verdict::New));
        window.truncate(0);
        assert!(window.is_empty());
    }

    #[test]
    fn a_marker_of_a_later_epoch_closes_the_door_behind_it() {
        let mut window = window(&[batch(3, 0, 9, 0)]);
        let before = window.clone();
        window.marker(7, 4, 10, 1000);
        assert_eq!(window.first_marker(), Some(10));
        let late = batch(3, 10, 10, 0);
        assert_eq!(
            window.check(&late),
            Err(ResponseError::InvalidProducerEpoch)
        );
        assert_eq!(window.check(&batch(4, 0, 0, 0)), Ok(Verdict::New));
        let gap = Err(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(window.check(&batch(4, 10, 10, 0)), gap);
        let marked = window.clone();
        window.truncate(10);
        assert_eq!(window, before, "it was taken back");

        let mut window = marked;
        window.durable(11);
        assert_eq!(window.first_marker(), None);
        window.truncate(10);
        assert_eq!(window.len(), 1, "what is durable stays");
    }

    #[test]
    fn a_marker_of_the_same_epoch_changes_nothing() {
        let mut window = window(&[batch(3, 0, 9, 0)]);
        window.marker(7, 3, 10, 1000);
        assert_eq!(window.check(&batch(3, 10, 12, 0)), Ok(Verdict::New));
    }

    #[test]
    fn silent_producers_expire() {
        let mut window = window(&[batch(0, 0, 4, 0)]);
        window.expire(1999, 1000, |_| false);
        assert_eq!(window.len(), 1);
        window.expire(2000, 1000, |_| false);
        assert!(window.is_empty());
    }
}
