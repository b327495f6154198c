//! The lines by which programs that start other brokers see that those are ready.
//!
//! Testcontainers' modules wait for them in a container's log: Java and .NET for Kafka's change to RUNNING, Rust and Python for
//! `Kafka Server started`, Python in ZooKeeper mode for the server's name, Rust for Confluent's image for two lines from its
//! start-up, all of them for Redpanda's own words.

use clap::ValueEnum;

/// Whose lines to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Announce {
    Kafka,
    Redpanda,
}

impl Announce {
    /// The lines, for standard output.
    pub(super) fn lines(self, node_id: i32) -> String {
        match self {
            Announce::Kafka => format!(
                "Creating new log file\n\
                 [Controller id={node_id}] Checking need to trigger auto leader balancing\n\
                 [BrokerLifecycleManager id={node_id}] The broker has been unfenced. Transitioning from RECOVERY to RUNNING.\n\
                 [KafkaRaftServer nodeId={node_id}] Kafka Server started\n\
                 [KafkaServer id={node_id}] started\n"
            ),
            Announce::Redpanda => {
                "Started Kafka API server\nSuccessfully started Redpanda!\n".to_owned()
            }
        }
    }
}
