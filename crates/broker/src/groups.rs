//! Group coordination around the pure machine: commits its ops, sends replies when they are durable, keeps its timers.

/// See the module.
pub(crate) struct GroupService {}
