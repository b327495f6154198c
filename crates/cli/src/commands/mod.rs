//! One command, one file.

pub mod check;
pub mod completions;
pub mod config;
pub mod consume;
pub mod dlq;
pub mod doctor;
pub mod group;
pub mod kafka;
pub mod produce;
pub mod reset;
pub mod serve;
pub mod snapshot;
pub mod topic;
pub mod wait;
