//! Kafka's wire protocol, without I/O: frames, headers, the API table, record batches, response buffers.
//!
//! Messages come from the crate `kafka-protocol`, re-exported here; this crate adds what a broker
//! needs around them: bounds on what a peer can make it allocate, views of record batches that copy
//! nothing, and answers made of several chunks for a vectored write.
//!
//! Invariants: no I/O, no clock, no tokio. Memory follows the bytes that arrived, never a length or
//! a count that a peer claims. No input panics.
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod batch;
mod budget;
pub mod compression;
pub mod consumer_protocol;
pub mod control;
pub mod cut;
pub mod fetch;
pub mod frame;
pub mod header;
pub mod produce;
pub mod produce_removed;
pub mod records;
pub mod request;
pub mod response;
pub mod rewrite;
mod shape;
pub mod walk;
mod wire;

pub use kafka_protocol::ResponseError;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::StrBytes;
pub use shape::{compose, newer, places};
