//! One tool, one file.

mod configs;
mod topics;
mod zookeeper;

use crate::Tool;

/// All tools by name.
pub(crate) const TOOLS: &[Tool] = &[configs::TOOL, topics::TOOL, zookeeper::TOOL];
