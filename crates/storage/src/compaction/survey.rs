//! Looking at partitions: what is known of them, loaded or not, and what is to be done.

use crate::config::LogConfig;
use crate::error::StoreError;
use crate::meta;
use crate::partition::Partition;
use crate::partition::row::{PartitionRow, partition_key};
use crate::store::Inner;

use super::policy::{self, Due, Found, SegmentFacts, Verdict};
use super::{Known, PartitionId};

/// A pass that a look found due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DuePass {
    pub id: PartitionId,
    pub due: Due,
    pub dirty_ratio: f64,
}

impl Inner {
    pub(super) fn log_config(&self, id: &PartitionId) -> Option<LogConfig> {
        let topic = self.catalog.get(&id.0)?;
        let exists = (0..topic.partitions).contains(&id.1);
        exists.then(|| (self.core.options.log_config)(&topic.configs))
    }

    pub(super) fn has_compacted_topic(&self) -> bool {
        self.catalog.topics().iter().any(|t| {
            (self.core.options.log_config)(&t.configs)
                .cleanup_policy
                .compact
        })
    }

    /// What a round begins with: what was asked for, and what is due to be looked at by time.
    pub(super) fn to_look_at(&self, all: bool, now_ms: i64) -> Vec<PartitionId> {
        let asked = self.compactor.bell.take();
        if all || asked.all {
            self.forget_deleted();
            let topics = self.catalog.topics();
            return topics
                .iter()
                .filter(|t| {
                    (self.core.options.log_config)(&t.configs)
                        .cleanup_policy
                        .compact
                })
                .flat_map(|t| (0..t.partitions).map(|index| (t.id, index)))
                .collect();
        }
        let mut some = asked.some;
        let known = self.compactor.known.lock();
        let by_time = known
            .iter()
            .filter(|(_, k)| k.look_again_ms.is_some_and(|at| at <= now_ms));
        some.extend(by_time.map(|(id, _)| *id));
        some.into_iter().collect()
    }

    /// The earliest time at which a partition is to be looked at without being asked for.
    pub(super) fn next_look_ms(&self) -> Option<i64> {
        let known = self.compactor.known.lock();
        known.values().filter_map(|k| k.look_again_ms).min()
    }

    /// Looks at a partition, and notes what it found. The pass that is due, if one is.
    pub(super) fn look_at(&self, id: PartitionId, now_ms: i64) -> Option<DuePass> {
        let verdict = match self.log_config(&id) {
            Some(config) if config.cleanup_policy.compact => self.judge(&id, &config, now_ms),
            _ => {
                self.compactor.known.lock().remove(&id);
                return None;
            }
        };
        let mut known = self.compactor.known.lock();
        let known = known.entry(id).or_default();
        known.dirty_ratio = verdict.dirty_ratio;
        known.look_again_ms = verdict.look_again_ms.filter(|_| !known.uncleanable);
        let due = verdict.due.filter(|_| !known.uncleanable)?;
        Some(DuePass {
            id,
            due,
            dirty_ratio: verdict.dirty_ratio,
        })
    }

    /// One that is not loaded is loaded only if something is to be done about it.
    fn judge(&self, id: &PartitionId, config: &LogConfig, now_ms: i64) -> Verdict {
        let loaded = self.partitions.read().get(id).cloned();
        let partition = match loaded {
            Some(partition) => partition,
            None => {
                let stored = match self.stored(id) {
                    Ok(Some(found)) => policy::look(&found, config, now_ms),
                    Ok(None) => Verdict::default(),
                    Err(e) => {
                        tracing::error!(topic = %id.0, index = id.1, error = %e, "a partition cannot be looked at for compaction");
                        Verdict::default()
                    }
                };
                if stored.due.is_none() && !stored.roll {
                    return stored;
                }
                match self.partition(&id.0, id.1) {
                    Some(partition) => partition,
                    None => return Verdict::default(),
                }
            }
        };
        let mut verdict = policy::look(&facts(&partition), config, now_ms);
        if verdict.roll && partition.roll(now_ms) {
            verdict = policy::look(&facts(&partition), config, now_ms);
        }
        partition.compaction_waits_for(verdict.waits_for);
        verdict
    }

    /// What the last checkpoint knows of a partition. Whether a transaction is open is not in it.
    fn stored(&self, id: &PartitionId) -> Result<Option<Found>, StoreError> {
        let key = partition_key(&id.0, id.1);
        let Some(row) = self.get(meta::PARTITIONS, &key)? else {
            return Ok(None);
        };
        let row = PartitionRow::decode(&row)
            .map_err(|e| StoreError::Failed(format!("the partition's row: {e}")))?;
        let log_start = self
            .get(meta::LOG_STARTS, &key)?
            .and_then(|v| v[..].try_into().ok())
            .map_or(0, i64::from_be_bytes);
        let ends = row.segments.iter().skip(1).map(|s| s.base_offset);
        let segments = row.segments.iter().zip(ends.chain([row.end]));
        Ok(Some(Found {
            log_start,
            cleaned_to: row.cleaned_to,
            stable: row.end,
            segments: segments
                .map(|(s, end_offset)| SegmentFacts {
                    base_offset: s.base_offset,
                    end_offset,
                    size: s.size,
                    max_timestamp: s.times.max_timestamp,
                    created_ms: s.created_ms,
                })
                .collect(),
        }))
    }

    fn forget_deleted(&self) {
        let topics = self.catalog.topics();
        let mut known = self.compactor.known.lock();
        known.retain(|(topic, _), _: &mut Known| topics.by_id(topic).is_some());
    }
}

/// What is known of a loaded partition.
pub(super) fn facts(partition: &Partition) -> Found {
    let log = partition.lock();
    Found {
        log_start: log.start,
        cleaned_to: log.cleaned_to,
        stable: partition.last_stable_offset(),
        segments: (0..)
            .zip(&log.segments)
            .map(|(i, s)| SegmentFacts {
                base_offset: s.base_offset,
                end_offset: log.segment_end(i),
                size: s.size,
                max_timestamp: s.times.max_timestamp,
                created_ms: s.created_ms,
            })
            .collect(),
    }
}
