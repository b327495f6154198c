//! Nacks over the wire: markers in commits, and records that move into the queue.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record, RecordHeader};
use support::member::*;
use support::*;

const NO_WAIT: Duration = Duration::ZERO;
const OK: i16 = 0;

async fn member(running: &Running, group: &str, topic: &str, partitions: &[i32]) -> Member {
    let connections = (running.connect().await, running.connect().await);
    Member::join(connections, group, topic, partitions).await
}

/// A broker with a topic of `partitions`, each with records r0 to r4.
async fn with_records(settings: &[(&str, &str)], partitions: i32) -> (Running, Connection) {
    let running = start(settings).await;
    let mut connection = running.connect().await;
    create_topic(&mut connection, "t", partitions, &[]).await;
    for partition in 0..partitions {
        let mut request = produce_request("t", -1, batch(&["r0", "r1", "r2", "r3", "r4"]));
        request.topic_data[0].partition_data[0].index = partition;
        let answer = connection.call(9, &request).await.unwrap();
        assert_eq!(produced(&answer), (0, 0));
    }
    (running, connection)
}

async fn queue(connection: &mut Connection, partition: i32) -> Vec<Record> {
    fetch(connection, "t.dlq", partition, 0, NO_WAIT)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_record_that_is_nacked_to_the_end_goes_to_the_queue_and_the_position_past_it() {
    let (running, mut connection) = with_records(&[("dlq.max.attempts", "3")], 1).await;
    let mut member = member(&running, "g", "t", &[0]).await;
    assert_eq!(member.commit(0, 1, "a note").await, OK);
    for _ in 0..2 {
        assert_eq!(member.commit(0, 2, "!nack no such customer").await, OK);
        assert_eq!(member.position(0).await, 2);
    }
    let (_, metadata) = committed(&mut connection, "g", "t", 0).await;
    assert_eq!(metadata, "a note", "a marker is no note");
    assert_eq!(member.commit(0, 2, "!nack no such customer").await, OK);
    assert_eq!(member.position(0).await, 3);

    let dead = queue(&mut connection, 0).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value.as_deref(), Some(b"r2".as_slice()));
    let said = |key| header(&dead[0], key).unwrap();
    assert_eq!(said("__dlq.errors.topic"), "t");
    assert_eq!(said("__dlq.errors.partition"), "0");
    assert_eq!(said("__dlq.errors.offset"), "2");
    assert_eq!(said("__dlq.errors.group"), "g");
    assert_eq!(said("__dlq.errors.delivery.count"), "3");
    assert_eq!(said("__dlq.errors.message"), "no such customer");
    assert!(said("__dlq.errors.client").contains("127.0.0.1"));

    // The member still has the record: its commit of the old position is lifted past it.
    assert_eq!(member.commit(0, 2, "").await, OK);
    assert_eq!(member.position(0).await, 3);
    // And fails on the next one, whose count is its own.
    assert_eq!(member.commit(0, 3, "!nack").await, OK);
    assert_eq!(member.position(0).await, 3);
    assert_eq!(queue(&mut connection, 0).await.len(), 1);
}

