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
//! A broker is trusted no further than a broker trusts its clients. Frames are bounded ([`ConnectionOptions`]) and take memory
//! as their bytes arrive; every answer is held against its shape before it is decoded ([`ottla_codec::answer`]), so that what
//! it becomes is a small multiple of its bytes; records inflate within a bound.
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
