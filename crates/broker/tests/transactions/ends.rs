//! How a transaction ends that its producer does not end, and what is not taken into one.

use std::time::Duration;

use ottla_codec::ResponseError;

use crate::producer::{Producer, V1, V2, code};
use crate::reader::see;
use crate::support::member::create_topic;
use crate::support::*;

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
    running = running.crash(&[]).await;
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
