//! Fetch responses on the hot path: headers are encoded by hand and record batches are put between them as chunks, untouched.

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::Api;
use crate::header::response_header_version;
use crate::response::{Chunk, LENGTH_LEN, ResponseBuf, begin};
use crate::wire::put_uvarint;

/// A fetch response whose records are chunks.
#[derive(Debug)]
pub struct FetchResponse<F> {
    /// Milliseconds that the client should wait; 0 without quotas.
    pub throttle_time_ms: i32,
    /// The top-level error code (sessions), 0 for none.
    pub error_code: i16,
    /// The fetch session's id, 0 for none.
    pub session_id: i32,
    /// The topics.
    pub topics: Vec<FetchTopic<F>>,
}

/// One topic of a fetch response.
#[derive(Debug)]
pub struct FetchTopic<F> {
    /// The name, up to version 12.
    pub name: StrBytes,
    /// The id, from version 13.
    pub topic_id: Uuid,
    /// The partitions.
    pub partitions: Vec<FetchPartition<F>>,
}

/// One partition of a fetch response.
#[derive(Debug)]
pub struct FetchPartition<F> {
    /// The partition's index.
    pub index: i32,
    /// The error code, 0 for none.
    pub error_code: i16,
    /// The high watermark, -1 when unknown.
    pub high_watermark: i64,
    /// The last stable offset, -1 when unknown.
    pub last_stable_offset: i64,
    /// The log's start offset, -1 when unknown.
    pub log_start_offset: i64,
    /// Aborted transactions (producer id, first offset); `None` for read_uncommitted.
    pub aborted_transactions: Option<Vec<(i64, i64)>>,
    /// Where the log ends in the epoch that the reader last fetched (epoch, end offset), if the reader's own log goes on
    /// beyond that (KIP-595). Left out before version 12.
    pub diverging_epoch: Option<(i32, i64)>,
    /// The preferred read replica; always -1 here.
    pub preferred_read_replica: i32,
    /// Whole record batches.
    pub records: Vec<Chunk<F>>,
}

/// Encodes a response of versions 4 to 18, its length and header included.
///
/// A frame is at most `i32::MAX` bytes: a partition whose records would go beyond comes without them,
/// and the consumer asks again.
pub fn encode<F>(version: i16, correlation_id: i32, response: FetchResponse<F>) -> ResponseBuf<F> {
    let mut encoder = Encoder {
        head: BytesMut::with_capacity(head_len(&response)),
        flexible: version >= 12,
        version,
        records_len: 0,
        cuts: Vec::with_capacity(response.topics.iter().map(|t| t.partitions.len()).sum()),
    };
    encoder.response(correlation_id, &response);
    encoder.finish(response)
}

/// An upper bound for the bytes around the records.
fn head_len<F>(response: &FetchResponse<F>) -> usize {
    const FIXED: usize = 32;
    const TOPIC: usize = 32;
    const PARTITION: usize = 80;
    let partition = |p: &FetchPartition<F>| {
        PARTITION + 16 * p.aborted_transactions.as_ref().map_or(0, Vec::len)
    };
    let topic = |t: &FetchTopic<F>| {
        TOPIC + t.name.len() + t.partitions.iter().map(partition).sum::<usize>()
    };
    FIXED + response.topics.iter().map(topic).sum::<usize>()
}

/// Writes everything but the records into one buffer, and remembers where records go between.
struct Encoder {
    head: BytesMut,
    flexible: bool,
    version: i16,
    records_len: usize,
    /// For each partition in order: where its records go, if it has any.
    cuts: Vec<Option<usize>>,
}

