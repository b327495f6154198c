//! Group coordination around the pure machine: commits its ops, sends replies when they are durable, keeps its timers.

use std::sync::Arc;

use ottla_storage::Store;

use crate::settings::Settings;

/// See the module.
pub(crate) struct GroupService {}

impl GroupService {
    /// A service over what the store has.
    pub fn new(_store: Store, _settings: Arc<Settings>) -> GroupService {
        GroupService {}
    }
}
