//! The names that Kafka keeps for its own topics.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use ottla_codec::ResponseError;
use ottla_codec::messages::create_topics_request::CreatableTopic;
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use ottla_codec::messages::{CreateTopicsRequest, MetadataRequest};
use support::*;

const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__share_group_state",
    "__transaction_state",
];

#[tokio::test]
async fn internal_names_are_neither_created_nor_written_to() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    for topic in INTERNAL {
        let ask = MetadataRequest::default()
            .with_topics(Some(vec![
                MetadataRequestTopic::default().with_name(Some(name(topic))),
            ]))
            .with_allow_auto_topic_creation(true);
        let told = connection.call(9, &ask).await.unwrap();
        assert_eq!(
            told.topics[0].error_code,
            ResponseError::UnknownTopicOrPartition.code()
        );
        assert!(told.topics[0].is_internal);

        let create = CreateTopicsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![
                CreatableTopic::default()
                    .with_name(name(topic))
                    .with_num_partitions(1)
                    .with_replication_factor(1),
            ]);
        let created = connection.call(5, &create).await.unwrap();
        assert_eq!(
            created.topics[0].error_code,
            ResponseError::TopicAlreadyExists.code()
        );

        let answer = connection
            .call(9, &produce_request(topic, -1, batch(&["a"])))
            .await
            .unwrap();
        assert_eq!(
            produced(&answer).0,
            ResponseError::InvalidTopicException.code()
        );
    }
}
