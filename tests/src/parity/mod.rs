//! The same requests to Ottla and to Apache Kafka, the answers compared field by field.
//!
//! A scenario ([`scenarios`]) asks both brokers through [`both::Both`]; each answer is turned into a tree ([`debug_tree`]),
//! what differs by nature is replaced by a name ([`normalise`]), and the rest must be equal ([`diff`]) or be named in
//! the table of accepted differences ([`differences`]), which docs/COMPATIBILITY.md repeats with its reasons.

pub mod batch;
pub mod both;
pub mod debug_tree;
pub mod diff;
pub mod differences;
pub mod normalise;
pub mod scenarios;
pub mod servers;
pub mod suite;
pub mod words;
