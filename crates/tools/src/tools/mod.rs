//! One tool, one file.

mod topics;
mod zookeeper;

use crate::Tool;

/// All tools by name.
pub(crate) const TOOLS: &[Tool] = &[topics::TOOL, zookeeper::TOOL];
