//! Retry topics: redrives for one group alone, and records that wait for their time.

use std::time::{Duration, Instant};

use ottla_broker::dead_letters::Selection;
use ottla_broker::dead_letters::views::RedriveRequest;
use ottla_client::Connection;
use ottla_codec::StrBytes;
use ottla_codec::compression::Compression;
use ottla_codec::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_codec::messages::{GroupId, OffsetCommitRequest};
use ottla_dlq::headers::origin;

use crate::fixture::*;
use crate::support::{fetch_request, name, start};

#[tokio::test]
async fn a_redrive_for_one_group_goes_to_its_retry_topic_and_still_says_where_it_came_from() {
    let (running, mut connection) = with_queue(2).await;
    fill(&mut connection, 3).await;
    let request = RedriveRequest {
        for_group: Some("team/billing".into()),
        ..RedriveRequest::default()
    };
    let task = redrive_all(&running, request).await;
    assert_eq!((task.state, task.moved), ("done", 3));
    assert!(
        task.target.starts_with("orders.team-billing-"),
        "{}",
        task.target
    );
    assert!(task.target.ends_with(".retry"));
    assert!(task.notes[0].contains(&task.target));
    assert!(read(&mut connection, "orders", 0).await.is_empty());
    let there = read(&mut connection, &task.target, 0).await;
    assert_eq!(values(&there), ["0", "1", "2"]);
    let said = origin(&there[2].headers);
    assert_eq!(
        (said.topic.as_deref(), said.offset),
        (Some("orders"), Some(2))
    );
    assert_eq!((said.redrives, said.retry_at_ms), (1, None));
    assert!(left(&running).await.is_empty());
}

/// Says that the record at `offset` of partition 1 failed, as a client does that assigns its partitions itself.
async fn nack(connection: &mut Connection, topic: &str, offset: i64) {
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("billing")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(1)
                        .with_committed_offset(offset)
                        .with_committed_leader_epoch(-1)
                        .with_committed_metadata(Some(StrBytes::from_static_str("!nack no"))),
                ]),
        ]);
    let answer = connection.call(7, &request).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{topic}");
}

/// How many bytes of records a fetch of partition 1 gives that waits at most so long.
async fn fetched(connection: &mut Connection, topic: &str, offset: i64, wait: Duration) -> usize {
    let mut request = fetch_request(topic, offset, wait);
    request.topics[0].partitions[0].partition = 1;
    let answer = connection.call(11, &request).await.unwrap();
    let found = &answer.responses[0].partitions[0];
    assert_eq!(found.error_code, 0);
    found.records.as_ref().map_or(0, bytes::Bytes::len)
}

#[tokio::test]
async fn a_retry_topic_serves_nothing_before_its_time_and_in_the_end_the_original_is_dead() {
    const BACKOFF: Duration = Duration::from_millis(1_000);
    let running = start(&[
        ("dlq.retry.mode", "unordered"),
        ("dlq.retry.backoff.ms", "1000"),
        ("dlq.max.attempts", "3"),
    ])
    .await;
    let mut connection = running.connect().await;
    make(&mut connection, "orders", 2).await;
    let original = record(Some("k"), Some("v"));
    let codec = Compression::Zstd;
    let one = std::slice::from_ref(&original);
    produce(&mut connection, "orders", 1, codec, one).await;

    let retry = "orders.billing.retry";
    let (mut topic, mut offset) = ("orders", 0);
    for failure in 1..3 {
        let begun = Instant::now();
        nack(&mut connection, topic, offset).await;
        (topic, offset) = (retry, failure - 1);
        assert_eq!(
            fetched(&mut connection, retry, offset, Duration::ZERO).await,
            0
        );
        assert!(fetched(&mut connection, retry, offset, WAIT).await > 0);
        // The second wait is twice as long. A clock that counts milliseconds may be one short.
        let least = BACKOFF * failure as u32 - Duration::from_millis(2);
        assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < WAIT, "woken by nothing but its time");
    }
    nack(&mut connection, retry, offset).await;
    let page = running
        .broker
        .dead_letters()
        .records("orders", Selection::default(), 10, None)
        .await
        .unwrap();
    let [dead] = &page.records[..] else {
        panic!("{page:?}");
    };
    let source = dead.source.as_ref().unwrap();
    assert_eq!(
        (&*source.topic, source.partition, source.offset),
        ("orders", Some(1), Some(0))
    );
    assert_eq!((dead.partition, dead.attempts), (1, Some(3)));
    assert_eq!(dead.timestamp, original.timestamp);

    assert_eq!(redrive(&running, Selection::default()).await.moved, 1);
    let back = read(&mut connection, "orders", 1).await;
    assert_eq!(
        (&back[1].key, &back[1].value),
        (&original.key, &original.value)
    );
}
