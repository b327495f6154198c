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
use crate::first_topics;
use crate::groups::GroupService;
use crate::metrics::Metrics;
use crate::server::StartError;
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

/// What makes the coordinator: with timers that run by themselves, or without.
pub(crate) type MakeGroups = fn(Store, Arc<Settings>, Arc<DeadLetters>, Clock) -> GroupService;

impl BrokerState {
    /// The state over what `store` has: all that is known at a start, and nothing that is half made.
    ///
    /// # Errors
    /// What is stored cannot be read, or what is half made cannot be removed.
    pub fn load(
        store: Store,
        settings: Arc<Settings>,
        cluster: Cluster,
        clock: Clock,
        make_groups: MakeGroups,
    ) -> Result<BrokerState, StartError> {
        let topics = Arc::new(TopicService::new(store.clone(), settings.clone()));
        let dead_letters = DeadLetters::new(store.clone(), settings.clone(), topics.clone());
        let dead_letters = Arc::new(dead_letters);
        let groups = make_groups(
            store.clone(),
            settings.clone(),
            dead_letters.clone(),
            clock.clone(),
        );
        first_topics::remove_half_made(&store, &topics)?;
        dead_letters.delays.load(&store)?;
        groups.load_dead_letters();
        groups.start_transactions();
        let redrives = Redrives::default();
        redrives.load(&store)?;
        Ok(BrokerState {
            store,
            clock,
            client_telemetry: ClientTelemetry::new(settings.clone()),
            settings,
            topics,
            groups,
            redrives,
            dead_letters,
            cluster,
            fetch_sessions: FetchSessions::default(),
            metrics: Metrics::default(),
            open: CancellationToken::new(),
            shutdown: CancellationToken::new(),
        })
    }

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
