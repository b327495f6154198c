//! Fetches and the topics under them that go away: deleted, made again, never there.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::delete_topics_request::DeleteTopicState;
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use ottla_codec::messages::{DeleteTopicsRequest, FetchRequest, FetchResponse, MetadataRequest};
use support::*;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

async fn delete(connection: &mut Connection, topic: &str) {
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            DeleteTopicState::default().with_name(Some(name(topic))),
        ]);
    let answer = connection.call(6, &request).await.unwrap();
    assert_eq!(answer.responses[0].error_code, 0);
}

async fn topic_id(connection: &mut Connection, topic: &str) -> Uuid {
    let request = MetadataRequest::default().with_topics(Some(vec![
        MetadataRequestTopic::default().with_name(Some(name(topic))),
    ]));
    let answer = connection.call(12, &request).await.unwrap();
    answer.topics[0].topic_id
}

fn errors(answer: &FetchResponse) -> Vec<i16> {
    let topics = answer.responses.iter();
    topics
        .flat_map(|t| t.partitions.iter().map(|p| p.error_code))
        .collect()
}

#[tokio::test]
async fn a_waiting_fetch_is_told_at_once_that_its_topic_is_deleted() {
    let running = start(&[]).await;
    let (mut consumer, mut admin) = (running.connect().await, running.connect().await);
    create(&mut admin, "t").await;
    create(&mut admin, "other").await;
    let mut request = fetch_request("t", 0, LONG);
    request
        .topics
        .push(fetch_request("other", 0, LONG).topics.remove(0));
    let begun = Instant::now();
    consumer.send(11, &request).await.unwrap();
    delete(&mut admin, "t").await;
    let answer = consumer.receive::<FetchRequest>(11).await.unwrap();
    assert!(begun.elapsed() < LONG / 2);
    let gone = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(errors(&answer), [gone, 0]);
}

#[tokio::test]
async fn a_topic_that_is_not_there_does_not_keep_a_fetch_from_waiting_for_the_others() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let gone = ResponseError::UnknownTopicOrPartition.code();
    let mut request = fetch_request("missing", 0, SHORT);
    let begun = Instant::now();
    let alone = connection.call(11, &request).await.unwrap();
    assert_eq!(errors(&alone), [gone]);
    assert!(begun.elapsed() < SHORT, "there is nothing to wait for");

    request
        .topics
        .push(fetch_request("t", 0, SHORT).topics.remove(0));
    let begun = Instant::now();
    let both = connection.call(11, &request).await.unwrap();
    assert!(
        begun.elapsed() >= SHORT,
        "a consumer would ask without a pause"
    );
    assert_eq!(errors(&both), [gone, 0]);
}

#[tokio::test]
async fn a_session_tells_of_a_deleted_topic_each_time() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    for (version, error) in [
        (11, ResponseError::UnknownTopicOrPartition),
        (15, ResponseError::UnknownTopicId),
    ] {
        create(&mut connection, "t").await;
        let id = topic_id(&mut connection, "t").await;
        let mut open = fetch_request("t", 0, Duration::ZERO).with_session_epoch(0);
        if version >= 13 {
            open.topics[0].topic = name("");
            open.topics[0].topic_id = id;
        }
        let opened = connection.call(version, &open).await.unwrap();
        assert_eq!(errors(&opened), [0]);
        delete(&mut connection, "t").await;
        let next = open
            .with_topics(vec![])
            .with_session_id(opened.session_id)
            .with_session_epoch(1);
        for epoch in 1..4 {
            let request = next.clone().with_session_epoch(epoch);
            let answer = connection.call(version, &request).await.unwrap();
            assert_eq!(errors(&answer), [error.code()], "epoch {epoch}");
        }

        // Made again it is the same name, and another id.
        create(&mut connection, "t").await;
        let request = next.clone().with_session_epoch(4);
        let answer = connection.call(version, &request).await.unwrap();
        let expected = if version >= 13 { error.code() } else { 0 };
        assert_eq!(errors(&answer), [expected]);
        delete(&mut connection, "t").await;
    }
}
