//! What a load asks before it begins and after it ended, answered as a broker would: ApiVersions, Metadata, CreateTopics, ListOffsets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse, FetchRequest,
    FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse, ProduceRequest,
    ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::measure::TOPIC;

/// The bytes of a frame's length.
pub const LENGTH_LEN: usize = 4;
/// Where the correlation id is in a frame, its length included: the same in answers.
const REQUEST_CORRELATION_AT: usize = LENGTH_LEN + 4;

/// What clients are told to use: what loads of our own use, and what librdkafka needs for record batches.
const APIS: [(ApiKey, i16, i16); 6] = [
    (ApiKey::Produce, 3, PRODUCE),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 1, 9),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
];
const PRODUCE: i16 = 9;

/// The one topic, its one broker, and how many records were taken.
#[derive(Debug)]
pub struct Topic {
    broker: SocketAddr,
    partitions: AtomicI32,
    taken: AtomicI64,
}

impl Topic {
    /// Not made yet.
    pub fn at(broker: SocketAddr) -> Topic {
        Topic {
            broker,
            partitions: AtomicI32::new(0),
            taken: AtomicI64::new(0),
        }
    }

    /// Counts `records` more.
    pub fn add(&self, records: i64) {
        self.taken.fetch_add(records, Ordering::Relaxed);
    }

    /// Answers a whole frame (its length included) that is no part of a load.
    pub fn answer(&self, frame: &[u8]) -> Result<Bytes> {
        let mut body = Bytes::copy_from_slice(frame.get(LENGTH_LEN..).context("no length")?);
        let (api, header) = header(&mut body)?;
        let (version, id) = (header.request_api_version, header.correlation_id);
        match api {
            ApiKey::ApiVersions => {
                let keys = APIS.map(|(api, min, max)| {
                    ApiVersion::default()
                        .with_api_key(api as i16)
                        .with_min_version(min)
                        .with_max_version(max)
                });
                let answer = ApiVersionsResponse::default().with_api_keys(keys.to_vec());
                encode(api, version, id, &answer)
            }
            ApiKey::Metadata => encode(api, version, id, &self.metadata()),
            ApiKey::CreateTopics => {
                let request = CreateTopicsRequest::decode(&mut body, version)?;
                let topics = request.topics.into_iter().map(|topic| {
                    self.partitions
                        .store(topic.num_partitions, Ordering::Relaxed);
                    CreatableTopicResult::default().with_name(topic.name)
                });
                let answer = CreateTopicsResponse::default().with_topics(topics.collect());
                encode(api, version, id, &answer)
            }
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest::decode(&mut body, version)?;
                encode(api, version, id, &self.offsets(request))
            }
            other => bail!("a floor does not know {other:?}"),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_host(StrBytes::from_string(self.broker.ip().to_string()))
            .with_port(i32::from(self.broker.port()));
        let partitions = (0..self.partitions.load(Ordering::Relaxed)).map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(broker.node_id)
                .with_replica_nodes(vec![broker.node_id])
                .with_isr_nodes(vec![broker.node_id])
        });
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
            .with_partitions(partitions.collect());
        MetadataResponse::default()
            .with_controller_id(BrokerId(0))
            .with_brokers(vec![broker])
            .with_topics(vec![topic])
    }

    /// Only the sum is asked for: it all stands in the first partition.
    fn offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let taken = self.taken.load(Ordering::Relaxed);
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                let index = partition.partition_index;
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(index)
                    .with_offset(if index == 0 { taken } else { 0 })
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// Takes the header off a frame without its length.
fn header(body: &mut Bytes) -> Result<(ApiKey, RequestHeader)> {
    let key = body.first_chunk::<2>().context("no API key")?;
    let key = i16::from_be_bytes(*key);
    let api = ApiKey::try_from(key).map_err(|()| anyhow::anyhow!("unknown API {key}"))?;
    let version = body.get(2..4).context("no version")?;
    let version = i16::from_be_bytes([version[0], version[1]]);
    let header = RequestHeader::decode(body, api.request_header_version(version))?;
    Ok((api, header))
}

/// A request, as far as a load has it.
#[derive(Debug)]
pub enum Request {
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    /// What comes before a load, or after it: [`Topic::answer`].
    Other,
}

/// The request in a whole frame. Its batches are parts of the frame.
pub fn request(frame: &Bytes) -> Result<Request> {
    let mut body = frame.slice(LENGTH_LEN..);
    let (api, header) = header(&mut body)?;
    let version = header.request_api_version;
    Ok(match api {
        ApiKey::Produce => Request::Produce(ProduceRequest::decode(&mut body, version)?),
        ApiKey::Fetch => Request::Fetch(FetchRequest::decode(&mut body, version)?),
        _ => Request::Other,
    })
}

/// Whether a whole frame is a Produce request.
pub fn is_produce(frame: &[u8]) -> bool {
    frame.get(LENGTH_LEN..LENGTH_LEN + 2) == Some(&(ApiKey::Produce as i16).to_be_bytes())
}

/// The answer to every Produce request of a load (version 9) for that partition: only the correlation id differs.
pub fn produce_answer(partition: i32) -> Result<Bytes> {
    let partition = PartitionProduceResponse::default().with_index(partition);
    let topic = TopicProduceResponse::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partition_responses(vec![partition]);
    let answer = ProduceResponse::default().with_responses(vec![topic]);
    encode(ApiKey::Produce, PRODUCE, 0, &answer)
}

/// What comes before and after a batch of `length` bytes in the answer to every Fetch request of a load (version 12).
pub fn fetch_answer(length: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    /// Empty tagged fields of the partition, the topic and the answer.
    const TAIL: usize = 3;
    let partition = PartitionData::default().with_records(Some(vec![0; length].into()));
    let topic = FetchableTopicResponse::default()
        .with_topic(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions(vec![partition]);
    let answer = FetchResponse::default().with_responses(vec![topic]);
    let mut head = encode(ApiKey::Fetch, 12, 0, &answer)?.to_vec();
    let tail = head.split_off(head.len() - TAIL);
    head.truncate(head.len() - length);
    Ok((head, tail))
}

/// Gives `answer` the correlation id of the whole frame `request`.
pub fn correlate(answer: &mut [u8], request: &[u8]) -> Result<()> {
    let id = request.get(REQUEST_CORRELATION_AT..REQUEST_CORRELATION_AT + 4);
    answer[LENGTH_LEN..LENGTH_LEN + 4].copy_from_slice(id.context("no correlation id")?);
    Ok(())
}

/// The length of the whole frame that `buffer` begins with, its length field included; `None` until all of it is there.
pub fn whole_frame(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(length) = buffer.first_chunk::<LENGTH_LEN>() else {
        return Ok(None);
    };
    let whole = frame_len(*length)?;
    Ok((buffer.len() >= whole).then_some(whole))
}

/// The length of a whole frame, its length field included, of that field.
pub fn frame_len(field: [u8; LENGTH_LEN]) -> Result<usize> {
    let length = i32::from_be_bytes(field);
    ensure!((0..64 << 20).contains(&length), "a frame of {length} bytes");
    Ok(LENGTH_LEN + length as usize)
}

fn encode<R: Encodable>(api: ApiKey, version: i16, id: i32, answer: &R) -> Result<Bytes> {
    let mut body = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(id)
        .encode(&mut body, api.response_header_version(version))?;
    answer.encode(&mut body, version)?;
    let mut frame = BytesMut::with_capacity(body.len() + LENGTH_LEN);
    frame.put_i32(i32::try_from(body.len())?);
    frame.put(body);
    Ok(frame.freeze())
}
