//! When a partition is compacted, and how far: decisions over what is known of its segments. No I/O, no clock.
//!
//! The rules are those of Kafka's `LogCleanerManager` and `LogToClean` (KIP-58, KIP-354). Where Kafka takes the time of a segment's first batch
//! from the records, the time at which it was appended is taken here: `max.compaction.lag.ms` then holds whatever clocks
//! producers have.

use crate::config::LogConfig;

/// Relative offsets and positions in Kafka's index files are 32 bit.
const MAX_RELATIVE: u64 = i32::MAX as u64;
/// A group of sources that together are larger than this, and than a segment, is not made larger: its space comes back only when it is done.
const GROUP_SOURCE_BYTES: u64 = 1 << 30;

/// What is asked of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub base_offset: i64,
    /// The offset after its last one: the next segment's base.
    pub end_offset: i64,
    pub size: u64,
    /// Of its records; -1 without any.
    pub max_timestamp: i64,
    /// When its first batch was appended.
    pub created_ms: i64,
}

impl SegmentFacts {
    fn newest_ms(&self) -> i64 {
        if self.max_timestamp >= 0 {
            self.max_timestamp
        } else {
            self.created_ms
        }
    }
}

/// A partition as a look finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub log_start: i64,
    /// Where the last pass came; 0 if there was none.
    pub cleaned_to: i64,
    /// The last stable offset, which is not above the high watermark.
    pub stable: i64,
    /// In order. The last is the active one.
    pub segments: Vec<SegmentFacts>,
}

/// What is to be done with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Verdict {
    /// Dirty bytes of all below the bound, 0 to 1.
    pub dirty_ratio: f64,
    pub due: Option<Due>,
    /// The active segment is to be closed: its first record is older than `max.compaction.lag.ms`.
    pub roll: bool,
    /// When time alone may change the verdict.
    pub look_again_ms: Option<i64>,
    /// A closed segment waits until the last stable offset is this.
    pub waits_for: Option<i64>,
}

/// A pass that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The first offset that no pass has seen.
    pub first_dirty: i64,
    /// Where the pass ends at the latest: the base of the first segment that it leaves alone.
    pub bound: i64,
    pub dirty_bytes: u64,
    /// Records are in the log for longer than `max.compaction.lag.ms`.
    pub overdue: bool,
}

/// Looks at a partition of a compacted topic.
pub(crate) fn look(found: &Found, config: &LogConfig, now_ms: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let Some((active, closed)) = found.segments.split_last() else {
        return verdict;
    };
    let max_lag = i64::try_from(config.max_compaction_lag_ms).unwrap_or(i64::MAX);
    let min_lag = i64::try_from(config.min_compaction_lag_ms).unwrap_or(i64::MAX);
    let mut look_again = |at: i64| {
        let earlier = verdict.look_again_ms.is_none_or(|known| at < known);
        if at > now_ms && at != i64::MAX && earlier {
            verdict.look_again_ms = Some(at);
        }
    };
    // The first moment at which more than the lag has passed.
    let overdue_at = |s: &SegmentFacts| s.created_ms.saturating_add(max_lag).saturating_add(1);

    if active.size > 0 {
        verdict.roll = overdue_at(active) <= now_ms;
        look_again(overdue_at(active));
    }
    // Behind the end are marks of a log that was longer: all of it is dirty.
    let first_dirty = if found.cleaned_to > active.end_offset {
        found.log_start
    } else {
        found.cleaned_to.max(found.log_start)
    };
    let (mut clean_bytes, mut dirty_bytes) = (0, 0);
    let mut bound = first_dirty;
    let (mut held, mut overdue) = (false, false);
    for s in closed.iter().filter(|s| s.end_offset > found.log_start) {
        if s.end_offset <= first_dirty {
            clean_bytes += s.size;
            continue;
        }
        if s.size > 0 {
            overdue |= overdue_at(s) <= now_ms;
            look_again(overdue_at(s));
        }
        if held {
            continue;
        }
        if s.end_offset > found.stable {
            verdict.waits_for = Some(s.end_offset);
            held = true;
            continue;
        }
        let ready_at = s.newest_ms().saturating_add(min_lag);
        if min_lag > 0 && ready_at > now_ms {
            look_again(ready_at);
            held = true;
            continue;
        }
        dirty_bytes += s.size;
        bound = s.end_offset;
    }
    if dirty_bytes > 0 {
        verdict.dirty_ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
        if overdue || verdict.dirty_ratio > config.min_cleanable_dirty_ratio {
            verdict.due = Some(Due {
                first_dirty,
                bound,
                dirty_bytes,
                overdue,
            });
        }
    }
    verdict
}

