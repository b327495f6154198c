//! End-to-end tests with real clients. `./scripts/setup-test-clients.sh` installs what they need; `OTTLA_TEST_TARGET=kafka`
//! runs them against Apache Kafka.
mod cleaner_parity;
mod clients;
mod compaction;
mod dead_letters;
mod first_aid;
mod kcat;
mod listeners;
mod log_tool;
mod rdkafka;
mod shims;
mod tools;
