//! What of a partition may go: by age, by size, by DeleteRecords.

use std::sync::Arc;

use bytes::Bytes;

use super::files::SegmentId;
use super::row::{SegmentRow, partition_key};
use super::{Log, Partition};
use crate::config::LogConfig;
use crate::error::{ReadError, StoreError};
use crate::garbage::Garbage;
use crate::meta;
use crate::queue::Kind;
use crate::store::{Change, Commit, Inner};

/// What retention asks of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentAge {
    pub base_offset: i64,
    pub size: u64,
    pub max_timestamp: i64,
    pub created_ms: i64,
}

impl From<&SegmentRow> for SegmentAge {
    fn from(s: &SegmentRow) -> Self {
        SegmentAge {
            base_offset: s.base_offset,
            size: s.size,
            max_timestamp: s.times.max_timestamp,
            created_ms: s.created_ms,
        }
    }
}

/// The log start that retention leads to, if it is to move. `end`: the end of what consumers have seen; nothing beyond it goes.
/// As in Kafka the oldest segments go one by one, the active one too, as long as each is too old or the rest is large enough. One that
/// compaction left empty goes with the next that goes.
pub(crate) fn retained_from(
    segments: &[SegmentAge],
    end: i64,
    config: &LogConfig,
    now_ms: i64,
) -> Option<i64> {
    if !config.cleanup_policy.delete {
        return None;
    }
    let mut excess = config.retention_bytes.map_or(0, |limit| {
        let total: u64 = segments.iter().map(|s| s.size).sum();
        total.saturating_sub(limit)
    });
    let mut start = None;
    for (i, s) in segments.iter().enumerate() {
        let segment_end = segments.get(i + 1).map_or(end, |next| next.base_offset);
        if segment_end > end {
            break;
        }
        if s.size == 0 {
            continue;
        }
        let newest = if s.max_timestamp >= 0 {
            s.max_timestamp
        } else {
            s.created_ms
        };
        let too_old = config.retention_ms.is_some_and(|limit| {
            now_ms.saturating_sub(newest) > i64::try_from(limit).unwrap_or(i64::MAX)
        });
        let too_much = excess >= s.size;
        if !too_old && !too_much {
            break;
        }
        excess = excess.saturating_sub(s.size);
        start = Some(segment_end);
    }
    start
}

impl Partition {
    /// Moves the log's start up to `offset` (-1: the high watermark), and frees whole segments below it.
    /// Returns the new start and when it is kept. Past the high watermark: [`ReadError::OutOfRange`].
    pub fn delete_records(
        &self,
        offset: i64,
    ) -> Result<Result<(i64, Commit), StoreError>, ReadError> {
        let mut log = self.lock();
        if self.is_deleted() {
            return Err(ReadError::Deleted);
        }
        let hw = self.high_watermark();
        let target = if offset == -1 { hw } else { offset };
        if target < 0 || target > hw {
            return Err(ReadError::OutOfRange {
                offset,
                start: log.start,
                end: hw,
            });
        }
        if target <= log.start {
            return Ok(Ok((log.start, Commit(log.start_seq))));
        }
        let Some(store) = self.core.store() else {
            return Ok(Err(StoreError::Closed));
        };
        let moved = self.move_start(&store, &mut log, target);
        drop(log);
        self.wake_watchers();
        Ok(moved.map(|(seq, _)| (target, Commit(seq))))
    }

    /// Applies retention. Returns how many segments went.
    pub(crate) fn retain(&self, store: &Inner, now_ms: i64) -> Result<usize, StoreError> {
        let mut log = self.lock();
        if self.is_deleted() {
            return Ok(0);
        }
        let segments: Vec<SegmentAge> = log
            .segments
            .iter()
            .map(|s| SegmentAge {
                base_offset: s.base_offset,
                size: s.size,
                max_timestamp: s.times.max_timestamp,
                created_ms: s.created_ms,
            })
            .collect();
        let hw = self.high_watermark();
        // Appends under way are in the active segment: it stays.
        let end = if hw == log.end {
            hw
        } else {
            log.segments.last().map_or(hw, |s| s.base_offset.min(hw))
        };
        let config = log.config.clone();
        let Some(target) = retained_from(&segments, end, &config, now_ms) else {
            return Ok(0);
        };
        let active_goes = target == log.end && log.segments.last().is_some_and(|s| s.size > 0);
        if target <= log.start && !active_goes {
            return Ok(0);
        }
        if active_goes {
            log.open_segment(target, now_ms);
            self.mark_dirty(&mut log);
        }
        let (_, segments) = self.move_start(store, &mut log, target)?;
        drop(log);
        self.wake_watchers();
        Ok(segments)
    }

