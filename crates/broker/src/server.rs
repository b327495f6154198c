//! A broker's life: start, serve, stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_codec::StrBytes;
use ottla_storage::Store;
use ottla_storage::fs::OsFs;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::accept::{Acceptor, Speaks};
use crate::background;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::connection::Limits;
use crate::connections::{Connections, Ending};
use crate::dead_letters::{Queues, redrive};
use crate::first_topics::FirstTopics;
use crate::groups::GroupService;
use crate::http::Http;
use crate::http::listen::{self, Wanted};
use crate::listeners::{self, Bound};
use crate::producer_state;
use crate::settings::{self, BrokerConfig, Settings};
use crate::state::BrokerState;

/// How long connections may take to end before the store is closed regardless.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a broker cannot start. Each message names the offending value and the way out.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] ottla_storage::OpenError),
    #[error("cannot listen on {address}: {source}. {hint}")]
    Bind {
        address: String,
        #[source]
        source: std::io::Error,
        hint: String,
    },
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    #[error("cannot read what is stored beside the logs: {0}")]
    Store(#[from] ottla_storage::StoreError),
    #[error("cannot verify the data directory: {0}")]
    Check(#[source] ottla_storage::StoreError),
    #[error("opening the data directory failed, which is a defect: {0}")]
    Internal(String),
}

/// A running broker. Dropping it stops it without a checkpoint; [`Broker::shutdown`] is the graceful way.
pub struct Broker {
    state: Arc<BrokerState>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    data_dir: PathBuf,
    listeners: Vec<(String, SocketAddr)>,
    http_address: Option<SocketAddr>,
}

impl Broker {
    /// Opens the data directory, recovers, listens. Ready for clients when this returns.
    pub async fn start(config: BrokerConfig) -> Result<Broker, StartError> {
        let broker = Broker::start_closed(config).await?;
        broker.open();
        Ok(broker)
    }

    /// As [`start`](Broker::start), but nobody is served before [`open`](Broker::open): who connects to a listener waits,
    /// and the HTTP port says on `/readyz` that it is not yet time.
    pub async fn start_closed(config: BrokerConfig) -> Result<Broker, StartError> {
        let settings = Arc::new(Settings::new(&config)?);
        let configured = settings::listeners(&config.values)?;
        // The port first: a port that is taken is the likelier mistake, and nothing is opened for it.
        let wanted_http = listen::configured(&config.values, &configured)?;
        let bound = listeners::bind(configured)?;
        let http_port = listen::bind(&wanted_http)?;
        let data_dir = config.data_dir.clone();
        let store = open_store(&config, &settings).await?;
        if let Some(asked) = settings.cluster_id()
            && asked != store.cluster_id()
        {
            warn!(
                "cluster.id={asked} is not the id that the data directory has: it stays {}. Another directory (log.dirs) \
                 makes a new cluster",
                store.cluster_id()
            );
        }
        let cluster = Cluster {
            node_id: settings.current().node_id,
            cluster_id: StrBytes::from_string(store.cluster_id().to_string()),
            advertised: bound.iter().map(|b| b.advertised.clone()).collect(),
        };
        let clock = Clock::system();
        let state = BrokerState::load(store, settings, cluster, clock, GroupService::new)?;
        let state = Arc::new(state);
        let listeners = bound
            .iter()
            .map(|b| (b.name.to_string(), b.address))
            .collect();
        let connections = Arc::new(Connections::default());
        let http_address = http_port.as_ref().map(|(_, address)| *address);
        let http = match wanted_http {
            Wanted::Off => None,
            Wanted::Port { .. } => Some(Http::new(
                state.clone(),
                connections.clone(),
                &state.settings.current().http_allowed_hosts,
            )),
        };
        let tasks = serve(&state, &connections, bound, http, http_port);
        Ok(Broker {
            state,
            connections,
            tasks,
            data_dir,
            listeners,
            http_address,
        })
    }

    /// Serves clients from now on.
    pub fn open(&self) {
        self.state.open.cancel();
    }

    /// What makes topics before it is open.
    pub fn first_topics(&self) -> FirstTopics {
        FirstTopics::new(self.state.clone())
    }

    /// The node's id.
    pub fn node_id(&self) -> i32 {
        self.state.cluster.node_id
    }

    /// The address of the HTTP port; `None` if there is none.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The addresses that it listens on, by listener name.
    pub fn listeners(&self) -> Vec<(String, SocketAddr)> {
        self.listeners.clone()
    }

    /// What clients are told to connect to, by listener name: `host:port`.
    pub fn advertised(&self) -> Vec<(String, String)> {
        let listeners = &self.state.cluster.advertised;
        listeners
            .iter()
            .map(|a| {
                let (host, port) = self.state.advertised(&a.listener);
                let host = if host.contains(':') {
                    format!("[{}]", &*host)
                } else {
                    host.to_string()
                };
                (a.listener.to_string(), format!("{host}:{port}"))
            })
            .collect()
    }

    /// Where the data is.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> String {
        self.state.cluster.cluster_id.to_string()
    }

    /// Its dead letter queues.
    pub fn dead_letters(&self) -> Queues {
        Queues::new(self.state.clone())
    }

    /// Answers what is under way, checkpoints, closes. At most about two seconds.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.state.shutdown.cancel();
        self.state.groups.end_waits();
        self.connections.end_all(Ending::Shutdown);
        let ended = timeout(DRAIN, self.connections.none_left()).await;
        if ended.is_err() {
            tracing::warn!(
                "connections did not end within {DRAIN:?}; closing the store all the same"
            );
        }
        let store = self.state.store.clone();
        tokio::task::spawn_blocking(move || store.close()).await??;
        Ok(())
    }

    /// Stops as a crash would, without a checkpoint or answers, and waits until nothing uses the store any more:
    /// another broker may then open the data directory.
    pub async fn abort(self) {
        let (connections, tasks) = (self.connections.clone(), self.tasks.clone());
        let moves = self.state.groups.ended();
        drop(self);
        connections.none_left().await;
        tasks.wait().await;
        moves.await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.state.shutdown.cancel();
        self.connections.end_all(Ending::Abort);
    }
}

