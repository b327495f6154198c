//! What all requests share.

use std::sync::Arc;

use ottla_codec::StrBytes;
use ottla_storage::Store;
use tokio_util::sync::CancellationToken;

use crate::client_telemetry::ClientTelemetry;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::dead_letters::DeadLetters;
use crate::dead_letters::redrive::Redrives;
use crate::fetch_sessions::FetchSessions;
use crate::groups::GroupService;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::topics::TopicService;

/// The broker's shared state.
pub(crate) struct BrokerState {
    /// The log and the catalogue.
    pub store: Store,
    /// The time, for what is simulated too.
    pub clock: Clock,
    /// The effective settings, dynamic ones included.
    pub settings: Arc<Settings>,
    /// Creation, deletion and checks of topics, one place for CreateTopics and auto-creation.
    pub topics: Arc<TopicService>,
    /// Group coordination: the pure machine of `ottla-coordinator`, its timers, its commits.
    pub groups: GroupService,
    /// Dead letters on their way back.
    pub redrives: Redrives,
    /// Dead letters: who is watched, what is withheld, counters.
    pub dead_letters: Arc<DeadLetters>,
    /// This node, its cluster and its advertised addresses.
    pub cluster: Cluster,
    /// Who fetches what, for incremental fetches.
    pub fetch_sessions: FetchSessions,
    /// What clients measure of themselves.
    pub client_telemetry: ClientTelemetry,
    /// What is counted.
    pub metrics: Metrics,
    /// Cancelled when clients are to be served: what a broker makes before is not seen half made.
    pub open: CancellationToken,
    /// Cancelled when the broker stops: waits of requests and background tasks end then.
    pub shutdown: CancellationToken,
}

impl BrokerState {
    /// Host and port that clients of `listener` are told to connect to: as it was set last, while the broker runs or before.
    pub fn advertised(&self, listener: &str) -> (StrBytes, i32) {
        let settings = self.settings.current();
        settings
            .advertised_listeners
            .as_deref()
            .and_then(|value| self.cluster.readvertised(value).ok())
            .and_then(|told| told.into_iter().find(|a| &*a.listener == listener))
            .map_or_else(|| self.cluster.advertised(listener), |a| (a.host, a.port))
    }
}
