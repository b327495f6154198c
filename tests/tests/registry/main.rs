//! Schema registries, which keep what they know in a topic of one partition and read it whole when they start.
//! `./scripts/setup-test-clients.sh registry` installs the real one; `OTTLA_TEST_TARGET=kafka` runs the same against Apache Kafka.
#![allow(clippy::unwrap_used)]

mod apicurio;
mod schemas_topic;
