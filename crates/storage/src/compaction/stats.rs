//! What compaction counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What compaction did since the start, and what it sees now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CompactionStats {
    /// Passes over a partition that came to their end.
    pub passes: u64,
    /// Passes that did not: a full disk, records deleted meanwhile, damage.
    pub passes_ended_early: u64,
    /// Bytes read: those of the dirty part twice, once for its keys and once to rewrite it.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes that segments lost.
    pub bytes_removed: u64,
    /// Records looked at while segments were rewritten.
    pub records_read: u64,
    /// Records removed.
    pub records_removed: u64,
    /// How long the last pass took.
    pub last_pass: Duration,
    /// The dirty ratio of the dirtiest partition, as it was last looked at: 0 to 1.
    pub max_dirty_ratio: f64,
    /// Partitions that are left alone because of damage.
    pub uncleanable_partitions: u64,
}

/// The counters behind it.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub passes: AtomicU64,
    pub passes_ended_early: AtomicU64,
    pub bytes_read: AtomicU64,
    pub bytes_written: AtomicU64,
    pub bytes_removed: AtomicU64,
    pub records_read: AtomicU64,
    pub records_removed: AtomicU64,
    pub last_pass_us: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted; the rest is zero.
    pub fn read(&self) -> CompactionStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompactionStats {
            passes: get(&self.passes),
            passes_ended_early: get(&self.passes_ended_early),
            bytes_read: get(&self.bytes_read),
            bytes_written: get(&self.bytes_written),
            bytes_removed: get(&self.bytes_removed),
            records_read: get(&self.records_read),
            records_removed: get(&self.records_removed),
            last_pass: Duration::from_micros(get(&self.last_pass_us)),
            ..CompactionStats::default()
        }
    }
}
