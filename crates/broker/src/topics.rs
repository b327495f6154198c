//! Topics: names, creation (asked for and automatic), deletion, growth. One place for the rules.

/// See the module.
pub(crate) struct TopicService {}
