//! One tool, one file.

mod broker_api_versions;
mod configs;
mod delete_records;
mod get_offsets;
mod topics;
mod zookeeper;

use crate::Tool;

/// All tools by name.
pub(crate) const TOOLS: &[Tool] = &[
    broker_api_versions::TOOL,
    configs::TOOL,
    delete_records::TOOL,
    get_offsets::TOOL,
    topics::TOOL,
    zookeeper::TOOL,
];
