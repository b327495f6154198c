//! Clients that go on through every crash of their broker, and what must hold afterwards of all that they were told.

pub mod compacted;
mod damage;
pub mod dead_letters;
pub mod groups;
pub mod kinds;
mod picture;
pub mod promises;
pub mod records;
pub mod snapshots;
pub mod topics;
pub mod transfers;
pub mod workload;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

/// How long anything may take.
pub const TIMEOUT: Duration = Duration::from_secs(90);

/// When clients work.
#[derive(Default)]
pub struct Signals {
    /// Ends them.
    pub stop: AtomicBool,
    /// While the log is read, so that it does not outgrow its reader. What is under way goes on.
    pub pause: AtomicBool,
}

impl Signals {
    /// Lets the clients end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes a topic. Panics if it cannot be made.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("the client's settings are right");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let created = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(admin.create_topics([&new], &AdminOptions::new()))
        .expect("the broker answers");
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}