/// Starts accepting, and the tasks of the background. All end with the broker's shutdown token.
fn serve(
    state: &Arc<BrokerState>,
    connections: &Arc<Connections>,
    bound: Vec<Bound>,
    http: Option<Http>,
    http_port: Option<(TcpListener, SocketAddr)>,
) -> TaskTracker {
    let tasks = TaskTracker::new();
    let settings = state.settings.current();
    let acceptor = Acceptor {
        broker: state.clone(),
        connections: connections.clone(),
        limits: Limits {
            max_frame: settings.socket_request_max_bytes,
            in_flight: settings.connection_in_flight_max_bytes,
            total: Arc::new(Budget::new(settings.queued_max_request_bytes)),
        },
        http,
    };
    for listener in bound {
        let (name, socket) = (listener.name, listener.listener);
        tasks.spawn(acceptor.clone().run(name, socket, Speaks::Kafka));
    }
    if let Some((socket, _)) = http_port {
        tasks.spawn(
            acceptor
                .clone()
                .run(Arc::from("HTTP"), socket, Speaks::Http),
        );
    }
    tasks.spawn(background::close_idle(state.clone(), connections.clone()));
    tasks.spawn(background::retention(state.clone()));
    tasks.spawn(redrive::serve(state.clone(), tasks.clone()));
    tasks.close();
    tasks
}

/// Opens the store, which reads and writes files, off the runtime's threads.
pub(crate) async fn open_store(
    config: &BrokerConfig,
    settings: &Arc<Settings>,
) -> Result<Store, StartError> {
    let dir = config.data_dir.clone();
    let options = settings.store_options(producer_state::factory(settings.clone()));
    let settings = settings.clone();
    let opening = tokio::task::spawn_blocking(move || -> Result<Store, StartError> {
        let store = Store::open(Arc::new(OsFs), &dir, options)?;
        settings.load_dynamic(&store)?;
        Ok(store)
    });
    opening
        .await
        .map_err(|e| StartError::Internal(e.to_string()))?
}
