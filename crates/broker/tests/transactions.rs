//! Transactions over the wire: what a reader of committed records sees, what a restart keeps, who is fenced.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use ottla_broker::Broker;
use ottla_broker::settings::BrokerConfig;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_codec::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_codec::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_codec::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, BrokerId, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FindCoordinatorRequest, GroupId,
    InitProducerIdRequest, ListOffsetsRequest, ListTransactionsRequest, OffsetFetchRequest,
    ProducerId, TransactionalId, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use ottla_codec::records::{BatchBuilder, Record};
use support::member::{commit_outside, committed, create_topic, text};
use support::*;

/// The last of the versions in which a partition is added before its first batch, and the first in which it joins by it.
const V1: Versions = Versions {
    produce: 11,
    end: 4,
    commit: 4,
};
const V2: Versions = Versions {
    produce: 12,
    end: 5,
    commit: 5,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Versions {
    produce: i16,
    end: i16,
    commit: i16,
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

fn code(error: ResponseError) -> i16 {
    error.code()
}

/// A transactional producer, by hand.
struct Producer {
    connection: Connection,
    id: &'static str,
    producer_id: i64,
    epoch: i16,
    sequences: std::collections::BTreeMap<(String, i32), i32>,
    versions: Versions,
}

impl Producer {
    async fn init(
        running: &Running,
        id: &'static str,
        versions: Versions,
        timeout_ms: i32,
    ) -> Producer {
        let mut producer = Producer {
            connection: running.connect().await,
            id,
            producer_id: -1,
            epoch: -1,
            sequences: Default::default(),
            versions,
        };
        assert_eq!(producer.init_again(timeout_ms).await, 0);
        producer
    }

    async fn init_again(&mut self, timeout_ms: i32) -> i16 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional(self.id)))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch);
        let answer = self.connection.call(4, &request).await.unwrap();
        if answer.error_code == 0 {
            self.producer_id = answer.producer_id.0;
            self.epoch = answer.producer_epoch;
            self.sequences.clear();
        }
        answer.error_code
    }

    async fn add(&mut self, topic: &str, partitions: &[i32]) -> Vec<i16> {
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(self.id))
            .with_v3_and_below_producer_id(ProducerId(self.producer_id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![
                AddPartitionsToTxnTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions.to_vec()),
            ]);
        let answer = self.connection.call(3, &request).await.unwrap();
        let topic = &answer.results_by_topic_v3_and_below[0];
        topic
            .results_by_partition
            .iter()
            .map(|p| p.partition_error_code)
            .collect()
    }

    /// Sends a record, after adding the partition where that is due.
    async fn send(&mut self, topic: &str, partition: i32, value: &'static str) -> i16 {
        if self.versions == V1 {
            let added = self.add(topic, &[partition]).await;
            if added != [0] {
                return added[0];
            }
        }
        self.send_alone(topic, partition, value).await
    }

    async fn send_alone(&mut self, topic: &str, partition: i32, value: &'static str) -> i16 {
        let sequence = self
            .sequences
            .entry((topic.to_owned(), partition))
            .or_default();
        let batch = BatchBuilder {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            base_sequence: *sequence,
            transactional: true,
            ..BatchBuilder::default()
        }
        .build(&[Record {
            offset: 0,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: vec![],
        }]);
        let mut request =
            produce_request(topic, -1, batch).with_transactional_id(Some(transactional(self.id)));
        request.topic_data[0].partition_data[0].index = partition;
        let answer = self
            .connection
            .call(self.versions.produce, &request)
            .await
            .unwrap();
        let (error, _) = produced(&answer);
        if error == 0 {
            *sequence += 1;
        }
        error
    }

    async fn end(&mut self, commit: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional(self.id))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(commit);
        let answer = self
            .connection
            .call(self.versions.end, &request)
            .await
            .unwrap();
        if answer.error_code == 0 && self.versions == V2 {
            if (self.producer_id, self.epoch) != (answer.producer_id.0, answer.producer_epoch) {
                self.sequences.clear();
            }
            self.producer_id = answer.producer_id.0;
            self.epoch = answer.producer_epoch;
        }
        answer.error_code
    }

    async fn commit_offset(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        if self.versions == V1 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(transactional(self.id))
                .with_producer_id(ProducerId(self.producer_id))
                .with_producer_epoch(self.epoch)
                .with_group_id(GroupId(text(group)));
            let answer = self.connection.call(3, &request).await.unwrap();
            if answer.error_code != 0 {
                return answer.error_code;
            }
        }
        self.commit_offset_alone(group, topic, offset).await
    }

    async fn commit_offset_alone(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        let codes = self
            .commit_noted(group, topic, &[(0, offset, "note")])
            .await;
        codes[0]
    }

    /// Partition, offset and metadata of each.
    async fn commit_noted(
        &mut self,
        group: &str,
        topic: &str,
        offsets: &[(i32, i64, &str)],
    ) -> Vec<i16> {
        let partitions = offsets.iter().map(|(partition, offset, note)| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text(note)))
        });
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional(self.id))
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![
                TxnOffsetCommitRequestTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions.collect()),
            ]);
        let answer = self
            .connection
            .call(self.versions.commit, &request)
            .await
            .unwrap();
        let partitions = answer.topics[0].partitions.iter();
        partitions.map(|p| p.error_code).collect()
    }
}

