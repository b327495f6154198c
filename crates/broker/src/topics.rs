//! Topics: names, creation (asked for and automatic), deletion, growth. One place for the rules.

use std::sync::Arc;

use ottla_storage::Store;

use crate::settings::Settings;

/// See the module.
pub(crate) struct TopicService {}

impl TopicService {
    /// A service over the store's catalogue.
    pub fn new(_store: Store, _settings: Arc<Settings>) -> TopicService {
        TopicService {}
    }
}