#[tokio::test]
async fn a_rejected_record_goes_at_once_as_it_was() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create_topic(&mut connection, "t", 1, &[]).await;
    let record = |offset, key: Option<&'static str>, value: Option<&'static str>| Record {
        offset,
        timestamp: 1_700_000_000_000 + offset,
        key: key.map(Bytes::from),
        value: value.map(Bytes::from),
        headers: vec![
            RecordHeader {
                key: Bytes::from("trace"),
                value: Some(Bytes::from("x")),
            },
            RecordHeader {
                key: Bytes::from("__dlq.errors.topic"),
                value: Some(Bytes::from("forged")),
            },
        ],
    };
    let all = [
        record(0, Some("k"), Some("v")),
        record(1, None, Some("v")),
        record(2, Some("k"), None),
        record(3, None, None),
    ];
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let builder = BatchBuilder {
            compression: codec,
            ..BatchBuilder::default()
        };
        let request = produce_request("t", -1, builder.build(&all));
        let answer = connection.call(9, &request).await.unwrap();
        assert_eq!(produced(&answer).0, 0);
    }
    let mut member = member(&running, "g", "t", &[0]).await;
    for offset in 0..20 {
        assert_eq!(member.commit(0, offset, "!dead unreadable").await, OK);
        assert_eq!(member.position(0).await, offset + 1);
    }
    let dead = queue(&mut connection, 0).await;
    assert_eq!(dead.len(), 20);
    for (n, dead) in dead.iter().enumerate() {
        let original = &all[n % 4];
        assert_eq!(dead.key, original.key);
        assert_eq!(dead.value, original.value);
        assert_eq!(dead.timestamp, original.timestamp);
        assert_eq!(header(dead, "trace").as_deref(), Some("x"));
        assert_eq!(header(dead, "__dlq.errors.topic").as_deref(), Some("t"));
        let own = header(dead, "__dlq.client.errors.topic");
        assert_eq!(own.as_deref(), Some("forged"));
        let offset = header(dead, "__dlq.errors.offset").unwrap();
        assert_eq!(offset, n.to_string());
    }
}

#[tokio::test]
async fn partitions_of_one_commit_are_answered_each_on_its_own() {
    let (running, mut connection) = with_records(&[("dlq.max.attempts", "1")], 3).await;
    let mut member = member(&running, "g", "t", &[0, 1]).await;
    let answers = member
        .commit_all(&[(0, 1, "!nack"), (1, 4, "plain"), (2, 0, "!nack")])
        .await;
    let invalid = ResponseError::InvalidRequest.code();
    assert_eq!(answers, [OK, OK, invalid]);
    assert_eq!(member.position(0).await, 2);
    let plain = committed(&mut connection, "g", "t", 1).await;
    assert_eq!(plain, (4, "plain".to_owned()));
    assert_eq!(member.position(2).await, -1);
    assert_eq!(offsets(&queue(&mut connection, 0).await), [0]);
    assert_eq!(queue(&mut connection, 2).await, []);
}

#[tokio::test]
async fn nacks_that_make_no_sense_are_refused_and_change_nothing() {
    let (running, mut connection) = with_records(&[("dlq.max.attempts", "1")], 1).await;
    let mut member = member(&running, "g", "t", &[0]).await;
    assert_eq!(member.commit(0, 2, "").await, OK);
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    let invalid = ResponseError::InvalidRequest.code();
    let too_long = format!("!nack {}", "x".repeat(5_000));
    for (offset, metadata, code) in [
        (1, "!nack before the position", out_of_range),
        (5, "!nack at the log's end", out_of_range),
        (500, "!dead beyond it", out_of_range),
        (-1, "!nack", out_of_range),
        (2, "!nackx", invalid),
        (2, "!deadline", invalid),
        (2, &too_long, ResponseError::OffsetMetadataTooLarge.code()),
    ] {
        assert_eq!(member.commit(0, offset, metadata).await, code, "{metadata}");
        assert_eq!(member.position(0).await, 2);
    }
    // From outside of the group while it has members, as any commit.
    let outside = commit_outside(&mut connection, "g", "t", &[(0, 2, "!nack")]).await;
    assert_eq!(outside, [ResponseError::UnknownMemberId.code()]);
    // Never of a queue.
    assert_eq!(member.commit(0, 2, "!dead").await, OK);
    member.leave().await;
    let of_queue = commit_outside(&mut connection, "h", "t.dlq", &[(0, 0, "!dead")]).await;
    assert_eq!(of_queue, [invalid]);
}

