//! A member of a group.

use bytes::Bytes;

/// A protocol (assignor) that a member can do, with its subscription in that protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// What a member waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaiting<T> {
    /// Nothing.
    Nothing,
    /// The end of the join phase.
    Join(T),
    /// The leader's assignment.
    Sync(T),
}

/// A member.
#[derive(Debug)]
pub struct Member<T> {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    pub(crate) awaiting: Awaiting<T>,
    /// Its first join phase has not ended: it cannot heartbeat yet, so waiting does not keep it alive
    /// (the join timeout for new members).
    pub(crate) is_new: bool,
}

impl<T> Member<T> {
    pub(crate) fn is_awaiting_join(&self) -> bool {
        matches!(self.awaiting, Awaiting::Join(_))
    }

    /// Whether an expired session does not count: its request waits here, so it is alive.
    pub(crate) fn is_alive_without_heartbeat(&self) -> bool {
        !self.is_new && !matches!(self.awaiting, Awaiting::Nothing)
    }

    /// The metadata for `protocol`; empty if it does not have it.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|p| Some(p.name.as_str()) == protocol)
            .map_or_else(Bytes::new, |p| p.metadata.clone())
    }

    /// Takes the join ticket, if there is one.
    pub(crate) fn take_join(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.awaiting, Awaiting::Nothing) {
            Awaiting::Join(ticket) => Some(ticket),
            other => {
                self.awaiting = other;
                None
            }
        }
    }

    /// Takes the sync ticket, if there is one.
    pub(crate) fn take_sync(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.awaiting, Awaiting::Nothing) {
            Awaiting::Sync(ticket) => Some(ticket),
            other => {
                self.awaiting = other;
                None
            }
        }
    }
}
