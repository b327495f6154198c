//! Timers as data: a queue of deadlines by key. Whoever drives a machine sleeps until [`TimerQueue::next_deadline`].

use std::collections::{BTreeMap, BTreeSet};

/// Deadlines by key; a key has one deadline at most.
#[derive(Debug, Clone)]
pub struct TimerQueue<K> {
    deadlines: BTreeMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K: Ord + Clone> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue {
            deadlines: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> TimerQueue<K> {
    /// Sets (`Some(monotonic ms)`), replaces or clears (`None`) the deadline of `key`.
    pub fn apply(&mut self, key: K, deadline: Option<u64>) {
        let old = match deadline {
            Some(at) => self.deadlines.insert(key.clone(), at),
            None => self.deadlines.remove(&key),
        };
        if old == deadline {
            return;
        }
        let mut entry = (0, key);
        if let Some(at) = old {
            entry.0 = at;
            self.order.remove(&entry);
        }
        if let Some(at) = deadline {
            entry.0 = at;
            self.order.insert(entry);
        }
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest timer if it is due at `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<K> {
        if self.next_deadline()? > now_ms {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    /// Clears every timer that `gone` picks.
    pub fn clear_if(&mut self, gone: impl Fn(&K) -> bool) {
        self.deadlines.retain(|key, _| !gone(key));
        self.order.retain(|(_, key)| !gone(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_timer_fires_once_at_its_last_deadline() {
        let mut queue = TimerQueue::default();
        queue.apply("a", Some(10));
        queue.apply("b", Some(15));
        queue.apply("a", Some(20));
        assert_eq!(queue.next_deadline(), Some(15));
        assert_eq!(queue.pop_due(14), None);
        assert_eq!(queue.pop_due(30), Some("b"));
        assert_eq!(queue.pop_due(30), Some("a"));
        assert_eq!(queue.pop_due(30), None);
    }

    #[test]
    fn a_cleared_timer_does_not_fire() {
        let mut queue = TimerQueue::default();
        queue.apply("a", Some(10));
        queue.apply("a", None);
        assert_eq!(queue.pop_due(100), None);
        assert_eq!(queue.next_deadline(), None);
    }
}
