//! Consumers that have asked for their group's coordinator and have not joined yet.

use std::collections::VecDeque;

/// A client joins within milliseconds of its question, librdkafka within 50 and some. Who has not after this time, in milliseconds,
/// asked for something else.
const FORGOTTEN_AFTER_MS: u64 = 1_000;
/// How many are kept in mind; the first to ask is forgotten first.
const MAX_KEPT: usize = 1_000;
/// Group ids that are longer, in bytes, are not kept in mind.
const MAX_ID_LEN: usize = 255;

/// Who is on the way, of all groups. Nothing depends on it but how long the first rebalance of a group waits.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    /// Group ids, and when they were asked for, the first to ask in front.
    asked: VecDeque<(String, u64)>,
}

impl OnTheWay {
    /// Somebody asked for the coordinator of this group.
    pub fn asked(&mut self, group_id: &str, now_ms: u64) {
        self.forget(now_ms);
        if group_id.len() > MAX_ID_LEN {
            return;
        }
        if self.asked.len() == MAX_KEPT {
            self.asked.pop_front();
        }
        self.asked.push_back((group_id.to_owned(), now_ms));
    }

    /// A member joined: the first of those who asked, as far as anybody knows. When it did; `None` if nobody had asked.
    pub fn joined(&mut self, group_id: &str, now_ms: u64) -> Option<u64> {
        self.forget(now_ms);
        let first = self.asked.iter().position(|(id, _)| id == group_id)?;
        let (_, asked_ms) = self.asked.remove(first)?;
        Some(asked_ms)
    }

    /// Whether others are on the way.
    pub fn is_anybody(&mut self, group_id: &str, now_ms: u64) -> bool {
        self.forget(now_ms);
        self.asked.iter().any(|(id, _)| id == group_id)
    }

    fn forget(&mut self, now_ms: u64) {
        let is_old = |(_, asked_ms): &(String, u64)| asked_ms + FORGOTTEN_AFTER_MS <= now_ms;
        while self.asked.front().is_some_and(is_old) {
            self.asked.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joins_is_the_first_of_those_who_asked_for_that_group() {
        let mut on_the_way = OnTheWay::default();
        assert_eq!(on_the_way.joined("a", 0), None);
        on_the_way.asked("a", 1);
        on_the_way.asked("b", 2);
        on_the_way.asked("a", 3);
        assert_eq!(on_the_way.joined("a", 5), Some(1));
        assert!(on_the_way.is_anybody("a", 5));
        assert_eq!(on_the_way.joined("a", 5), Some(3));
        assert!(!on_the_way.is_anybody("a", 5));
        assert!(on_the_way.is_anybody("b", 5));
    }

    #[test]
    fn who_does_not_come_is_forgotten() {
        let mut on_the_way = OnTheWay::default();
        on_the_way.asked("a", 1);
        assert!(on_the_way.is_anybody("a", FORGOTTEN_AFTER_MS));
        assert!(!on_the_way.is_anybody("a", FORGOTTEN_AFTER_MS + 1));
        assert_eq!(on_the_way.asked.len(), 0);
    }

    #[test]
    fn only_so_many_are_kept_in_mind_and_no_long_names() {
        let mut on_the_way = OnTheWay::default();
        for i in 0..=MAX_KEPT {
            on_the_way.asked(&format!("group{i}"), 0);
        }
        assert_eq!(on_the_way.asked.len(), MAX_KEPT);
        assert!(!on_the_way.is_anybody("group0", 0));
        assert!(on_the_way.is_anybody("group1", 0));
        let long = "g".repeat(MAX_ID_LEN + 1);
        on_the_way.asked(&long, 0);
        assert!(!on_the_way.is_anybody(&long, 0));
    }
}