/// What a reader gets from offset 0 on: values, last stable offset, and the aborted transactions it is told of.
struct Seen {
    values: Vec<String>,
    last_stable: i64,
    high_watermark: i64,
    aborted: Vec<(i64, i64)>,
}

async fn see(connection: &mut Connection, topic: &str, committed: bool) -> Seen {
    let mut request = fetch_request(topic, 0, Duration::ZERO);
    request.isolation_level = i8::from(committed);
    let answer = connection.call(11, &request).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let aborted = partition.aborted_transactions.iter().flatten();
    let mut bytes = partition.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let header = ottla_codec::batch::BatchHeader::parse(&bytes).unwrap();
        let batch = bytes.split_to(header.size);
        if header.is_control() {
            continue;
        }
        for record in ottla_codec::records::iterate(batch, 1 << 20).unwrap() {
            let value = record.unwrap().value.unwrap();
            values.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    Seen {
        values,
        last_stable: partition.last_stable_offset,
        high_watermark: partition.high_watermark,
        aborted: aborted.map(|a| (a.producer_id.0, a.first_offset)).collect(),
    }
}

async fn start_again(running: Running, kill: bool) -> Running {
    match kill {
        true => running.broker.abort().await,
        false => {
            running.broker.shutdown().await.unwrap();
        }
    }
    let listeners = ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned());
    let config = BrokerConfig {
        data_dir: running.dir.path().to_path_buf(),
        values: [listeners].into(),
    };
    Running {
        broker: Broker::start(config).await.unwrap(),
        dir: running.dir,
    }
}

#[tokio::test]
async fn readers_of_committed_records_stop_before_what_is_open_and_are_told_what_was_aborted() {
    for versions in [V1, V2] {
        let running = start(&[]).await;
        let mut reader = running.connect().await;
        create(&mut reader, "t").await;
        let mut producer = Producer::init(&running, "x", versions, 60_000).await;
        assert_eq!(producer.send("t", 0, "a").await, 0);
        assert_eq!(producer.send("t", 0, "b").await, 0);
        let seen = see(&mut reader, "t", true).await;
        assert_eq!(
            (seen.values.len(), seen.last_stable, seen.high_watermark),
            (0, 0, 2)
        );
        assert_eq!(see(&mut reader, "t", false).await.values, ["a", "b"]);
        assert_eq!(list_offsets(&mut reader, "t", 1).await, 0);
        assert_eq!(list_offsets(&mut reader, "t", 0).await, 2);

        assert_eq!(producer.end(true).await, 0);
        let seen = see(&mut reader, "t", true).await;
        assert_eq!(seen.values, ["a", "b"]);
        assert_eq!((seen.last_stable, seen.aborted), (3, vec![]));

        let aborting = producer.producer_id;
        assert_eq!(producer.send("t", 0, "c").await, 0);
        assert_eq!(producer.end(false).await, 0);
        let seen = see(&mut reader, "t", true).await;
        assert_eq!(
            seen.values,
            ["a", "b", "c"],
            "the client leaves out what was aborted"
        );
        assert_eq!((seen.last_stable, seen.aborted), (5, vec![(aborting, 3)]));
        assert_eq!(see(&mut reader, "t", false).await.aborted, []);
        // The same request again is answered as before, whatever became of the answer.
        if versions == V1 {
            assert_eq!(producer.end(false).await, 0);
            assert_eq!(
                producer.end(true).await,
                code(ResponseError::InvalidTxnState)
            );
        }
    }
}

