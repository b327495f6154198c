//! Records that wait to be sent, by partition.

use std::collections::BTreeMap;

use ottla_codec::records::Record;

/// What a record takes beside its key, value and headers, at most: lengths, deltas, attributes.
const RECORD_OVERHEAD: usize = 21;

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Record>,
    bytes: usize,
}

/// Records that wait to be sent, by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Batches {
    waiting: BTreeMap<String, BTreeMap<i32, Waiting>>,
}

impl Batches {
    /// Adds a record; returns how many bytes wait for its partition.
    pub(super) fn add(&mut self, topic: &str, partition: i32, mut record: Record) -> usize {
        if !self.waiting.contains_key(topic) {
            self.waiting.insert(topic.to_owned(), BTreeMap::new());
        }
        let partitions = self
            .waiting
            .get_mut(topic)
            .expect("the topic was just inserted");
        let waiting = partitions.entry(partition).or_default();
        record.offset = i64::try_from(waiting.records.len()).expect("a batch fits in memory");
        waiting.bytes += size(&record);
        waiting.records.push(record);
        waiting.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everything that waits.
    pub(super) fn take(&mut self) -> Vec<(String, i32, Vec<Record>)> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .flat_map(|(topic, partitions)| {
                partitions
                    .into_iter()
                    .map(move |(partition, waiting)| (topic.clone(), partition, waiting.records))
            })
            .collect()
    }
}

fn size(record: &Record) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|h| h.key.len() + h.value.as_ref().map_or(0, |v| v.len()) + 10)
        .sum();
    let key = record.key.as_ref().map_or(0, |key| key.len());
    let value = record.value.as_ref().map_or(0, |value| value.len());
    RECORD_OVERHEAD + key + value + headers
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn records_gather_by_partition_with_offsets_from_zero() {
        let record = Record {
            offset: 9,
            timestamp: 0,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: Vec::new(),
        };
        let mut batches = Batches::default();
        let first = batches.add("t", 0, record.clone());
        assert_eq!(batches.add("t", 0, record.clone()), 2 * first);
        batches.add("t", 1, record);
        let taken = batches.take();
        assert_eq!(taken.len(), 2);
        let offsets: Vec<_> = taken[0].2.iter().map(|r| r.offset).collect();
        assert_eq!(offsets, [0, 1]);
        assert!(batches.is_empty());
    }
}
