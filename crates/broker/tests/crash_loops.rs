//! Crash loops over the wire: members that die on a record, without a word of why.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::compression::Compression;
use ottla_codec::messages::MetadataRequest;
use ottla_codec::records::{BatchBuilder, Record};

use support::member::*;
use support::*;
use uuid::Uuid;

/// What a member waits for records, at most.
const WAIT: Duration = Duration::from_millis(300);
const ENFORCE: [(&str, &str); 4] = [
    ("dlq.mode", "enforce"),
    ("dlq.max.attempts", "2"),
    ("dlq.isolation.patience.ms", "60000"),
    ("group.initial.rebalance.delay.ms", "0"),
];

async fn member(running: &Running, group: &str) -> Member {
    let connections = (running.connect().await, running.connect().await);
    Member::join(connections, group, "t", &[0]).await
}

/// A broker whose topic `t` has `count` records in batches of `each`.
async fn with_records(
    settings: &[(&str, &str)],
    count: i64,
    each: i64,
    codec: Compression,
) -> (Running, Connection) {
    let running = start(settings).await;
    let mut connection = running.connect().await;
    create_topic(&mut connection, "t", 1, &[]).await;
    for base in (0..count).step_by(each as usize) {
        let records: Vec<Record> = (0..each)
            .map(|n| Record {
                offset: n,
                timestamp: 1_700_000_000_000 + base + n,
                key: None,
                value: Some(Bytes::from(format!("record {}", base + n))),
                headers: Vec::new(),
            })
            .collect();
        let builder = BatchBuilder {
            compression: codec,
            ..BatchBuilder::default()
        };
        let request = produce_request("t", -1, builder.build(&records));
        let answer = connection.call(9, &request).await.unwrap();
        assert_eq!(produced(&answer), (0, base));
    }
    (running, connection)
}

/// What a group of one consumer did until it was through.
#[derive(Debug, Default)]
struct Course {
    deaths: usize,
    processed: Vec<i64>,
}

/// One consumer that commits after each answer and dies on some records, started again until it has committed `end`.
async fn run(running: &Running, group: &str, dies: impl Fn(i64) -> bool, end: i64) -> Course {
    run_asking(running, group, None, dies, end).await
}

/// The same of a consumer that asks for its position by the topic's id, if it has one.
async fn run_asking(
    running: &Running,
    group: &str,
    topic_id: Option<Uuid>,
    dies: impl Fn(i64) -> bool,
    end: i64,
) -> Course {
    let mut course = Course::default();
    while course.deaths < 60 {
        let mut member = member(running, group).await;
        member.topic_id = topic_id;
        let mut position = member.position(0).await.max(0);
        let mut idle = 0;
        let died = loop {
            if position >= end {
                return course;
            }
            let records = member.fetch_within(0, position, WAIT).await;
            let records: Vec<_> = records.iter().filter(|r| r.offset >= position).collect();
            let Some(last) = records.last() else {
                idle += 1;
                assert!(idle < 20, "{course:?} waits at {position} for ever");
                assert_eq!(member.heartbeat().await, 0);
                continue;
            };
            idle = 0;
            if records.iter().any(|r| dies(r.offset)) {
                break true;
            }
            course.processed.extend(records.iter().map(|r| r.offset));
            position = last.offset + 1;
            assert_eq!(member.commit(0, position, "").await, 0);
        };
        if died {
            course.deaths += 1;
            member.leave().await;
        }
    }
    panic!("not through after {course:?}");
}

async fn dead(connection: &mut Connection) -> Vec<String> {
    let found = fetch(connection, "t.dlq", 0, 0, Duration::ZERO).await;
    let found = found.unwrap_or_default();
    found
        .iter()
        .map(|r| header(r, "__dlq.errors.offset").unwrap())
        .collect()
}

