//! What the end-to-end tests share: [`harness`] starts a broker as a process and runs client programs against it;
//! [`parity`] asks Ottla and Apache Kafka the same and compares; [`crash`] is what goes on while a broker dies;
//! [`long_run`] is a mixed load for an hour, and whether the broker stays as it was; [`arguments`] reads the command lines of both.
//!
//! `OTTLA_TEST_TARGET=kafka` runs the same tests against Apache Kafka, which shows that a test asks for what is right.
pub mod arguments;
pub mod crash;
pub mod harness;
pub mod long_run;
pub mod parity;