/// Neighbours that are on their way to become one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    base_offset: i64,
    read: u64,
}

impl Group {
    /// A group of one: whatever its size, it becomes a segment.
    pub fn of(first: &SegmentFacts) -> Group {
        Group {
            base_offset: first.base_offset,
            read: first.size,
        }
    }

    /// Takes the next source as well, if it fits for sure: what is written so far, and all of the source.
    pub fn take(&mut self, next: &SegmentFacts, written: u64, config: &LogConfig) -> bool {
        let limit = config.segment_bytes.min(MAX_RELATIVE);
        let relative = next.end_offset - 1 - self.base_offset;
        let fits = written + next.size <= limit
            && u64::try_from(relative).unwrap_or(0) <= MAX_RELATIVE
            && self.read + next.size <= GROUP_SOURCE_BYTES.max(limit);
        if fits {
            self.read += next.size;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn segments(of: &[(i64, u64, i64)], end: i64) -> Vec<SegmentFacts> {
        let ends = of.iter().skip(1).map(|s| s.0).chain([end]);
        of.iter()
            .zip(ends)
            .map(|(&(base_offset, size, at), end_offset)| SegmentFacts {
                base_offset,
                end_offset,
                size,
                max_timestamp: at,
                created_ms: at,
            })
            .collect()
    }

    fn found(of: &[(i64, u64, i64)], end: i64) -> Found {
        Found {
            log_start: 0,
            cleaned_to: 0,
            stable: end,
            segments: segments(of, end),
        }
    }

    fn config() -> LogConfig {
        LogConfig::default()
    }

    #[test]
    fn the_active_segment_is_never_touched() {
        let alone = look(&found(&[(0, 100, 5)], 10), &config(), 1000);
        assert_eq!(alone, Verdict::default());
        let two = look(&found(&[(0, 100, 5), (10, 50, 6)], 15), &config(), 1000);
        let due = two.due.unwrap();
        assert_eq!((due.first_dirty, due.bound, due.dirty_bytes), (0, 10, 100));
        assert_eq!(look(&found(&[], 0), &config(), 0), Verdict::default());
    }

    #[test]
    fn the_ratio_must_be_passed_as_in_kafka() {
        let mut found = found(&[(0, 100, 5), (10, 100, 6), (20, 10, 7)], 25);
        found.cleaned_to = 10;
        let at = |ratio| {
            let config = LogConfig {
                min_cleanable_dirty_ratio: ratio,
                ..config()
            };
            look(&found, &config, 1000)
        };
        assert_eq!(at(0.5).dirty_ratio, 0.5);
        assert_eq!(at(0.5).due, None);
        assert_eq!(at(0.49).due.unwrap().first_dirty, 10);
    }

    #[test]
    fn without_dirty_bytes_nothing_is_due_at_a_ratio_of_zero() {
        let mut found = found(&[(0, 100, 5), (10, 0, 6), (10, 3, 7)], 11);
        found.cleaned_to = 10;
        let config = LogConfig {
            min_cleanable_dirty_ratio: 0.0,
            max_compaction_lag_ms: 1,
            ..config()
        };
        assert_eq!(look(&found, &config, 1000).due, None);
    }

    #[test]
    fn the_last_stable_offset_holds_what_is_behind_it() {
        let mut found = found(&[(0, 100, 5), (10, 100, 5), (20, 100, 5), (30, 1, 5)], 31);
        found.stable = 15;
        let verdict = look(&found, &config(), 1000);
        assert_eq!(verdict.due.unwrap().bound, 10);
        assert_eq!(verdict.waits_for, Some(20));
        found.stable = 20;
        let verdict = look(&found, &config(), 1000);
        assert_eq!(verdict.due.unwrap().bound, 20);
        assert_eq!(verdict.waits_for, Some(30));
        found.stable = 31;
        assert_eq!(look(&found, &config(), 1000).waits_for, None);
    }

    #[test]
    fn a_young_segment_and_all_behind_it_wait_for_the_lag() {
        let config = LogConfig {
            min_compaction_lag_ms: 100,
            ..config()
        };
        // The third is old enough by itself.
        let found = found(&[(0, 100, 5), (10, 100, 500), (20, 100, 5), (30, 1, 9)], 31);
        let verdict = look(&found, &config, 599);
        assert_eq!(verdict.due.unwrap().bound, 10);
        assert_eq!(verdict.look_again_ms, Some(600));
        let verdict = look(&found, &config, 600);
        assert_eq!(verdict.due.unwrap().bound, 30);
        assert_eq!(verdict.look_again_ms, None);
    }

    #[test]
    fn a_record_that_is_in_the_log_for_too_long_makes_a_pass_due_at_any_ratio() {
        let config = LogConfig {
            min_cleanable_dirty_ratio: 1.0,
            max_compaction_lag_ms: HOUR as u64,
            ..config()
        };
        let found = found(&[(0, 100, 5), (10, 100, 50)], 20);
        let verdict = look(&found, &config, 5 + HOUR);
        assert_eq!((verdict.due, verdict.roll), (None, false));
        assert_eq!(verdict.look_again_ms, Some(6 + HOUR));
        let verdict = look(&found, &config, 6 + HOUR);
        assert!(verdict.due.unwrap().overdue);
        assert_eq!(verdict.look_again_ms, Some(51 + HOUR));
        assert!(!verdict.roll);
        assert!(look(&found, &config, 51 + HOUR).roll);
    }

    #[test]
    fn an_empty_active_segment_is_not_closed() {
        let config = LogConfig {
            max_compaction_lag_ms: 1,
            ..config()
        };
        let verdict = look(&found(&[(0, 0, 5)], 0), &config, HOUR);
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn deleted_segments_do_not_count_and_a_start_beyond_the_mark_is_where_dirt_begins() {
        let mut found = found(&[(0, 900, 5), (10, 100, 5), (20, 100, 5), (30, 1, 5)], 31);
        found.log_start = 12;
        let verdict = look(&found, &config(), 1000);
        let due = verdict.due.unwrap();
        assert_eq!((due.first_dirty, due.dirty_bytes), (12, 200));
        found.cleaned_to = 20;
        assert_eq!(look(&found, &config(), 1000).dirty_ratio, 0.5);
        // Of a log that was longer.
        found.cleaned_to = 99;
        assert_eq!(look(&found, &config(), 1000).due, Some(due));
    }

    #[test]
    fn what_is_partly_clean_is_dirty() {
        // The map was full in the middle of a segment.
        let mut found = found(&[(0, 100, 5), (10, 100, 5), (20, 1, 5)], 21);
        found.cleaned_to = 15;
        let verdict = look(&found, &config(), 1000);
        assert_eq!(verdict.dirty_ratio, 0.5);
    }

    #[test]
    fn neighbours_become_one_while_all_of_them_fits() {
        let config = LogConfig {
            segment_bytes: 100,
            ..config()
        };
        let s = segments(&[(0, 90, 0), (10, 60, 0), (20, 60, 0), (30, 60, 0)], 40);
        let mut group = Group::of(&s[0]);
        // Little was left of the first.
        assert!(group.take(&s[1], 40, &config));
        assert!(!group.take(&s[2], 41, &config));
        assert!(group.take(&s[2], 40, &config));
    }

    #[test]
    fn relative_offsets_and_positions_stay_within_32_bits() {
        let config = LogConfig {
            segment_bytes: u64::MAX,
            ..config()
        };
        let far = i64::from(i32::MAX);
        let s = segments(&[(7, 1, 0), (100, 1, 0)], 7 + far + 1);
        assert!(Group::of(&s[0]).take(&s[1], 1, &config));
        let s = segments(&[(7, 1, 0), (100, 1, 0)], 7 + far + 2);
        assert!(!Group::of(&s[0]).take(&s[1], 1, &config));
        let s = segments(&[(0, 1, 0), (100, 1 << 20, 0)], 200);
        assert!(!Group::of(&s[0]).take(&s[1], MAX_RELATIVE, &config));
    }

    #[test]
    fn a_group_does_not_grow_without_end_where_little_is_left() {
        let s = segments(&[(0, GROUP_SOURCE_BYTES, 0), (10, 1, 0)], 20);
        assert!(!Group::of(&s[0]).take(&s[1], 0, &config()));
        let s = segments(&[(0, GROUP_SOURCE_BYTES - 1, 0), (10, 1, 0)], 20);
        assert!(Group::of(&s[0]).take(&s[1], 0, &config()));
    }
}
