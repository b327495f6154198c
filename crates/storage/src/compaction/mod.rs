//! Compaction: of each key at least the last record is kept (docs/COMPACTION.md).

#![cfg_attr(not(test), allow(dead_code))]

pub(crate) mod policy;