#[tokio::test]
async fn the_record_that_kills_is_found_in_a_compressed_batch_and_all_others_are_processed() {
    for codec in [Compression::None, Compression::Zstd] {
        let (running, mut connection) = with_records(&ENFORCE, 200, 100, codec).await;
        let course = run(&running, "g", |offset| offset == 137, 200).await;
        assert_eq!(dead(&mut connection).await, ["137"]);
        let expected: Vec<i64> = (0..200).filter(|o| *o != 137).collect();
        assert_eq!(course.processed, expected);
        assert!(course.deaths <= 2 + 8 + 2 + 2, "{} deaths", course.deaths);
    }
}

#[tokio::test]
async fn a_position_that_is_asked_for_by_the_topics_id_counts_as_any() {
    let (running, mut connection) = with_records(&ENFORCE, 20, 10, Compression::None).await;
    let request = MetadataRequest::default().with_topics(None);
    let id = connection.call(12, &request).await.unwrap().topics[0].topic_id;
    let course = run_asking(&running, "g", Some(id), |offset| offset == 13, 20).await;
    assert_eq!(dead(&mut connection).await, ["13"]);
    assert_eq!(course.processed.len(), 19);
}

#[tokio::test]
async fn with_detect_nothing_is_withheld_and_nothing_moves() {
    let settings = [
        ("dlq.max.attempts", "2"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let (running, mut connection) = with_records(&settings, 10, 10, Compression::None).await;
    for _ in 0..6 {
        let mut member = member(&running, "g").await;
        assert_eq!(member.position(0).await, -1);
        assert_eq!(member.fetch(0, 0).await.len(), 10);
        member.leave().await;
    }
    let queue = fetch(&mut connection, "t.dlq", 0, 0, Duration::ZERO).await;
    assert_eq!(queue, Err(ResponseError::UnknownTopicOrPartition.code()));
}

#[tokio::test]
async fn a_deployment_that_fails_on_everything_dead_letters_nothing() {
    let (running, mut connection) = with_records(&ENFORCE, 40, 10, Compression::Lz4).await;
    let mut deaths = 0;
    while deaths < 30 {
        let mut member = member(&running, "g").await;
        let position = member.position(0).await.max(0);
        let mut served = Vec::new();
        for _ in 0..5 {
            served = member.fetch_within(0, position, WAIT).await;
            if !served.is_empty() {
                break;
            }
        }
        assert!(!served.is_empty(), "held for ever after {deaths} deaths");
        member.leave().await;
        deaths += 1;
    }
    assert_eq!(dead(&mut connection).await, [""; 0]);
    // Repaired, it gets everything.
    let course = run(&running, "g", |_| false, 40).await;
    assert_eq!(course.processed, (0..40).collect::<Vec<_>>());
    assert_eq!(dead(&mut connection).await, [""; 0]);
}

#[tokio::test]
async fn what_is_withheld_from_one_group_is_served_to_others() {
    let (running, _connection) = with_records(&ENFORCE, 20, 20, Compression::None).await;
    for _ in 0..2 {
        let mut member = member(&running, "sick").await;
        member.position(0).await;
        assert_eq!(member.fetch(0, 0).await.len(), 20);
        member.leave().await;
    }
    let mut sick = member(&running, "sick").await;
    sick.position(0).await;
    let window = sick.fetch(0, 0).await;
    assert!(window.len() < 20, "{} records", window.len());
    // Another group's member with the same client id and host, on a connection of its own.
    let mut healthy = member(&running, "healthy").await;
    healthy.position(0).await;
    assert_eq!(healthy.fetch(0, 0).await.len(), 20);
    // A reader without a group, too.
    let mut other = running.connect().await;
    let all = fetch(&mut other, "t", 0, 0, Duration::ZERO).await.unwrap();
    assert_eq!(all.len(), 20);
    // And the sick one is still held.
    assert_eq!(sick.fetch(0, 0).await, window);
}

#[tokio::test]
async fn a_fetch_that_waits_at_a_gate_wakes_when_it_opens() {
    let (running, _connection) = with_records(&ENFORCE, 20, 20, Compression::None).await;
    for _ in 0..2 {
        let mut member = member(&running, "g").await;
        member.position(0).await;
        member.fetch(0, 0).await;
        member.leave().await;
    }
    let mut member = member(&running, "g").await;
    member.position(0).await;
    let window = member.fetch(0, 0).await;
    let next = window.last().unwrap().offset + 1;
    assert!(next < 20);
    let request = fetch_request("t", next, Duration::from_secs(60));
    member.fetcher.send(11, &request).await.unwrap();
    assert_eq!(member.commit(0, next, "").await, 0);
    let answer = member
        .fetcher
        .receive::<ottla_codec::messages::FetchRequest>(11)
        .await
        .unwrap();
    let partition = &answer.responses[0].partitions[0];
    let more = records(partition.records.clone().unwrap());
    assert_eq!(more[0].offset, next);
}

/// Members that were served everything and died, as often as it takes until the next one is served less.
async fn until_isolated(running: &Running, group: &str) {
    for _ in 0..2 {
        let mut member = member(running, group).await;
        let position = member.position(0).await.max(0);
        assert!(!member.fetch(0, position).await.is_empty());
        member.leave().await;
    }
}

#[tokio::test]
async fn the_search_goes_on_after_the_broker_died_and_is_over_with_the_topic() {
    let (running, connection) = with_records(&ENFORCE, 20, 20, Compression::Snappy).await;
    until_isolated(&running, "g").await;
    drop(connection);
    let running = running.crash(&ENFORCE).await;

    let mut sick = member(&running, "g").await;
    sick.position(0).await;
    let window = sick.fetch(0, 0).await;
    assert!((1..20).contains(&window.len()), "{} records", window.len());
    sick.leave().await;

    // The topic goes and comes again: nothing is known of the new one.
    let addresses = [running.address()];
    let client = ottla_client::Client::connect(&addresses, Default::default());
    let mut client = client.await.unwrap();
    client.delete_topics(&["t".to_owned()]).await.unwrap();
    let mut connection = running.connect().await;
    create_topic(&mut connection, "t", 1, &[]).await;
    let batch = batch(&["a", "b", "c"]);
    let answer = connection.call(9, &produce_request("t", -1, batch)).await;
    assert_eq!(produced(&answer.unwrap()), (0, 0));
    let mut fresh = member(&running, "g").await;
    assert_eq!(fresh.position(0).await, -1);
    assert_eq!(fresh.fetch(0, 0).await.len(), 3);
}

#[tokio::test]
async fn a_static_member_that_is_started_again_has_died() {
    let (running, mut connection) = with_records(&ENFORCE, 8, 8, Compression::Gzip).await;
    let mut deaths = 0;
    let mut processed = Vec::new();
    'started: loop {
        assert!(deaths < 30, "not through");
        let connections = (running.connect().await, running.connect().await);
        // The one before never left.
        let mut member = Member::join_as(connections, "g", "t", &[0], Some("worker")).await;
        let mut position = member.position(0).await.max(0);
        while position < 8 {
            let records = member.fetch_within(0, position, WAIT).await;
            for record in records {
                if record.offset < position {
                    continue;
                }
                if record.offset == 3 {
                    deaths += 1;
                    continue 'started;
                }
                processed.push(record.offset);
                position = record.offset + 1;
                assert_eq!(member.commit(0, position, "").await, 0);
            }
        }
        break;
    }
    assert_eq!(processed, [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(dead(&mut connection).await, ["3"]);
}

#[tokio::test]
async fn members_that_stay_slow_or_start_again_in_order_are_not_suspected() {
    let (running, mut connection) = with_records(&ENFORCE, 20, 10, Compression::None).await;
    for start in 0..8 {
        // A rolling restart: what was done is committed before each goodbye.
        let mut member = member(&running, "g").await;
        let position = member.position(0).await.max(0);
        assert_eq!(position, start);
        let records = member.fetch(0, position).await;
        // A batch begins before the position now and then; nothing is withheld behind it.
        let last = records.last().unwrap().offset;
        assert!(last == 9 || last == 19, "{last}");
        // It reads the same again and again, without a commit: it lives.
        for _ in 0..5 {
            assert_eq!(offsets(&member.fetch(0, position).await), offsets(&records));
        }
        assert_eq!(member.commit(0, position + 1, "").await, 0);
        member.leave().await;
    }
    assert_eq!(dead(&mut connection).await, [""; 0]);
}
