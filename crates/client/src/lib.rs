//! A small Kafka client: one connection, version negotiation, administration, producing, consuming.
//!
//! It speaks to any broker of the Kafka protocol. The layers, from the socket up:
//!
//! - [`Connection`]: one TCP connection; frames and typed calls, pipelined if wanted. Knows nothing of the cluster.
#![forbid(unsafe_code)]

mod connection;
mod error;

pub use connection::{Connection, ConnectionOptions};
pub use error::{BrokerError, ClientError};
pub use kafka_protocol;