async fn list_offsets(connection: &mut Connection, topic: &str, isolation: i8) -> i64 {
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)]),
        ]);
    let answer = connection.call(5, &request).await.unwrap();
    answer.topics[0].partitions[0].offset
}

#[tokio::test]
async fn a_waiting_reader_of_committed_records_wakes_with_the_commit() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let mut producer = Producer::init(&running, "x", V2, 60_000).await;
    assert_eq!(producer.send("t", 0, "a").await, 0);
    let mut reader = running.connect().await;
    let mut request = fetch_request("t", 0, Duration::from_secs(30));
    request.isolation_level = 1;
    request.min_bytes = 1;
    let waiting = tokio::spawn(async move { reader.call(11, &request).await.unwrap() });
    assert_eq!(producer.end(true).await, 0);
    let answer = waiting.await.unwrap();
    let records = answer.responses[0].partitions[0].records.clone();
    assert!(!records.unwrap_or_default().is_empty());
}

#[tokio::test]
async fn a_transaction_survives_restarts_open_and_ended() {
    for versions in [V1, V2] {
        let mut running = start(&[]).await;
        let mut admin = running.connect().await;
        create_topic(&mut admin, "t", 2, &[]).await;
        let mut producer = Producer::init(&running, "x", versions, 600_000).await;
        assert_eq!(producer.send("t", 0, "aborted").await, 0);
        assert_eq!(producer.end(false).await, 0);
        let aborted = vec![(producer.producer_id, 0)];
        assert_eq!(producer.send("t", 0, "open").await, 0);
        assert_eq!(producer.send("t", 1, "open").await, 0);
        // Replayed from the journal, then from a checkpoint, then from both.
        for kill in [true, false, true] {
            running = start_again(running, kill).await;
            producer.connection = running.connect().await;
            let mut reader = running.connect().await;
            let seen = see(&mut reader, "t", true).await;
            assert_eq!(
                (seen.last_stable, &seen.aborted),
                (2, &aborted),
                "{versions:?} {kill}"
            );
            assert_eq!(
                see(&mut reader, "t", false).await.values,
                ["aborted", "open"]
            );
        }
        assert_eq!(producer.send("t", 0, "and on").await, 0);
        assert_eq!(producer.end(true).await, 0);
        running = start_again(running, true).await;
        let mut reader = running.connect().await;
        let seen = see(&mut reader, "t", true).await;
        assert_eq!(seen.values, ["aborted", "open", "and on"]);
        assert_eq!((seen.last_stable, seen.aborted), (5, aborted));
        // It goes on under the epoch it was told.
        producer.connection = running.connect().await;
        assert_eq!(producer.send("t", 1, "next").await, 0);
        assert_eq!(producer.end(true).await, 0);
    }
}