    fn move_start(
        &self,
        store: &Inner,
        log: &mut Log,
        target: i64,
    ) -> Result<(u64, usize), StoreError> {
        let change = Change {
            tree: meta::LOG_STARTS,
            key: Bytes::from(partition_key(&self.topic, self.index)),
            value: Some(Bytes::copy_from_slice(&target.to_be_bytes())),
        };
        let seq = store.commit_changes(vec![change], Kind::FreesSpace)?;
        self.set_log_start(log, target);
        log.start_seq = seq;
        // The segments go when the move is durable: until then it may be taken back.
        let count = log.segments_below(target);
        if count > 0 {
            store.garbage.lock().push(Garbage::Segments {
                seq,
                partition: self.arc(),
                start: target,
            });
            self.core.background.ask(|w| w.garbage = true);
        }
        Ok((seq, count))
    }
}

impl Partition {
    /// Forgets segments below `start`, whose move is durable, and what the state knows of them. Returns which: their files can go.
    pub(crate) fn drop_segments(&self, start: i64) -> Vec<SegmentId> {
        let mut log = self.lock();
        log.state.log_starts_at(start);
        if log.blocks.start_at(start) {
            self.mark_dirty(&mut log);
        }
        let (dropped, bytes, unflushed) = log.drop_segments_below(start);
        self.forget_bytes(bytes, unflushed);
        if !dropped.is_empty() {
            self.mark_dirty(&mut log);
        }
        dropped
    }
}

impl Inner {
    /// Whether a partition that is not loaded has anything to remove.
    pub(crate) fn row_is_due(
        row: &super::row::PartitionRow,
        config: &Arc<LogConfig>,
        now_ms: i64,
    ) -> bool {
        let segments: Vec<SegmentAge> = row.segments.iter().map(SegmentAge::from).collect();
        retained_from(&segments, row.end, config, now_ms).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(base_offset: i64, size: u64, max_timestamp: i64) -> SegmentAge {
        SegmentAge {
            base_offset,
            size,
            max_timestamp,
            created_ms: 0,
        }
    }

    fn config(ms: Option<u64>, bytes: Option<u64>) -> LogConfig {
        LogConfig {
            retention_ms: ms,
            retention_bytes: bytes,
            ..LogConfig::default()
        }
    }

    #[test]
    fn old_segments_go_up_to_the_first_that_is_young() {
        let s = [
            segment(0, 10, 100),
            segment(5, 10, 500),
            segment(9, 10, 100),
        ];
        let from = |now| retained_from(&s, 12, &config(Some(200), None), now);
        assert_eq!(from(300), None);
        assert_eq!(from(301), Some(5));
        assert_eq!(from(701), Some(12));
    }

    #[test]
    fn segments_go_by_size_only_if_the_rest_is_as_large_as_the_limit() {
        let s = [segment(0, 10, 1), segment(5, 10, 1), segment(9, 4, 1)];
        let from = |bytes| retained_from(&s, 12, &config(None, Some(bytes)), 2);
        assert_eq!(from(24), None);
        assert_eq!(from(15), None);
        assert_eq!(from(14), Some(5));
        assert_eq!(from(0), Some(12));
    }

    #[test]
    fn what_compaction_left_empty_goes_with_what_is_behind_it() {
        let s = [
            segment(0, 0, -1),
            segment(5, 10, 100),
            segment(9, 0, -1),
            segment(20, 10, 900),
            segment(30, 0, -1),
        ];
        let by_time = |now| retained_from(&s, 30, &config(Some(200), None), now);
        assert_eq!(by_time(300), None);
        assert_eq!(by_time(301), Some(9));
        assert_eq!(by_time(1101), Some(30));
        let by_size = |bytes| retained_from(&s, 30, &config(None, Some(bytes)), 2);
        assert_eq!(by_size(20), None);
        assert_eq!(by_size(10), Some(9));
        assert_eq!(by_size(0), Some(30));
        assert_eq!(
            retained_from(&s[..1], 5, &config(Some(0), Some(0)), 9),
            None
        );
    }

    #[test]
    fn what_consumers_have_not_seen_stays() {
        let s = [segment(0, 10, 1), segment(5, 10, 1)];
        assert_eq!(retained_from(&s, 3, &config(Some(1), None), 100), None);
    }
}
