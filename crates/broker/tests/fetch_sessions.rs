//! Fetch sessions over partitions that live: a request costs what happened, and tells what a look at everything would.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_codec::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_codec::messages::delete_topics_request::DeleteTopicState;
use ottla_codec::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_codec::messages::{
    AddPartitionsToTxnRequest, DeleteRecordsRequest, DeleteTopicsRequest, EndTxnRequest,
    FetchRequest, FetchResponse, InitProducerIdRequest, ProduceRequest, ProducerId,
    TransactionalId,
};
use ottla_codec::records::{BatchBuilder, Record};
use support::member::{create_topic, text};
use support::*;

const FETCH: i16 = 11;
const LONG: Duration = Duration::from_secs(60);

/// Partitions that fetches looked at so far.
async fn looks(running: &Running) -> f64 {
    let address = running.broker.http_address().unwrap().to_string();
    let page = http::get(&address, "/metrics").await;
    let page = open_metrics::parse(&page.body);
    page.get("ottla_fetch_partition_looks_total").unwrap_or(0.0)
}

fn at(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
}

fn topic(topic: &str, partitions: Vec<FetchPartition>) -> FetchTopic {
    FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(partitions)
}

fn told(answer: &FetchResponse) -> Vec<i32> {
    assert_eq!(answer.error_code, 0);
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    partitions.map(|p| p.partition_index).collect()
}

async fn delete_records(connection: &mut Connection, of: &str, partition: i32, offset: i64) {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(name(of))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    connection.call(2, &request).await.unwrap();
}

fn produce_to(partition: i32) -> ProduceRequest {
    let mut request = produce_request("t", -1, batch(&["a"]));
    request.topic_data[0].partition_data[0].index = partition;
    request
}

#[tokio::test]
async fn a_request_looks_at_what_happened_not_at_all_of_its_session() {
    const PARTITIONS: i32 = 300;
    let running = start(&[]).await;
    let (mut consumer, mut producer) = (running.connect().await, running.connect().await);
    create_topic(&mut producer, "t", PARTITIONS, &[]).await;
    let mut request = fetch_request("t", 0, Duration::ZERO).with_session_epoch(0);
    request.topics = vec![topic("t", (0..PARTITIONS).map(|p| at(p, 0)).collect())];
    let opened = consumer.call(FETCH, &request).await.unwrap();
    assert_eq!(told(&opened).len(), PARTITIONS as usize);
    request.session_id = opened.session_id;
    request.topics.clear();
    request.session_epoch = 1;
    let settled = consumer.call(FETCH, &request).await.unwrap();
    assert!(told(&settled).is_empty());

    let before = looks(&running).await;
    for _ in 0..20 {
        request.session_epoch += 1;
        let answer = consumer.call(FETCH, &request).await.unwrap();
        assert!(told(&answer).is_empty());
    }
    assert_eq!(looks(&running).await - before, 0.0, "nothing happened");

    // One that waits, woken by one partition of many.
    for round in 0..10 {
        request.session_epoch += 1;
        request.max_wait_ms = LONG.as_millis() as i32;
        consumer.send(FETCH, &request).await.unwrap();
        let answer = producer.call(9, &produce_to(7)).await.unwrap();
        assert_eq!(produced(&answer), (0, round));
        let answer = consumer.receive::<FetchRequest>(FETCH).await.unwrap();
        assert_eq!(told(&answer), [7]);
        request.topics = vec![topic("t", vec![at(7, round + 1)])];
    }
    // It looks before it waits, when it begins to wait, and when it is woken.
    let looked = looks(&running).await - before;
    assert!(looked <= 40.0, "{looked} looks for ten records");

    // A start that moves is news as well.
    request.max_wait_ms = 0;
    request.session_epoch += 1;
    let quiet = consumer.call(FETCH, &request).await.unwrap();
    assert!(told(&quiet).is_empty());
    delete_records(&mut producer, "t", 7, 5).await;
    request.session_epoch += 1;
    request.topics.clear();
    let answer = consumer.call(FETCH, &request).await.unwrap();
    assert_eq!(told(&answer), [7]);
    assert_eq!(answer.responses[0].partitions[0].log_start_offset, 5);
    assert!(looks(&running).await - before <= 50.0);
}

/// A transaction at a time, over some topics.
struct Transactions {
    connection: Connection,
    producer: (i64, i16),
    sequences: BTreeMap<String, i32>,
    open: bool,
}

impl Transactions {
    const ID: &str = "x";

    async fn init(running: &Running) -> Transactions {
        let mut connection = running.connect().await;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(Self::ID))))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        loop {
            let answer = connection.call(4, &request).await.unwrap();
            if answer.error_code == 0 {
                return Transactions {
                    connection,
                    producer: (answer.producer_id.0, answer.producer_epoch),
                    sequences: BTreeMap::new(),
                    open: false,
                };
            }
        }
    }

    /// Whether it was written: not while the last one is still ending.
    async fn write(&mut self, topic: &str) -> bool {
        let partitions = AddPartitionsToTxnTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![0]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(Self::ID)))
            .with_v3_and_below_producer_id(ProducerId(self.producer.0))
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![partitions]);
        let added = self.connection.call(3, &add).await.unwrap();
        if added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code != 0
        {
            return false;
        }
        self.open = true;
        let sequence = self.sequences.entry(topic.to_owned()).or_default();
        let record = Record {
            offset: 0,
            timestamp: 1,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![],
        };
        let batch = BatchBuilder {
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            base_sequence: *sequence,
            transactional: true,
            ..BatchBuilder::default()
        };
        let mut request = produce_request(topic, -1, batch.build(&[record]));
        request.transactional_id = Some(TransactionalId(text(Self::ID)));
        let answer = self.connection.call(9, &request).await.unwrap();
        if produced(&answer).0 == 0 {
            *sequence += 1;
        }
        true
    }

    async fn end(&mut self, committed: bool) {
        if std::mem::take(&mut self.open) {
            let request = EndTxnRequest::default()
                .with_transactional_id(TransactionalId(text(Self::ID)))
                .with_producer_id(ProducerId(self.producer.0))
                .with_producer_epoch(self.producer.1)
                .with_committed(committed);
            let answer = self.connection.call(3, &request).await.unwrap();
            assert_eq!(answer.error_code, 0);
        }
    }
}

