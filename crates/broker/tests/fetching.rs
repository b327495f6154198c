//! Fetch as consumers use it: waiting, limits, sessions, errors.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use ottla_codec::ResponseError;
use ottla_codec::messages::FetchRequest;
use support::*;

const NO_WAIT: Duration = Duration::ZERO;

#[tokio::test]
async fn a_waiting_fetch_wakes_on_data_and_otherwise_waits_its_time() {
    let running = start(&[]).await;
    let (mut consumer, mut producer) = (running.connect().await, running.connect().await);
    create(&mut producer, "t").await;
    let begun = Instant::now();
    let wait = Duration::from_millis(150);
    let empty = consumer
        .call(11, &fetch_request("t", 0, wait))
        .await
        .unwrap();
    assert!(begun.elapsed() >= wait);
    assert_eq!(empty.responses[0].partitions[0].high_watermark, 0);

    let begun = Instant::now();
    consumer
        .send(11, &fetch_request("t", 0, Duration::from_secs(60)))
        .await
        .unwrap();
    let answer = producer
        .call(9, &produce_request("t", -1, batch(&["a", "b"])))
        .await
        .unwrap();
    assert_eq!(produced(&answer), (0, 0));
    let woken = consumer.receive::<FetchRequest>(11).await.unwrap();
    assert_eq!(woken.responses[0].partitions[0].high_watermark, 2);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn the_first_batch_comes_whole_however_small_the_limits() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    for _ in 0..2 {
        connection
            .call(9, &produce_request("t", -1, batch(&["a", "b"])))
            .await
            .unwrap();
    }
    let mut request = fetch_request("t", 0, NO_WAIT);
    request.max_bytes = 1;
    let answer = connection.call(11, &request).await.unwrap();
    let records = answer.responses[0].partitions[0].records.as_ref().unwrap();
    assert_eq!(records.len(), batch(&["a", "b"]).len());
}

#[tokio::test]
async fn each_error_is_its_partitions_own() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let mut request = fetch_request("t", 5, NO_WAIT);
    let mut fenced = fetch_request("t", 0, NO_WAIT).topics.remove(0);
    fenced.partitions[0].current_leader_epoch = 9;
    request.topics.push(fenced);
    request
        .topics
        .push(fetch_request("unknown", 0, NO_WAIT).topics.remove(0));
    request
        .topics
        .push(fetch_request("t", 0, NO_WAIT).topics.remove(0));
    let answer = connection.call(11, &request).await.unwrap();
    let errors: Vec<i16> = answer
        .responses
        .iter()
        .flat_map(|t| t.partitions.iter().map(|p| p.error_code))
        .collect();
    assert_eq!(
        errors,
        [
            ResponseError::OffsetOutOfRange.code(),
            ResponseError::UnknownLeaderEpoch.code(),
            ResponseError::UnknownTopicOrPartition.code(),
            0
        ]
    );
}

#[tokio::test]
async fn a_session_answers_with_news_alone() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let mut request = fetch_request("t", 0, NO_WAIT);
    request.session_epoch = 0;
    let opened = connection.call(11, &request).await.unwrap();
    assert_ne!(opened.session_id, 0);
    assert_eq!(opened.responses.len(), 1);

    let mut next = request
        .with_topics(vec![])
        .with_session_id(opened.session_id)
        .with_session_epoch(1);
    let quiet = connection.call(11, &next).await.unwrap();
    assert_eq!((quiet.error_code, quiet.responses.len()), (0, 0));

    connection
        .call(9, &produce_request("t", -1, batch(&["a"])))
        .await
        .unwrap();
    next.session_epoch = 2;
    let news = connection.call(11, &next).await.unwrap();
    assert_eq!(news.responses[0].partitions[0].high_watermark, 1);

    let stale = connection.call(11, &next).await.unwrap();
    assert_eq!(
        stale.error_code,
        ResponseError::InvalidFetchSessionEpoch.code()
    );
    next.session_id ^= 1;
    let unknown = connection.call(11, &next).await.unwrap();
    assert_eq!(
        unknown.error_code,
        ResponseError::FetchSessionIdNotFound.code()
    );
}
