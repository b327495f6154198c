//! Compaction: of each key at least the last record is kept (docs/COMPACTION.md).
//!
//! [`pass`] and [`filter`] say what stays of a partition's batches, and know nothing of files, locks or time.

#![cfg_attr(not(test), allow(dead_code))]

mod aborted;
pub(crate) mod filter;
pub(crate) mod offset_map;
pub(crate) mod pass;
pub(crate) mod policy;

#[cfg(test)]
mod tests;