/// What an answer says of a topic's partition.
#[derive(Debug, Clone, PartialEq)]
struct State {
    error: i16,
    high_watermark: i64,
    last_stable_offset: i64,
    start: i64,
    records: Bytes,
}

fn states(answer: &FetchResponse) -> BTreeMap<String, State> {
    let topics = answer.responses.iter();
    let state = |t: &ottla_codec::messages::fetch_response::FetchableTopicResponse| {
        let p = &t.partitions[0];
        let state = State {
            error: p.error_code,
            high_watermark: p.high_watermark,
            last_stable_offset: p.last_stable_offset,
            start: p.log_start_offset,
            records: p.records.clone().unwrap_or_default(),
        };
        (t.topic.0.to_string(), state)
    };
    topics.map(state).collect()
}

/// Random numbers that a seed says.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

/// Whatever happens to partitions, a session tells exactly what a look at all of them says is news.
#[tokio::test]
async fn a_session_tells_what_a_look_at_everything_would() {
    for seed in 0..4 {
        follow(seed).await;
    }
}

async fn follow(seed: u64) {
    const TOPICS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut dice = Dice(seed);
    let running = start(&[("ottla.durability", "os")]).await;
    let (mut consumer, mut other) = (running.connect().await, running.connect().await);
    let mut transactions = Transactions::init(&running).await;
    let mut positions = BTreeMap::new();
    for topic in TOPICS {
        create_topic(&mut other, topic, 1, &[]).await;
        positions.insert(topic, 0);
    }
    // What was told of each: high watermark and start.
    let mut known: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    let mut session = fetch_request("", 0, Duration::ZERO).with_session_epoch(0);
    session.topics = TOPICS.map(|t| topic(t, vec![at(0, 0)])).to_vec();
    let mut answered = 0;
    for step in 0..300 {
        let one = TOPICS[dice.roll(6) as usize];
        match dice.roll(16) {
            0..=4 => {
                let request = produce_request(one, -1, batch(&["v", "w"]));
                other.call(9, &request).await.unwrap();
            }
            5..=6 => {
                transactions.write(one).await;
            }
            7 => transactions.end(dice.roll(2) == 0).await,
            8 => {
                let offset = positions[one];
                delete_records(&mut other, one, 0, offset).await;
            }
            9 if step > 0 => {
                // Some seek back, some to where nothing is.
                let to = dice.roll(12) as i64;
                positions.insert(one, to);
                session.topics.push(topic(one, vec![at(0, to)]));
            }
            10 if !transactions.open && dice.roll(3) == 0 => {
                let gone = DeleteTopicState::default().with_name(Some(name(one)));
                let request = DeleteTopicsRequest::default()
                    .with_timeout_ms(10_000)
                    .with_topics(vec![gone]);
                other.call(6, &request).await.unwrap();
                transactions.sequences.remove(one);
            }
            11 => {
                create(&mut other, one).await;
            }
            12 => session.isolation_level ^= 1,
            _ => {}
        }
        let mut full = session.clone().with_session_id(0).with_session_epoch(-1);
        full.topics = positions
            .iter()
            .map(|(t, offset)| topic(t, vec![at(0, *offset)]))
            .collect();
        let before = states(&other.call(FETCH, &full).await.unwrap());
        let answer = consumer.call(FETCH, &session).await.unwrap();
        let after = states(&other.call(FETCH, &full).await.unwrap());
        assert_eq!(answer.error_code, 0, "seed {seed}, step {step}");
        session.session_id = answer.session_id;
        session.session_epoch += 1;
        session.topics.clear();
        let told = states(&answer);
        if before != after {
            // The end of a transaction came in between: only what was told is known.
            for (topic, state) in &told {
                assert!([&before[topic], &after[topic]].contains(&state));
            }
        } else {
            let news = before.iter().filter(|(topic, state)| {
                let known = known.get(*topic);
                state.error != 0
                    || !state.records.is_empty()
                    || known != Some(&(state.high_watermark, state.start))
            });
            let news: BTreeMap<_, _> = news.map(|(t, s)| (t.clone(), s.clone())).collect();
            assert_eq!(told, news, "seed {seed}, step {step}");
            answered += told.len();
        }
        for (topic, state) in told {
            let high_watermark = if state.error == 0 {
                state.high_watermark
            } else {
                -1
            };
            known.insert(topic, (high_watermark, state.start));
        }
        // A consumer goes on, sooner or later.
        for topic_name in TOPICS {
            let state = &after[topic_name];
            if !state.records.is_empty() && dice.roll(2) == 0 {
                let end = match session.isolation_level {
                    1 => state.last_stable_offset,
                    _ => state.high_watermark,
                };
                positions.insert(topic_name, end);
                session.topics.push(topic(topic_name, vec![at(0, end)]));
            }
        }
    }
    assert!(answered > 300, "{answered} is too little to mean much");
}
