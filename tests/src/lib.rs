//! What the end-to-end tests share: [`harness`] starts a broker as a process and runs client programs against it;
//! [`parity`] asks Ottla and Apache Kafka the same and compares; [`crash`] is what goes on while a broker dies.
//!
//! `OTTLA_TEST_TARGET=kafka` runs the same tests against Apache Kafka, which shows that a test asks for what is right.
pub mod crash;
pub mod harness;
pub mod parity;
