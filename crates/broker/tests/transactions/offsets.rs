//! Positions of groups in transactions.

use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_codec::messages::{GroupId, OffsetFetchRequest};

use crate::producer::{Producer, V1, V2, code};
use crate::support::member::{commit_outside, committed, create_topic, text};
use crate::support::*;

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
        running = running.crash(&[]).await;
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
        running = running.crash(&[]).await;
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
