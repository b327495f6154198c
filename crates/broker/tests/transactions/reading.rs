//! What readers of committed records see, and wait for, across restarts.

use std::time::Duration;

use ottla_codec::ResponseError;

use crate::producer::{Producer, V1, V2, code};
use crate::reader::{list_offsets, see};
use crate::support::member::create_topic;
use crate::support::*;

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
            running = match kill {
                true => running.crash(&[]).await,
                false => running.restart(&[]).await,
            };
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
        running = running.crash(&[]).await;
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
