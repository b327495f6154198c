//! Counters of dead letters.

use std::collections::BTreeMap;

use ottla_dlq::event::Cause;
use parking_lot::Mutex;

/// Sets of labels that are kept; what comes after that counts under [`OTHER`].
const MAX_LABELS: usize = 1_000;
/// Stands for topics and groups beyond the bound.
const OTHER: &str = "other";

/// What was dead-lettered, by topic, group and cause.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    moved: Mutex<BTreeMap<(String, String, &'static str), u64>>,
}

/// A counter and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) struct DeadLettered {
    pub topic: String,
    pub group: String,
    /// `nacked`, `rejected`, `crash-loop`.
    pub cause: &'static str,
    pub count: u64,
}

/// A cause as people read it.
pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Nacked => "nacked",
        Cause::Rejected => "rejected",
        Cause::CrashLoop => "crash-loop",
    }
}

impl Metrics {
    /// A record went to its queue.
    pub fn dead_lettered(&self, topic: &str, group: &str, cause: Cause) {
        let mut moved = self.moved.lock();
        let cause = cause_name(cause);
        let mut key = (topic.to_owned(), group.to_owned(), cause);
        if moved.len() >= MAX_LABELS && !moved.contains_key(&key) {
            key = (OTHER.to_owned(), OTHER.to_owned(), cause);
        }
        *moved.entry(key).or_default() += 1;
    }

    /// All counters, since the broker started.
    pub fn all(&self) -> Vec<DeadLettered> {
        let moved = self.moved.lock();
        let counter = |((topic, group, cause), count): (&(String, String, &'static str), &u64)| {
            DeadLettered {
                topic: topic.clone(),
                group: group.clone(),
                cause,
                count: *count,
            }
        };
        moved.iter().map(counter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_the_bound_are_counted_together() {
        let metrics = Metrics::default();
        for n in 0..MAX_LABELS + 5 {
            metrics.dead_lettered(&format!("t{n}"), "g", Cause::Nacked);
        }
        metrics.dead_lettered("t3", "g", Cause::Nacked);
        let all = metrics.all();
        assert_eq!(all.len(), MAX_LABELS + 1);
        let count = |topic: &str| all.iter().find(|d| d.topic == topic).map(|d| d.count);
        assert_eq!(count(OTHER), Some(5));
        assert_eq!(count("t3"), Some(2));
        assert_eq!(count("t1002"), None);
    }
}
