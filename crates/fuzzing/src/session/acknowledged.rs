//! What the broker said it has kept: it must be there afterwards, whatever happened.

use std::collections::{BTreeMap, HashSet};

use bytes::{Bytes, BytesMut};
use ottla_broker::simulated::{Simulated, in_memory};
use ottla_codec::batch::{self, BatchHeader, HEADER_LEN};
use ottla_codec::produce::ProduceRequest;
use ottla_storage::{Partition, Topic, TopicId};

/// A partition's batch in a produce request.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The topic's name or id, as it was said.
    topic: Vec<u8>,
    /// The topic, once it is known.
    id: Option<TopicId>,
    partition: i32,
    header: BatchHeader,
    records: Bytes,
}

impl Sent {
    pub fn of(request: ProduceRequest) -> Vec<Sent> {
        let mut all = Vec::new();
        for topic in request.topics {
            let name = match topic.name.is_empty() {
                true => topic.topic_id.as_bytes().to_vec(),
                false => topic.name.as_bytes().to_vec(),
            };
            for partition in topic.partitions {
                let batch: BytesMut = partition.records.unwrap_or_default();
                let Some(header) = batch::check_all(&batch).ok().and_then(|all| match all[..] {
                    [one] => Some(one),
                    _ => None,
                }) else {
                    continue;
                };
                all.push(Sent {
                    topic: name.clone(),
                    id: None,
                    partition: partition.index,
                    header,
                    records: batch.freeze().slice(HEADER_LEN..),
                });
            }
        }
        all
    }

    /// Which topic it went to: the one of its name when it arrived.
    pub fn arrived(&mut self, broker: &Simulated) {
        let topics = broker.store().topics();
        let by_id = TopicId::from_slice(&self.topic).ok();
        let found = by_id.and_then(|id| topics.by_id(&id).cloned());
        let by_name = || {
            std::str::from_utf8(&self.topic)
                .ok()
                .and_then(|n| topics.by_name(n))
        };
        self.id = found.or_else(|| by_name().cloned()).map(|topic| topic.id);
    }
}

#[derive(Debug)]
struct Kept {
    header: BatchHeader,
    records: Bytes,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    kept: BTreeMap<(TopicId, i32, i64), Kept>,
    /// Topics that compaction may have gone over.
    thinned: HashSet<TopicId>,
}

impl Acknowledged {
    /// These were kept: topic, partition and base offset.
    pub fn note(&mut self, sent: &[Sent], kept: &[(Vec<u8>, i32, i64)]) {
        for (topic, partition, offset) in kept {
            // A partition twice in one request is not told apart.
            let mut of = sent
                .iter()
                .filter(|s| s.topic == *topic && s.partition == *partition);
            let (Some(one), None) = (of.next(), of.next()) else {
                continue;
            };
            if let Some(id) = one.id {
                let kept = Kept {
                    header: one.header,
                    records: one.records.clone(),
                };
                self.kept.insert((id, *partition, *offset), kept);
            }
        }
    }

    /// Compaction is about to run.
    pub fn thin(&mut self, broker: &Simulated) {
        let compacted = |topic: &&std::sync::Arc<Topic>| {
            topic
                .configs
                .get("cleanup.policy")
                .is_some_and(|policy| policy.contains("compact"))
        };
        let topics = broker.store().topics();
        self.thinned
            .extend(topics.iter().filter(compacted).map(|topic| topic.id));
    }

    /// Everything goes, by an order that is no request of Kafka's.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// Looks for everything.
    pub fn verify(&self, broker: &Simulated) {
        for ((id, index, offset), kept) in &self.kept {
            let topics = broker.store().topics();
            if topics.by_id(id).is_none() || self.thinned.contains(id) {
                continue;
            }
            let partition = broker
                .store()
                .partition(id, *index)
                .expect("a partition with records is there");
            let next = offset + i64::from(kept.header.last_offset_delta) + 1;
            let start = partition.log_start_offset();
            let end = partition.high_watermark();
            assert!(
                end >= next,
                "acknowledged up to {next}, and the log ends at {end}"
            );
            if *offset >= start {
                find(&partition, *offset, kept);
            }
        }
    }
}

fn find(partition: &Partition, offset: i64, kept: &Kept) {
    let read = partition
        .read(offset, i64::MAX, 1, true)
        .expect("what was acknowledged can be read");
    let batch = in_memory(&read.chunks).expect("a file can be read");
    let found = BatchHeader::parse(&batch).expect("a batch is in the log");
    batch::check_crc(&batch[..found.size]).expect("what was acknowledged is whole");
    // One that was sent twice is acknowledged with the place of the first.
    if kept.header.has_producer_id() {
        assert!(found.base_offset <= offset && offset < found.next_offset());
        return;
    }
    assert_eq!(found.base_offset, offset);
    assert_eq!(found.record_count, kept.header.record_count);
    if found.compression() == kept.header.compression() {
        assert_eq!(
            &batch[HEADER_LEN..found.size],
            &kept.records[..],
            "what was acknowledged is something else"
        );
    }
}
