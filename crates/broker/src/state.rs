//! What all requests share.

use ottla_storage::Store;

use crate::groups::GroupService;
use crate::settings::Settings;
use crate::topics::TopicService;

/// The broker's shared state.
pub(crate) struct BrokerState {
    /// The log and the catalogue.
    pub store: Store,
    /// The effective settings, dynamic ones included.
    pub settings: Settings,
    /// Creation, deletion and checks of topics, one place for CreateTopics and auto-creation.
    pub topics: TopicService,
    /// Group coordination: the pure machine of `ottla-coordinator`, its timers, its commits.
    pub groups: GroupService,
}
