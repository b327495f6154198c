//! Kafka Connect in distributed mode, unchanged: its workers are the processes that their users run, and what they do is asked
//! for by REST. `./scripts/setup-test-clients.sh connect` installs it; `OTTLA_TEST_TARGET=kafka` runs the same against Apache Kafka.
#![allow(clippy::unwrap_used)]

mod bad_records;
mod copying;
mod files;
mod mirror;
mod offsets;
mod outbox;
mod postgres;
mod traces;
