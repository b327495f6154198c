//! What is asked of both brokers, by theme. A scenario asks; the comparison is made in passing.

use std::future::Future;
use std::pin::Pin;

use super::both::Both;

mod acls;
mod cluster;
mod compression;
pub(super) mod configs;
mod fetch;
mod group_offsets;
pub(super) mod groups;
mod list_offsets;
mod loggers;
mod metadata;
mod produce;
mod producers;
mod records;
mod replicas;
mod telemetry;
mod topics;
mod transactions;
mod zombies;

/// A scenario, ready to be run against both brokers.
pub type Scenario =
    for<'a> fn(&'a mut Both) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        /// Every scenario by name. The first runs alone, before the others.
        pub const ALL: &[(&str, Scenario)] = &[$($(
            (concat!(stringify!($module), "::", stringify!($name)), |both| Box::pin($module::$name(both))),
        )+)+];
    };
}

scenarios! {
    groups: listing;
    produce: good_batches, bad_batches, bad_requests, timestamps, compacted_topics, sizes, append_time;
    compression: codecs, lz4_frames;
    producers: ids, sequences;
    fetch: each_version, offsets_and_limits, bad_partitions, sessions, waiting;
    list_offsets: special_timestamps, empty_topics, bad_partitions;
    records: deletion, times_after_deletion, leader_epochs;
    metadata: topics_by_name_and_id, described_partitions;
    topics: creation, refused_creation, deletion, partitions;
    configs: topic_configs, broker_configs, alteration, incremental_alteration, resources, group_configs;
    groups: a_life_in_each_version, refused_joins, wrong_members, two_members, static_members, description;
    group_offsets: commits, refused_commits, deletion, members;
    replicas: elections, reassignments, moves_between_directories, quorum, features, unregistration;
    loggers: levels, refused_levels;
    telemetry: client_metrics;
    transactions: lives, refusals, offsets, descriptions, markers;
    acls: without_an_authorizer;
    zombies: time_outs, ends_again, troubles, patterns, strangers;
    cluster: versions, description, log_directories, coordinators, unknown_requests;
}
