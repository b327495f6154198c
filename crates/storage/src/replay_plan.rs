//! What the journal says will become of the records that it holds: read before they are replayed, since a deletion at its end may
//! have taken the files of an append at its front.

use std::collections::{HashMap, HashSet};

use crate::journal::format::{JournalOp, Place};
use crate::meta;
use crate::partition::row::partition_key;
use crate::topic::TopicId;

#[derive(Debug, Default)]
struct PartitionPlan {
    /// Base offsets of the segments that are appended to.
    segments: Vec<i64>,
    /// The offset after the last append.
    end: i64,
    /// Where the log starts in the end.
    start: Option<i64>,
}

/// The fate of topics and records in a journal.
#[derive(Debug, Default)]
pub(crate) struct ReplayPlan {
    deleted: HashSet<TopicId>,
    partitions: HashMap<Vec<u8>, PartitionPlan>,
    /// The last deletion, of a topic or of records.
    last_deletion: u64,
}

impl ReplayPlan {
    /// Notes a commit.
    pub fn note(&mut self, seq: u64, ops: &[JournalOp]) {
        for op in ops {
            match op {
                JournalOp::Append(place, _) => {
                    let plan = self
                        .partitions
                        .entry(partition_key(&place.topic, place.partition))
                        .or_default();
                    if plan.segments.last() != Some(&place.segment) {
                        plan.segments.push(place.segment);
                    }
                    plan.end = place.next_offset;
                }
                JournalOp::Meta {
                    tree: meta::TOPICS,
                    key,
                    value: None,
                } => {
                    if let Ok(id) = TopicId::from_slice(key) {
                        self.deleted.insert(id);
                        self.last_deletion = seq;
                    }
                }
                JournalOp::Meta {
                    tree: meta::LOG_STARTS,
                    key,
                    value: Some(value),
                } => {
                    if let Ok(start) = value[..].try_into() {
                        let plan = self.partitions.entry(key.to_vec()).or_default();
                        plan.start = Some(i64::from_be_bytes(start));
                        self.last_deletion = seq;
                    }
                }
                JournalOp::Meta { .. } => {}
            }
        }
    }

    /// Whether the topic is deleted in the end. Its directories may hold another topic's files by now: they are left alone.
    pub fn is_deleted(&self, topic: &TopicId) -> bool {
        self.deleted.contains(topic)
    }

    /// Whether the segment of an append goes in the end, and its file may have gone already.
    pub fn goes(&self, place: &Place) -> bool {
        let key = partition_key(&place.topic, place.partition);
        let Some(plan) = self.partitions.get(&key) else {
            return false;
        };
        plan.start.is_some_and(|start| {
            start >= plan.end
                || plan
                    .segments
                    .iter()
                    .any(|base| *base > place.segment && *base <= start)
        })
    }

    /// Whether a journal that is cut before commit `seq` loses something that this plan was made with.
    pub fn looks_past(&self, seq: u64) -> bool {
        self.last_deletion >= seq
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::format::Body;

    const TOPIC: TopicId = TopicId::from_u128(1);

    fn append(segment: i64, base_offset: i64) -> (Place, JournalOp) {
        let place = Place {
            topic: TOPIC,
            partition: 0,
            base_offset,
            next_offset: base_offset + 5,
            segment,
            position: 0,
            now_ms: 0,
            max_timestamp: 0,
        };
        (place, JournalOp::Append(place, Body::Inline(Bytes::new())))
    }

    fn start(offset: i64) -> JournalOp {
        JournalOp::Meta {
            tree: meta::LOG_STARTS,
            key: Bytes::from(partition_key(&TOPIC, 0)),
            value: Some(Bytes::copy_from_slice(&offset.to_be_bytes())),
        }
    }

    #[test]
    fn a_segment_goes_if_the_start_reaches_the_next_one() {
        let mut plan = ReplayPlan::default();
        let (first, a) = append(0, 0);
        let (second, b) = append(5, 5);
        plan.note(1, &[a, b]);
        assert!(!plan.goes(&first));
        plan.note(2, &[start(4)]);
        assert!(!plan.goes(&first));
        plan.note(3, &[start(5)]);
        assert!(plan.goes(&first) && !plan.goes(&second));
        plan.note(4, &[start(10)]);
        assert!(plan.goes(&second), "the whole log is deleted");
        assert!(plan.looks_past(4) && !plan.looks_past(5));
    }

    #[test]
    fn a_deleted_topic_is_known_from_its_first_append_on() {
        let mut plan = ReplayPlan::default();
        assert!(!plan.is_deleted(&TOPIC));
        plan.note(
            9,
            &[JournalOp::Meta {
                tree: meta::TOPICS,
                key: Bytes::copy_from_slice(TOPIC.as_bytes()),
                value: None,
            }],
        );
        assert!(plan.is_deleted(&TOPIC) && plan.looks_past(9));
    }
}