impl Encoder {
    fn response<F>(&mut self, correlation_id: i32, response: &FetchResponse<F>) {
        let header_version = response_header_version(Api::Fetch, self.version);
        begin(&mut self.head, header_version, correlation_id);
        self.head.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.head.put_i16(response.error_code);
            self.head.put_i32(response.session_id);
        }
        // What a frame can hold, less a generous estimate of what goes around the records.
        let room = (i32::MAX as usize).saturating_sub(self.head.capacity());
        self.count(response.topics.len());
        for topic in &response.topics {
            if self.version >= 13 {
                self.head.put_slice(topic.topic_id.as_bytes());
            } else {
                self.string(&topic.name);
            }
            self.count(topic.partitions.len());
            for partition in &topic.partitions {
                self.partition(partition, room);
            }
            self.no_tagged_fields();
        }
        // The node endpoints (version 16 on) are a tagged field, left out while empty.
        self.no_tagged_fields();
    }

    fn partition<F>(&mut self, partition: &FetchPartition<F>, room: usize) {
        self.head.put_i32(partition.index);
        self.head.put_i16(partition.error_code);
        self.head.put_i64(partition.high_watermark);
        self.head.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.head.put_i64(partition.log_start_offset);
        }
        match &partition.aborted_transactions {
            Some(aborted) => {
                self.count(aborted.len());
                for (producer_id, first_offset) in aborted {
                    self.head.put_i64(*producer_id);
                    self.head.put_i64(*first_offset);
                    self.no_tagged_fields();
                }
            }
            None if self.flexible => self.head.put_u8(0),
            None => self.head.put_i32(-1),
        }
        if self.version >= 11 {
            self.head.put_i32(partition.preferred_read_replica);
        }
        let mut len: usize = partition.records.iter().map(Chunk::len).sum();
        if self.records_len + len > room {
            len = 0;
        }
        self.records_len += len;
        // Never null: several clients take null records for a broken answer.
        self.count(len);
        self.cuts.push((len > 0).then_some(self.head.len()));
        self.tagged_partition_fields(partition.diverging_epoch);
    }

    /// The diverging epoch is tag 0; the current leader and the snapshot id are left out.
    fn tagged_partition_fields(&mut self, diverging_epoch: Option<(i32, i64)>) {
        let Some((epoch, end_offset)) = diverging_epoch.filter(|_| self.flexible) else {
            return self.no_tagged_fields();
        };
        self.head.put_u8(1);
        self.head.put_u8(0);
        self.head.put_u8(4 + 8 + 1);
        self.head.put_i32(epoch);
        self.head.put_i64(end_offset);
        self.no_tagged_fields();
    }

    fn finish<F>(mut self, response: FetchResponse<F>) -> ResponseBuf<F> {
        let length = self.head.len() + self.records_len - LENGTH_LEN;
        let length = i32::try_from(length).expect("records are left out before a frame overflows");
        self.head[..LENGTH_LEN].copy_from_slice(&length.to_be_bytes());
        let head = self.head.freeze();
        let mut chunks = Vec::with_capacity(2 * self.cuts.len() + 1);
        let mut start = 0;
        let partitions = response.topics.into_iter().flat_map(|t| t.partitions);
        for (partition, cut) in partitions.zip(self.cuts) {
            let Some(cut) = cut else { continue };
            chunks.push(Chunk::Bytes(head.slice(start..cut)));
            chunks.extend(partition.records.into_iter().filter(|c| !c.is_empty()));
            start = cut;
        }
        if start < head.len() {
            chunks.push(Chunk::Bytes(head.slice(start..)));
        }
        ResponseBuf { chunks }
    }

    /// The count of an array or the length of bytes.
    fn count(&mut self, count: usize) {
        if self.flexible {
            put_uvarint(&mut self.head, count as u32 + 1);
        } else {
            self.head.put_i32(count as i32);
        }
    }

    fn string(&mut self, string: &str) {
        if self.flexible {
            put_uvarint(&mut self.head, string.len() as u32 + 1);
        } else {
            self.head.put_i16(string.len() as i16);
        }
        self.head.put_slice(string.as_bytes());
    }

    fn no_tagged_fields(&mut self) {
        if self.flexible {
            self.head.put_u8(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes};
    use kafka_protocol::messages::{FetchResponse as Message, ResponseHeader};
    use kafka_protocol::protocol::Decodable;
    use proptest::prelude::*;

    use super::*;

    fn partition() -> impl Strategy<Value = FetchPartition<()>> {
        (
            any::<(i32, i16, i64, i64, i64)>(),
            proptest::option::of(prop::collection::vec(any::<(i64, i64)>(), 0..3)),
            proptest::option::of(any::<(i32, i64)>()),
            any::<i32>(),
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..3),
        )
            .prop_map(
                |(fixed, aborted_transactions, diverging_epoch, replica, records)| FetchPartition {
                    index: fixed.0,
                    error_code: fixed.1,
                    high_watermark: fixed.2,
                    last_stable_offset: fixed.3,
                    log_start_offset: fixed.4,
                    aborted_transactions,
                    diverging_epoch,
                    preferred_read_replica: replica,
                    records: records
                        .into_iter()
                        .map(|r| Chunk::Bytes(r.into()))
                        .collect(),
                },
            )
    }

    fn response() -> impl Strategy<Value = FetchResponse<()>> {
        let topic = (
            "[a-z]{1,200}",
            any::<u128>(),
            prop::collection::vec(partition(), 0..3),
        )
            .prop_map(|(name, id, partitions)| FetchTopic {
                name: StrBytes::from_string(name),
                topic_id: Uuid::from_u128(id),
                partitions,
            });
        (any::<(i32, i16, i32)>(), prop::collection::vec(topic, 0..3)).prop_map(
            |(fixed, topics)| FetchResponse {
                throttle_time_ms: fixed.0,
                error_code: fixed.1,
                session_id: fixed.2,
                topics,
            },
        )
    }

    fn concat(chunks: &[Chunk<()>]) -> Bytes {
        let parts = chunks.iter().map(|chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.as_ref(),
            Chunk::File { .. } => panic!("no files here"),
        });
        parts.collect::<Vec<_>>().concat().into()
    }

    /// The same answer again, as `encode` consumes it.
    fn copy(r: &FetchResponse<()>) -> FetchResponse<()> {
        let partition = |p: &FetchPartition<()>| FetchPartition {
            records: p.records.clone(),
            aborted_transactions: p.aborted_transactions.clone(),
            ..*p
        };
        let topics = r.topics.iter().map(|t| FetchTopic {
            name: t.name.clone(),
            topic_id: t.topic_id,
            partitions: t.partitions.iter().map(partition).collect(),
        });
        FetchResponse {
            topics: topics.collect(),
            ..*r
        }
    }

    proptest! {
        #[test]
        fn responses_of_every_version_are_what_kafka_protocol_reads(expected in response()) {
            for version in Api::Fetch.versions() {
                let buf = encode(version, 42, copy(&expected));
                prop_assert!(buf.chunks.iter().all(|c| !c.is_empty()));
                let mut bytes = concat(&buf.chunks);
                prop_assert_eq!(bytes.len(), buf.len());
                prop_assert_eq!(bytes.get_i32() as usize, bytes.len());
                let header = ResponseHeader::decode(&mut bytes, response_header_version(Api::Fetch, version)).unwrap();
                prop_assert_eq!(header.correlation_id, 42);
                let read = Message::decode(&mut bytes, version).unwrap();
                prop_assert!(bytes.is_empty());
                prop_assert_eq!(read.throttle_time_ms, expected.throttle_time_ms);
                if version >= 7 {
                    prop_assert_eq!((read.error_code, read.session_id), (expected.error_code, expected.session_id));
                }
                prop_assert_eq!(read.responses.len(), expected.topics.len());
                for (topic, want) in read.responses.iter().zip(&expected.topics) {
                    if version >= 13 {
                        prop_assert_eq!(topic.topic_id, want.topic_id);
                    } else {
                        prop_assert_eq!(&topic.topic.0, &want.name);
                    }
                    prop_assert_eq!(topic.partitions.len(), want.partitions.len());
                    for (partition, want) in topic.partitions.iter().zip(&want.partitions) {
                        prop_assert_eq!(partition.partition_index, want.index);
                        prop_assert_eq!(partition.error_code, want.error_code);
                        prop_assert_eq!(partition.high_watermark, want.high_watermark);
                        prop_assert_eq!(partition.last_stable_offset, want.last_stable_offset);
                        if version >= 5 {
                            prop_assert_eq!(partition.log_start_offset, want.log_start_offset);
                        }
                        let aborted = partition.aborted_transactions.as_ref().map(|list| {
                            list.iter().map(|a| (a.producer_id.0, a.first_offset)).collect::<Vec<_>>()
                        });
                        prop_assert_eq!(&aborted, &want.aborted_transactions);
                        if version >= 11 {
                            prop_assert_eq!(partition.preferred_read_replica.0, want.preferred_read_replica);
                        }
                        if version >= 12 {
                            let diverging = &partition.diverging_epoch;
                            let told = (diverging.epoch, diverging.end_offset);
                            prop_assert_eq!(told, want.diverging_epoch.unwrap_or((-1, -1)));
                        }
                        prop_assert_eq!(partition.records.clone(), Some(concat(&want.records)));
                    }
                }
            }
        }
    }

    fn one_partition<F>(records: Vec<Vec<Chunk<F>>>) -> FetchResponse<F> {
        let partitions = records.into_iter().map(|records| FetchPartition {
            index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: 0,
            log_start_offset: 0,
            aborted_transactions: None,
            diverging_epoch: None,
            preferred_read_replica: -1,
            records,
        });
        FetchResponse {
            throttle_time_ms: 0,
            error_code: 0,
            session_id: 0,
            topics: vec![FetchTopic {
                name: StrBytes::from_static_str("t"),
                topic_id: Uuid::nil(),
                partitions: partitions.collect(),
            }],
        }
    }

    #[test]
    fn records_are_chunks_of_their_own_and_not_copied() {
        let records = Bytes::from(vec![3; 1000]);
        let file = Chunk::File {
            file: "segment",
            position: 5,
            len: 77,
        };
        let response = one_partition(vec![vec![Chunk::Bytes(records.clone()), file], vec![]]);
        let buf = encode(12, 1, response);
        assert_eq!(buf.chunks.len(), 4);
        assert!(matches!(&buf.chunks[1], Chunk::Bytes(b) if b.as_ptr() == records.as_ptr()));
        assert!(matches!(
            &buf.chunks[2],
            Chunk::File {
                position: 5,
                len: 77,
                ..
            }
        ));
        let Chunk::Bytes(first) = &buf.chunks[0] else {
            panic!("a response starts with its length");
        };
        assert_eq!((&first[..4]).get_i32() as usize, buf.len() - LENGTH_LEN);
    }

    #[test]
    fn records_beyond_what_a_frame_can_hold_are_left_out() {
        let huge = |len| {
            vec![Chunk::File {
                file: (),
                position: 0,
                len,
            }]
        };
        let response = one_partition(vec![huge(2_000_000_000), huge(1_000_000_000), huge(1000)]);
        let buf = encode(12, 1, response);
        assert!(buf.len() <= i32::MAX as usize);
        let files: Vec<usize> = buf
            .chunks
            .iter()
            .filter(|c| matches!(c, Chunk::File { .. }))
            .map(Chunk::len)
            .collect();
        assert_eq!(files, [2_000_000_000, 1000]);
    }

    #[test]
    fn the_buffer_around_the_records_is_allocated_once() {
        for version in Api::Fetch.versions() {
            let response = one_partition::<()>(vec![vec![]; 50]);
            let bound = head_len(&response);
            assert!(encode(version, 1, response).len() <= bound, "v{version}");
        }
    }
}
