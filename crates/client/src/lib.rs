//! A small Kafka client: one connection, version negotiation, administration, producing, consuming.
//!
//! It speaks to any broker of the Kafka protocol. The layers, from the socket up:
//!
//! - [`Connection`]: one TCP connection; frames and typed calls, pipelined if wanted. Knows nothing of the cluster.
//! - [`Node`]: a connection with negotiated versions.
//! - [`Client`]: a cluster: bootstrap, metadata, routing to leaders and coordinators, retries.
//! - [`admin`], [`producer`], [`consumer`]: what programs do with it.
//!
//! # Brokers that lie
//! A broker is trusted further than a broker trusts its clients. Frames are bounded ([`ConnectionOptions`]) and take memory as
//! their bytes arrive; records inflate within a bound. But an answer is decoded by the crate `kafka-protocol`, which reserves
//! room for as many elements as an array claims to have. A false claim comes to an error as soon as the bytes end, and memory
//! that was reserved and never touched costs nothing on systems that overcommit; a claim beyond what the system grants at
//! all ends the process. So this crate is not for talking to brokers that mean harm.
#![forbid(unsafe_code)]

pub mod admin;
mod client;
mod connection;
pub mod consumer;
mod error;
mod metadata;
mod node;
mod options;
pub mod producer;

pub use client::Client;
pub use connection::{Connection, ConnectionOptions};
pub use error::{BrokerError, ClientError};
pub use kafka_protocol;
pub use metadata::{Broker, ClusterMetadata, PartitionMetadata, TopicMetadata, Topics};
pub use node::Node;
pub use options::ClientOptions;