#[tokio::test]
async fn a_queue_that_does_not_take_the_record_holds_the_group_until_it_does() {
    let (running, mut connection) = with_records(&[], 2).await;
    create_topic(&mut connection, "t.dlq", 1, &[("max.message.bytes", "100")]).await;
    let mut member = member(&running, "g", "t", &[0]).await;
    let not_its_own = member.commit(1, 1, "!dead").await;
    assert_eq!(not_its_own, ResponseError::InvalidRequest.code());
    assert_eq!(member.commit(0, 1, "").await, OK);
    let unavailable = ResponseError::CoordinatorNotAvailable.code();
    assert_eq!(member.commit(0, 1, "!dead").await, unavailable);
    assert_eq!(member.position(0).await, 1);
    assert_eq!(queue(&mut connection, 0).await, []);

    // It has as many partitions as its source now, and its own settings still.
    assert_eq!(queue(&mut connection, 1).await, []);
    alter(&mut connection, "t.dlq", "max.message.bytes", "100000").await;
    let long = Duration::from_secs(60);
    let moved = fetch(&mut connection, "t.dlq", 0, 0, long).await.unwrap();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].value.as_deref(), Some(b"r1".as_slice()));
    assert_eq!(member.position(0).await, 2);
}

#[tokio::test]
async fn a_simple_consumer_nacks_without_membership() {
    let (_running, mut connection) = with_records(&[("dlq.max.attempts", "2")], 1).await;
    for position in [0, 1] {
        let answer = commit_outside(&mut connection, "g", "t", &[(0, 0, "!nack")]).await;
        assert_eq!(answer, [OK]);
        let now = committed(&mut connection, "g", "t", 0).await.0;
        assert_eq!(now, position);
    }
    assert_eq!(queue(&mut connection, 0).await.len(), 1);
}

#[tokio::test]
async fn with_the_mode_off_a_marker_is_metadata() {
    let (running, mut connection) = with_records(&[("dlq.mode", "off")], 1).await;
    let mut member = member(&running, "g", "t", &[0]).await;
    for _ in 0..9 {
        assert_eq!(member.commit(0, 2, "!dead").await, OK);
    }
    let kept = committed(&mut connection, "g", "t", 0).await;
    assert_eq!(kept, (2, "!dead".to_owned()));
    let unknown = fetch(&mut connection, "t.dlq", 0, 0, NO_WAIT).await;
    assert_eq!(unknown, Err(ResponseError::UnknownTopicOrPartition.code()));
}

#[tokio::test]
async fn the_queue_has_its_sources_partitions_and_grows_with_it() {
    let (running, mut connection) = with_records(&[], 2).await;
    let mut first = member(&running, "g", "t", &[0, 1]).await;
    assert_eq!(first.commit(1, 0, "!dead").await, OK);
    assert_eq!(queue(&mut connection, 0).await, []);
    assert_eq!(queue(&mut connection, 1).await.len(), 1);
    let unknown = fetch(&mut connection, "t.dlq", 2, 0, NO_WAIT).await;
    assert!(unknown.is_err());

    let addresses = [running.address()];
    let client = ottla_client::Client::connect(&addresses, Default::default());
    let mut client = client.await.unwrap();
    client.create_partitions("t", 3).await.unwrap();
    let mut request = produce_request("t", -1, batch(&["x"]));
    request.topic_data[0].partition_data[0].index = 2;
    connection.call(9, &request).await.unwrap();
    first.leave().await;
    let mut second = member(&running, "g", "t", &[0, 1, 2]).await;
    assert_eq!(second.commit(2, 0, "!dead").await, OK);
    assert_eq!(queue(&mut connection, 2).await.len(), 1);
}

#[tokio::test]
async fn counts_and_queues_survive_a_broker_that_dies() {
    let (running, mut connection) = with_records(&[("dlq.max.attempts", "3")], 1).await;
    commit_outside(&mut connection, "g", "t", &[(0, 1, "!nack one")]).await;
    commit_outside(&mut connection, "g", "t", &[(0, 1, "!nack two")]).await;
    drop(connection);
    let running = running.crash(&[("dlq.max.attempts", "3")]).await;
    let mut connection = running.connect().await;
    assert_eq!(committed(&mut connection, "g", "t", 0).await.0, 1);
    commit_outside(&mut connection, "g", "t", &[(0, 1, "!nack three")]).await;
    assert_eq!(committed(&mut connection, "g", "t", 0).await.0, 2);
    let dead = queue(&mut connection, 0).await;
    assert_eq!(
        header(&dead[0], "__dlq.errors.delivery.count").as_deref(),
        Some("3")
    );
}
