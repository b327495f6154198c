//! Topics that are made because a client asks for them.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;

use ottla_codec::messages::MetadataRequest;
use ottla_codec::messages::metadata_request::MetadataRequestTopic;
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_ask_at_the_same_time_are_told_of_the_same_topic() {
    let running = start(&[]).await;
    for round in 0..10 {
        let topic = format!("t{round}");
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut connection = running.connect().await;
            let ask = MetadataRequest::default()
                .with_topics(Some(vec![
                    MetadataRequestTopic::default().with_name(Some(name(&topic))),
                ]))
                .with_allow_auto_topic_creation(true);
            let topic = topic.clone();
            clients.spawn(async move {
                let told = connection.call(12, &ask).await.unwrap();
                let id = told.topics[0].topic_id;
                assert_eq!(told.topics[0].error_code, 0);
                assert!(!told.topics[0].partitions.is_empty());
                // Usable at once.
                let answer = connection
                    .call(9, &produce_request(&topic, -1, batch(&["a"])))
                    .await
                    .unwrap();
                assert_eq!(produced(&answer).0, 0);
                id
            });
        }
        let ids: BTreeSet<_> = clients.join_all().await.into_iter().collect();
        assert_eq!(ids.len(), 1, "{topic}");
    }
}
