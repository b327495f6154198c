//! Dead letters with real clients: records that kill those who read them, records that are nacked, and consumers that have
//! other reasons to go.

mod crash_loops;
mod false_alarms;
mod log;
mod nack_loops;
mod nacker;
mod redrives;
mod retries;
mod snippets;
mod worker;
