//! What clients of the simulation ask for, as requests to handlers.

use bytes::{Bytes, BytesMut};
use ottla_codec::StrBytes;
use ottla_codec::api::Api;
use ottla_codec::batch::BatchHeader;
use ottla_codec::control::{self, Outcome};
use ottla_codec::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_codec::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_codec::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_codec::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_codec::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DeleteRecordsRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, GroupId, InitProducerIdRequest,
    OffsetFetchRequest, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use ottla_codec::produce::{ProducePartition, ProduceRequest, ProduceTopic};
use ottla_codec::records::{BatchBuilder, Record, iterate};
use ottla_coordinator::transactions::{ProducerEpoch, TransactionVersion};

use super::client::NOBODY;
use super::process::later;
use super::{GROUP, INPUTS, Place, place_of};
use crate::handlers;
use crate::reply::Later;
use crate::simulated::{Process, in_memory, poll};

/// A client's request.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Init(Option<ProducerEpoch>),
    /// Where its input was committed.
    Position,
    AddPartitions(Vec<usize>),
    /// A batch into an account's partition.
    Produce {
        account: usize,
        sequence: i32,
        records: Vec<Bytes>,
    },
    AddOffsets,
    Offsets(i64),
    End(Outcome),
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    /// The input's partition, and the number of the transactional id.
    pub input: i32,
    pub version: TransactionVersion,
    pub producer: ProducerEpoch,
    pub timeout_ms: i32,
}

/// An answer, as far as anybody looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub error: i16,
    /// Of an Init, or an End.
    pub producer: ProducerEpoch,
    /// Of a Position.
    pub offset: i64,
}

impl Answer {
    fn of(error: i16) -> Answer {
        Answer {
            error,
            producer: NOBODY,
            offset: -1,
        }
    }
}

pub(super) fn transactional_id(input: i32) -> TransactionalId {
    TransactionalId(StrBytes::from_string(format!("t-{input}")))
}

fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

fn map<R: Send + 'static>(
    reply: crate::reply::Reply<R>,
    answer: impl FnOnce(R) -> Answer + Send + 'static,
) -> Later<Answer> {
    let waits = later(reply);
    Box::pin(async move { answer(waits.await) })
}

