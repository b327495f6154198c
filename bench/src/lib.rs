//! What other programs that measure a broker use as well: what a process takes, medians and percentiles, bytes to send.

pub mod payload;
pub mod process;
pub mod stats;
