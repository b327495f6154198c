//! Consumers that have asked for their group's coordinator and have not joined yet.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// A client joins within milliseconds of its question, librdkafka within 50 and some. Who has not after this time, in milliseconds,
/// asked for something else.
const FORGOTTEN_AFTER_MS: u64 = 1_000;
/// librdkafka asks a second time on its second connection, which it makes `reconnect.backoff.ms` / 2 after the first: so many
/// milliseconds after its first question.
const ASKED_AGAIN_AFTER_MS: RangeInclusive<u64> = 40..=70;
/// How many are kept in mind; the first to ask is forgotten first.
const MAX_KEPT: usize = 1_000;
/// Group ids that are longer, in bytes, are not kept in mind.
const MAX_ID_LEN: usize = 255;

/// Who is on the way, of all groups. Nothing depends on it but how long the first rebalance of a group waits.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    /// The first to ask in front.
    asked: VecDeque<Asked>,
}

#[derive(Debug)]
struct Asked {
    group_id: String,
    at_ms: u64,
    has_joined: bool,
    has_asked_again: bool,
}

impl OnTheWay {
    /// Somebody asked for the coordinator of this group. Whether it is somebody who had not asked before.
    pub fn asked(&mut self, group_id: &str, now_ms: u64) -> bool {
        self.forget(now_ms);
        if group_id.len() > MAX_ID_LEN {
            return false;
        }
        let may_ask_again = |asked: &&mut Asked| {
            asked.group_id == group_id
                && !asked.has_asked_again
                && ASKED_AGAIN_AFTER_MS.contains(&(now_ms - asked.at_ms))
        };
        if let Some(before) = self.asked.iter_mut().find(may_ask_again) {
            before.has_asked_again = true;
            return false;
        }
        if self.asked.len() == MAX_KEPT {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked {
            group_id: group_id.to_owned(),
            at_ms: now_ms,
            has_joined: false,
            has_asked_again: false,
        });
        true
    }

    /// A member joined: the first of those who asked, as far as anybody knows. When it did; `None` if nobody had asked.
    pub fn joined(&mut self, group_id: &str, now_ms: u64) -> Option<u64> {
        self.forget(now_ms);
        let first = self.awaited(group_id).next()?;
        first.has_joined = true;
        Some(first.at_ms)
    }

    /// Whether others are on the way.
    pub fn is_anybody(&mut self, group_id: &str, now_ms: u64) -> bool {
        self.forget(now_ms);
        self.awaited(group_id).next().is_some()
    }

    fn awaited(&mut self, group_id: &str) -> impl Iterator<Item = &mut Asked> {
        let of_group = move |asked: &&mut Asked| asked.group_id == group_id && !asked.has_joined;
        self.asked.iter_mut().filter(of_group)
    }

    fn forget(&mut self, now_ms: u64) {
        let is_old = |asked: &Asked| asked.at_ms + FORGOTTEN_AFTER_MS <= now_ms;
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
        for (group_id, now_ms) in [("a", 1), ("b", 2), ("a", 3)] {
            assert!(on_the_way.asked(group_id, now_ms));
        }
        assert_eq!(on_the_way.joined("a", 5), Some(1));
        assert!(on_the_way.is_anybody("a", 5));
        assert_eq!(on_the_way.joined("a", 5), Some(3));
        assert!(!on_the_way.is_anybody("a", 5));
        assert!(on_the_way.is_anybody("b", 5));
    }

    #[test]
    fn a_second_question_50_ms_after_the_first_is_the_same_client_s() {
        let mut on_the_way = OnTheWay::default();
        assert!(on_the_way.asked("a", 0));
        assert!(on_the_way.asked("a", 39), "another one");
        assert_eq!(on_the_way.joined("a", 40), Some(0));
        assert!(!on_the_way.asked("a", 50), "the first again");
        assert!(on_the_way.asked("a", 51), "a third one");
        assert!(!on_the_way.asked("a", 89), "the second again");
        assert_eq!(on_the_way.joined("a", 90), Some(39));
        assert_eq!(on_the_way.joined("a", 90), Some(51));
        assert!(!on_the_way.is_anybody("a", 90));
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
        assert!(!on_the_way.asked(&long, 0));
        assert!(!on_the_way.is_anybody(&long, 0));
    }
}
