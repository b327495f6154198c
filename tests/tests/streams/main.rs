//! Kafka Streams applications (tests/streams), unchanged and as processes of their own, while they and the broker are killed.
//! `OTTLA_TEST_TARGET=kafka` runs them against Apache Kafka.
#![allow(clippy::unwrap_used)]
mod application;
mod clicks;
mod feed;
mod group_protocols;
mod like_kafka;
mod shop;
mod topics;
mod view;
mod word_count;
