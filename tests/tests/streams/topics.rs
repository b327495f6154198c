//! Making topics.

use ottla_tests::harness::Broker;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

/// librdkafka's settings for a broker that may be killed.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "200")
        .set("retry.backoff.ms", "20");
    config
}

/// Makes topics.
pub fn make(broker: &Broker, names: &[&str], partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(&broker.bootstrap())
        .create()
        .expect("the client's settings are right");
    let new = names
        .iter()
        .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1)));
    let new: Vec<_> = new.collect();
    let made = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(admin.create_topics(&new, &AdminOptions::new()))
        .expect("the broker answers");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}