/// Hands a request to its handler.
pub(super) fn send(process: &Process, who: Identity, call: &Call, now_ms: i64) -> Later<Answer> {
    let v2 = who.version == TransactionVersion::V2;
    let version = |first: i16, second: i16| if v2 { second } else { first };
    let id = transactional_id(who.input);
    let (producer_id, epoch) = (ProducerId(who.producer.producer_id), who.producer.epoch);
    match call {
        Call::Init(expected) => {
            let mut request = InitProducerIdRequest::default()
                .with_transactional_id(Some(id))
                .with_transaction_timeout_ms(who.timeout_ms)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            if let Some(expected) = expected {
                request = request
                    .with_producer_id(ProducerId(expected.producer_id))
                    .with_producer_epoch(expected.epoch);
            }
            let ctx = process.context(Api::InitProducerId, 4);
            map(handlers::init_producer_id::handle(&ctx, request), |r| {
                Answer {
                    producer: ProducerEpoch {
                        producer_id: r.producer_id.0,
                        epoch: r.producer_epoch,
                    },
                    ..Answer::of(r.error_code)
                }
            })
        }
        Call::Position => {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(topic_name(INPUTS.0))
                .with_partition_indexes(vec![who.input]);
            position(process, topic, true)
        }
        Call::AddPartitions(accounts) => {
            let topics = accounts.iter().map(|account| {
                let Place { topic, partition } = place_of(*account);
                AddPartitionsToTxnTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(vec![partition])
            });
            let request = AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(id)
                .with_v3_and_below_producer_id(producer_id)
                .with_v3_and_below_producer_epoch(epoch)
                .with_v3_and_below_topics(topics.collect());
            let ctx = process.context(Api::AddPartitionsToTxn, 3);
            map(
                handlers::add_partitions_to_txn::handle(&ctx, request),
                |r| {
                    let topics = r.results_by_topic_v3_and_below.iter();
                    let mut codes = topics
                        .flat_map(|t| &t.results_by_partition)
                        .map(|p| p.partition_error_code);
                    Answer::of(codes.find(|code| *code != 0).unwrap_or(0))
                },
            )
        }
        Call::Produce {
            account,
            sequence,
            records,
        } => {
            let builder = BatchBuilder {
                producer_id: who.producer.producer_id,
                producer_epoch: epoch,
                base_sequence: *sequence,
                transactional: true,
                ..BatchBuilder::default()
            };
            let id = id.0.clone();
            produce(
                process,
                version(11, 12),
                Some(id),
                place_of(*account),
                &builder,
                records,
                now_ms,
            )
        }
        Call::AddOffsets => {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(id)
                .with_producer_id(producer_id)
                .with_producer_epoch(epoch)
                .with_group_id(group());
            let ctx = process.context(Api::AddOffsetsToTxn, 3);
            map(handlers::add_offsets_to_txn::handle(&ctx, request), |r| {
                Answer::of(r.error_code)
            })
        }
        Call::Offsets(offset) => {
            let partition = TxnOffsetCommitRequestPartition::default()
                .with_partition_index(who.input)
                .with_committed_offset(*offset);
            let topic = TxnOffsetCommitRequestTopic::default()
                .with_name(topic_name(INPUTS.0))
                .with_partitions(vec![partition]);
            let request = TxnOffsetCommitRequest::default()
                .with_transactional_id(id)
                .with_group_id(group())
                .with_producer_id(producer_id)
                .with_producer_epoch(epoch)
                .with_generation_id(-1)
                .with_topics(vec![topic]);
            let ctx = process.context(Api::TxnOffsetCommit, version(3, 5));
            map(handlers::txn_offset_commit::handle(&ctx, request), |r| {
                Answer::of(r.topics[0].partitions[0].error_code)
            })
        }
        Call::End(outcome) => {
            let request = EndTxnRequest::default()
                .with_transactional_id(id)
                .with_producer_id(producer_id)
                .with_producer_epoch(epoch)
                .with_committed(*outcome == Outcome::Commit);
            let ctx = process.context(Api::EndTxn, version(4, 5));
            map(handlers::end_txn::handle(&ctx, request), |r| Answer {
                producer: ProducerEpoch {
                    producer_id: r.producer_id.0,
                    epoch: r.producer_epoch,
                },
                ..Answer::of(r.error_code)
            })
        }
    }
}

/// Appends a batch with these values.
pub(super) fn produce(
    process: &Process,
    version: i16,
    transactional_id: Option<StrBytes>,
    place: Place,
    builder: &BatchBuilder,
    values: &[Bytes],
    now_ms: i64,
) -> Later<Answer> {
    let records = values.iter().zip(0..).map(|(value, offset)| Record {
        offset,
        timestamp: now_ms,
        key: None,
        value: Some(value.clone()),
        headers: Vec::new(),
    });
    let batch = builder.build(&records.collect::<Vec<_>>());
    let request = ProduceRequest {
        transactional_id,
        acks: -1,
        timeout_ms: 1000,
        topics: vec![ProduceTopic {
            name: StrBytes::from_static_str(place.topic),
            topic_id: Default::default(),
            partitions: vec![ProducePartition {
                index: place.partition,
                records: Some(BytesMut::from(&batch[..])),
            }],
        }],
    };
    let ctx = process.context(Api::Produce, version);
    map(handlers::produce::handle(&ctx, request), |r| {
        Answer::of(r.responses[0].partition_responses[0].error_code)
    })
}

fn position(process: &Process, topic: OffsetFetchRequestTopics, stable: bool) -> Later<Answer> {
    let request = OffsetFetchRequest::default()
        .with_require_stable(stable)
        .with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(group())
                .with_topics(Some(vec![topic])),
        ]);
    let ctx = process.context(Api::OffsetFetch, 8);
    map(handlers::offset_fetch::handle(&ctx, request), |r| {
        let group = &r.groups[0];
        if group.error_code != 0 {
            return Answer::of(group.error_code);
        }
        let partition = &group.topics[0].partitions[0];
        Answer {
            offset: partition.committed_offset,
            ..Answer::of(partition.error_code)
        }
    })
}