#[tokio::test]
async fn a_successor_fences_and_aborts_what_was_left_open() {
    for versions in [V1, V2] {
        let running = start(&[]).await;
        let mut reader = running.connect().await;
        create(&mut reader, "t").await;
        let mut zombie = Producer::init(&running, "x", versions, 60_000).await;
        assert_eq!(zombie.send("t", 0, "left open").await, 0);
        let mut heir = Producer::init(&running, "x", versions, 60_000).await;
        assert_eq!(see(&mut reader, "t", true).await.last_stable, 2);
        let fenced = code(ResponseError::ProducerFenced);
        assert_eq!(zombie.end(true).await, fenced);
        assert_eq!(zombie.add("t", &[0]).await, [fenced]);
        let late = zombie.send_alone("t", 0, "late").await;
        assert_eq!(late, code(ResponseError::InvalidProducerEpoch));
        assert_eq!(zombie.init_again(60_000).await, fenced);
        assert_eq!(heir.send("t", 0, "mine").await, 0);
        assert_eq!(heir.end(true).await, 0);
        let seen = see(&mut reader, "t", true).await;
        assert_eq!(seen.values, ["left open", "mine"]);
        assert_eq!(seen.aborted, [(heir.producer_id, 0)]);
    }
}

#[tokio::test]
async fn what_is_open_for_too_long_is_aborted_though_nobody_asks() {
    let mut running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let mut producer = Producer::init(&running, "x", V2, 300).await;
    assert_eq!(producer.send("t", 0, "slow").await, 0);
    // Over a restart, too.
    running = start_again(running, true).await;
    let mut reader = running.connect().await;
    let mut request = fetch_request("t", 0, Duration::from_secs(30));
    request.isolation_level = 1;
    let answer = reader.call(11, &request).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    let aborted = partition.aborted_transactions.as_ref().unwrap();
    assert_eq!(aborted[0].producer_id.0, producer.producer_id);
    producer.connection = running.connect().await;
    assert_eq!(
        producer.end(true).await,
        code(ResponseError::InvalidTxnState)
    );
    // The abort may be asked for again, and the producer goes on.
    assert_eq!(producer.end(false).await, 0);
    assert_eq!(producer.send("t", 0, "quick").await, 0);
    assert_eq!(producer.end(true).await, 0);
}

#[tokio::test]
async fn offsets_of_a_transaction_count_with_its_commit_alone() {
    for versions in [V1, V2] {
        let mut running = start(&[]).await;
        let mut admin = running.connect().await;
        create(&mut admin, "t").await;
        assert_eq!(
            commit_outside(&mut admin, "g", "t", &[(0, 5, "")]).await,
            [0]
        );
        let mut producer = Producer::init(&running, "x", versions, 600_000).await;
        assert_eq!(producer.commit_offset("g", "t", 7).await, 0);
        running = start_again(running, true).await;
        producer.connection = running.connect().await;
        let mut admin = running.connect().await;
        assert_eq!(committed(&mut admin, "g", "t", 0).await.0, 5);
        let unstable = code(ResponseError::UnstableOffsetCommit);
        assert_eq!(stable(&mut admin, "g", "t").await, (unstable, -1));
        assert_eq!(producer.end(false).await, 0);
        assert_eq!(stable(&mut admin, "g", "t").await, (0, 5));

        assert_eq!(producer.commit_offset("g", "t", 9).await, 0);
        assert_eq!(producer.commit_offset("new", "t", 3).await, 0);
        assert_eq!(producer.end(true).await, 0);
        running = start_again(running, true).await;
        let mut admin = running.connect().await;
        assert_eq!(stable(&mut admin, "g", "t").await, (0, 9));
        assert_eq!(stable(&mut admin, "new", "t").await, (0, 3));

        // What is committed later by the group itself is not undone by an end.
        producer.connection = running.connect().await;
        assert_eq!(producer.commit_offset("g", "t", 10).await, 0);
        assert_eq!(
            commit_outside(&mut admin, "g", "t", &[(0, 11, "")]).await,
            [0]
        );
        assert_eq!(producer.end(true).await, 0);
        assert_eq!(stable(&mut admin, "g", "t").await, (0, 11));
    }
}

