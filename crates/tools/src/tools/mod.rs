//! One tool, one file.

mod broker_api_versions;
mod cluster;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delete_records;
mod features;
mod get_offsets;
mod groups;
mod leader_election;
mod log_dirs;
mod metadata_quorum;
mod run_class;
mod storage;
mod topics;
mod transactions;
mod zookeeper;

use crate::Tool;

/// All tools by name.
pub(crate) const TOOLS: &[Tool] = &[
    broker_api_versions::TOOL,
    cluster::TOOL,
    configs::TOOL,
    console_consumer::TOOL,
    console_producer::TOOL,
    consumer_groups::TOOL,
    delete_records::TOOL,
    features::TOOL,
    get_offsets::TOOL,
    groups::TOOL,
    leader_election::TOOL,
    log_dirs::TOOL,
    metadata_quorum::TOOL,
    run_class::TOOL,
    storage::TOOL,
    topics::TOOL,
    transactions::TOOL,
    zookeeper::TOOL,
];