/// What is committed of an input's partition: an error code, and the offset or -1.
pub(super) fn committed(process: &Process, input: i32, stable: bool) -> (i16, i64) {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name(INPUTS.0))
        .with_partition_indexes(vec![input]);
    let mut waits = position(process, topic, stable);
    loop {
        match poll(&mut waits) {
            std::task::Poll::Ready(answer) => return (answer.error, answer.offset),
            std::task::Poll::Pending => assert!(process.stepped.write(), "nothing is under way"),
        }
    }
}

/// DeleteRecords; nobody waits for it.
pub(super) fn delete_records(process: &Process, place: Place, offset: i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(place.partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(place.topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let ctx = process.context(Api::DeleteRecords, 2);
    drop(handlers::delete_records::handle(&ctx, request));
}

/// The state of a transactional id as DescribeTransactions shows it, its producer id, and the partitions.
pub(super) fn describe(process: &Process, input: i32) -> (String, i64, Vec<(String, i32)>) {
    let request = DescribeTransactionsRequest::default()
        .with_transactional_ids(vec![transactional_id(input)]);
    let ctx = process.context(Api::DescribeTransactions, 0);
    let answer = process.answer(handlers::describe_transactions::handle(&ctx, request));
    let state = &answer.transaction_states[0];
    let partitions = state.topics.iter().flat_map(|t| {
        let partitions = t.partitions.iter();
        partitions.map(|p| (t.topic.to_string(), *p))
    });
    (
        state.transaction_state.to_string(),
        state.producer_id.0,
        partitions.collect(),
    )
}

/// A batch that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub base: i64,
    pub next: i64,
    pub crc: u32,
    pub producer_id: i64,
    pub transactional: bool,
    pub marker: Option<Outcome>,
    /// Offset and value.
    pub records: Vec<(i64, Bytes)>,
}

/// What a fetch found.
pub(super) struct Fetched {
    pub batches: Vec<Read>,
    pub aborted: Vec<(i64, i64)>,
    pub log_start: i64,
    pub last_stable: i64,
    pub high_watermark: i64,
}

/// Fetches from a partition; the error's code if there is one.
pub(super) fn fetch(
    process: &Process,
    place: Place,
    from: i64,
    committed: bool,
    max: i32,
) -> Result<Fetched, i16> {
    let partition = FetchPartition::default()
        .with_partition(place.partition)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_fetch_offset(from)
        .with_partition_max_bytes(max);
    let topic = FetchTopic::default()
        .with_topic(topic_name(place.topic))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_isolation_level(i8::from(committed))
        .with_topics(vec![topic]);
    let ctx = process.context(Api::Fetch, 12);
    let mut answer = process.answer(handlers::fetch::handle(&ctx, request));
    let partition = answer.topics.remove(0).partitions.remove(0);
    if partition.error_code != 0 {
        return Err(partition.error_code);
    }
    let bytes = in_memory(&partition.records).map_err(|_| -1_i16)?;
    Ok(Fetched {
        batches: batches(bytes.freeze()),
        aborted: partition.aborted_transactions.unwrap_or_default(),
        log_start: partition.log_start_offset,
        last_stable: partition.last_stable_offset,
        high_watermark: partition.high_watermark,
    })
}

fn batches(mut bytes: Bytes) -> Vec<Read> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).expect("a whole batch");
        let batch = bytes.split_to(header.size);
        let marker = control::outcome(&header, &batch);
        let records = iterate(batch, 1 << 20).expect("records");
        found.push(Read {
            base: header.base_offset,
            next: header.next_offset(),
            crc: header.crc,
            producer_id: header.producer_id,
            transactional: header.is_transactional(),
            marker,
            records: records
                .map(|r| r.expect("a record"))
                .filter(|_| !header.is_control())
                .map(|r| (r.offset, r.value.unwrap_or_default()))
                .collect(),
        });
    }
    found
}
