//! Redrive, purge and a look at queues, over the wire where records go in and out.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod fixture;
mod full_disk;
mod retry_topic;
mod selections;
mod tasks;
mod whole;
