//! Transactions over the wire: what a reader of committed records sees, what a restart keeps, who is fenced, what an admin is told.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod ends;
mod offsets;
mod producer;
mod reader;
mod reading;