#[tokio::test]
async fn a_nack_in_a_transaction_is_refused_and_what_is_beside_it_is_not() {
    for (mode, refused) in [("enforce", code(ResponseError::InvalidRequest)), ("off", 0)] {
        let running = start(&[("dlq.mode", mode)]).await;
        let mut admin = running.connect().await;
        create_topic(&mut admin, "t", 2, &[]).await;
        let mut producer = Producer::init(&running, "x", V2, 600_000).await;
        for marker in ["!nack no such customer", "!dead", "!nackx"] {
            let offsets = [(0, 1, marker), (1, 4, "!important")];
            let codes = producer.commit_noted("g", "t", &offsets).await;
            assert_eq!(codes, [refused, 0], "{marker} with dlq.mode={mode}");
        }
        assert_eq!(producer.end(true).await, 0);
        let position = if refused == 0 { 1 } else { -1 };
        assert_eq!(committed(&mut admin, "g", "t", 0).await.0, position);
        assert_eq!(committed(&mut admin, "g", "t", 1).await.0, 4);
    }
}

async fn stable(connection: &mut Connection, group: &str, topic: &str) -> (i16, i64) {
    let request = OffsetFetchRequest::default()
        .with_require_stable(true)
        .with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(GroupId(text(group)))
                .with_topics(Some(vec![
                    OffsetFetchRequestTopics::default()
                        .with_name(name(topic))
                        .with_partition_indexes(vec![0]),
                ])),
        ]);
    let answer = connection.call(8, &request).await.unwrap();
    let partition = &answer.groups[0].topics[0].partitions[0];
    (partition.error_code, partition.committed_offset)
}

#[tokio::test]
async fn what_is_not_part_of_the_transaction_is_refused() {
    let running = start(&[]).await;
    let mut reader = running.connect().await;
    create(&mut reader, "t").await;
    let mut producer = Producer::init(&running, "x", V1, 60_000).await;
    let not_part = code(ResponseError::TransactionAbortable);
    assert_eq!(producer.send_alone("t", 0, "too early").await, not_part);
    assert_eq!(producer.commit_offset_alone("g", "t", 1).await, not_part);
    producer.versions.produce = 10;
    producer.versions.commit = 3;
    let invalid = code(ResponseError::InvalidTxnState);
    assert_eq!(producer.send_alone("t", 0, "too early").await, invalid);
    assert_eq!(producer.commit_offset_alone("g", "t", 1).await, invalid);
    let (unknown, not_tried) = (
        code(ResponseError::UnknownTopicOrPartition),
        code(ResponseError::OperationNotAttempted),
    );
    assert_eq!(producer.add("t", &[0, 9]).await, [not_tried, unknown]);
    assert_eq!(producer.add("t", &[0]).await, [0]);
    assert_eq!(producer.send_alone("t", 0, "in time").await, 0);
    assert_eq!(producer.end(true).await, 0);
    assert_eq!(producer.send_alone("t", 0, "too late").await, invalid);
    assert_eq!(see(&mut reader, "t", true).await.values, ["in time"]);
    producer.id = "another";
    let unknown = code(ResponseError::InvalidProducerIdMapping);
    assert_eq!(producer.add("t", &[0]).await, [unknown]);
    assert_eq!(producer.end(true).await, unknown);
}

#[tokio::test]
async fn a_transaction_ends_whatever_became_of_its_topics() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    // A marker is larger than any record that this topic takes.
    create_topic(&mut admin, "small", 1, &[("max.message.bytes", "75")]).await;
    create_topic(&mut admin, "gone", 1, &[]).await;
    let mut producer = Producer::init(&running, "x", V2, 60_000).await;
    assert_eq!(producer.send("small", 0, "a").await, 0);
    assert_eq!(producer.send("gone", 0, "a").await, 0);
    let request = ottla_codec::messages::DeleteTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topic_names(vec![name("gone")]);
    let answer = admin.call(4, &request).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0);
    assert_eq!(producer.end(true).await, 0);
    let seen = see(&mut admin, "small", true).await;
    assert_eq!((seen.values, seen.last_stable), (vec!["a".to_owned()], 2));
}

#[tokio::test]
async fn transactions_and_producers_are_listed_and_described() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let find = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![text("x")]);
    let answer = admin.call(4, &find).await.unwrap();
    assert_eq!(answer.coordinators[0].error_code, 0);
    let mut producer = Producer::init(&running, "x", V2, 50_000).await;
    Producer::init(&running, "idle", V2, 60_000).await;
    assert_eq!(producer.send("t", 0, "a").await, 0);

    let describe = |id: &str| {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional(id)])
    };
    let answer = admin.call(0, &describe("x")).await.unwrap();
    let state = &answer.transaction_states[0];
    assert_eq!(
        (state.error_code, &*state.transaction_state),
        (0, "Ongoing")
    );
    assert_eq!(
        (state.producer_id.0, state.producer_epoch),
        (producer.producer_id, 0)
    );
    assert_eq!(state.transaction_timeout_ms, 50_000);
    assert!(state.transaction_start_time_ms > 0);
    assert_eq!(
        (&*state.topics[0].topic.0, &state.topics[0].partitions[..]),
        ("t", &[0][..])
    );
    let answer = admin.call(0, &describe("nobody")).await.unwrap();
    let not_found = code(ResponseError::TransactionalIdNotFound);
    assert_eq!(answer.transaction_states[0].error_code, not_found);

    let list = ListTransactionsRequest::default()
        .with_state_filters(vec![text("Ongoing"), text("Nonsense")])
        .with_duration_filter(-1);
    let answer = admin.call(1, &list).await.unwrap();
    assert_eq!(answer.unknown_state_filters, [text("Nonsense")]);
    let listed: Vec<_> = answer
        .transaction_states
        .iter()
        .map(|s| &*s.transactional_id.0)
        .collect();
    assert_eq!(listed, ["x"]);
    let all = ListTransactionsRequest::default().with_duration_filter(-1);
    assert_eq!(
        admin.call(1, &all).await.unwrap().transaction_states.len(),
        2
    );

    let producers = DescribeProducersRequest::default().with_topics(vec![
        ottla_codec::messages::describe_producers_request::TopicRequest::default()
            .with_name(name("t"))
            .with_partition_indexes(vec![0, 7]),
    ]);
    let answer = admin.call(0, &producers).await.unwrap();
    let [there, missing] = &answer.topics[0].partitions[..] else {
        panic!("two partitions were asked for")
    };
    assert_eq!(
        missing.error_code,
        code(ResponseError::UnknownTopicOrPartition)
    );
    let active = &there.active_producers[0];
    assert_eq!(
        (active.producer_id.0, active.last_sequence),
        (producer.producer_id, 0)
    );
    assert_eq!(active.current_txn_start_offset, 0);
}

#[tokio::test]
async fn a_hanging_transaction_can_be_cut_off_in_a_partition() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let mut producer = Producer::init(&running, "x", V1, 60_000).await;
    producer.init_again(60_000).await;
    assert_eq!(producer.send("t", 0, "hangs").await, 0);
    let abort = |epoch| {
        WriteTxnMarkersRequest::default().with_markers(vec![
            WritableTxnMarker::default()
                .with_producer_id(ProducerId(producer.producer_id))
                .with_producer_epoch(epoch)
                .with_topics(vec![
                    WritableTxnMarkerTopic::default()
                        .with_name(name("t"))
                        .with_partition_indexes(vec![0, 1]),
                ]),
        ])
    };
    let codes = |answer: &ottla_codec::messages::WriteTxnMarkersResponse| {
        let partitions = &answer.markers[0].topics[0].partitions;
        partitions.iter().map(|p| p.error_code).collect::<Vec<_>>()
    };
    let stale = code(ResponseError::InvalidProducerEpoch);
    let unknown = code(ResponseError::UnknownTopicOrPartition);
    let answer = admin.call(1, &abort(producer.epoch - 1)).await.unwrap();
    assert_eq!(codes(&answer), [stale, unknown]);
    assert_eq!(see(&mut admin, "t", true).await.last_stable, 0);
    let answer = admin.call(1, &abort(producer.epoch)).await.unwrap();
    assert_eq!(codes(&answer), [0, unknown]);
    let seen = see(&mut admin, "t", true).await;
    assert_eq!(
        (seen.last_stable, seen.aborted),
        (2, vec![(producer.producer_id, 0)])
    );
}
