//! A broker's process without sockets and threads: handlers over a store on a simulated disk, with clocks that are set.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use ottla_codec::StrBytes;
use ottla_codec::api::Api;
use ottla_coordinator::Now;
use ottla_storage::fs::sim::SimFs;
use ottla_storage::stepped::Stepped;
use ottla_storage::{NewTopic, OpenError, StoreOptions, TopicId};
use parking_lot::Mutex;

use super::{ACCOUNT_TOPICS, INPUTS, PARTITIONS_OF_ACCOUNTS};
use crate::client_telemetry::ClientTelemetry;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::context::{ConnectionInfo, Principal, RequestContext};
use crate::dead_letters::DeadLetters;
use crate::dead_letters::redrive::Redrives;
use crate::fetch_sessions::FetchSessions;
use crate::groups::GroupService;
use crate::metrics::Metrics;
use crate::producer_state;
use crate::reply::Reply;
use crate::settings::{BrokerConfig, Settings};
use crate::state::BrokerState;
use crate::topics::TopicService;

pub(super) const MAX_TIMEOUT_MS: i32 = 3_000;
/// Longer than any transaction may be open.
const PRODUCER_EXPIRATION_MS: &str = "6000";
const ID_EXPIRATION_MS: &str = "20000";

pub(super) type Pending<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A process.
pub(super) struct Process {
    pub stepped: Stepped,
    pub broker: Arc<BrokerState>,
}

/// The clocks, the wall's and one that begins anew with each process.
pub(super) type SetClock = Arc<Mutex<Now>>;

pub(super) fn settings() -> Arc<Settings> {
    let values = [
        ("transaction.max.timeout.ms", MAX_TIMEOUT_MS.to_string()),
        (
            "producer.id.expiration.ms",
            PRODUCER_EXPIRATION_MS.to_owned(),
        ),
        (
            "transactional.id.expiration.ms",
            ID_EXPIRATION_MS.to_owned(),
        ),
        // Nothing goes by itself.
        ("log.retention.ms", "-1".to_owned()),
    ];
    let config = BrokerConfig {
        data_dir: PathBuf::from("/data"),
        values: values.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    Arc::new(Settings::new(&config).expect("valid settings"))
}

impl Process {
    /// Opens the data directory and loads what a broker does at its start.
    pub fn open(
        fs: &SimFs,
        settings: &Arc<Settings>,
        clock: &SetClock,
    ) -> Result<Process, OpenError> {
        let options = StoreOptions {
            cache_bytes: 20_000,
            max_open_files: 5,
            ..settings.store_options(producer_state::factory(settings.clone()))
        };
        let stepped = Stepped::open(Arc::new(fs.clone()), Path::new("/data"), options)?;
        let store = stepped.store().clone();
        let clock = Clock::Set(clock.clone());
        let topics = Arc::new(TopicService::new(store.clone(), settings.clone()));
        let dead_letters = DeadLetters::new(store.clone(), settings.clone(), topics.clone());
        let dead_letters = Arc::new(dead_letters);
        let groups = GroupService::without_timers(
            store.clone(),
            settings.clone(),
            dead_letters.clone(),
            clock.clone(),
        );
        groups.load_dead_letters();
        groups.start_transactions();
        let broker = Arc::new(BrokerState {
            redrives: Redrives::default(),
            topics,
            groups,
            dead_letters,
            store,
            clock,
            client_telemetry: ClientTelemetry::new(settings.clone()),
            settings: settings.clone(),
            cluster: Cluster {
                node_id: 1,
                cluster_id: StrBytes::from_static_str("simulated"),
                advertised: Vec::new(),
            },
            fetch_sessions: FetchSessions::default(),
            metrics: Metrics::default(),
            open: Default::default(),
            shutdown: Default::default(),
        });
        Ok(Process { stepped, broker })
    }

    /// Makes the topics that are not there yet. `false`: the disk says no.
    pub fn make_topics(&self) -> bool {
        let topics = [(INPUTS.0, INPUTS.1)];
        let accounts = ACCOUNT_TOPICS.map(|name| (name, PARTITIONS_OF_ACCOUNTS));
        let store = self.stepped.store();
        topics
            .into_iter()
            .chain(accounts)
            .enumerate()
            .all(|(n, (name, partitions))| {
                // Orders may be large.
                let segment = if name == INPUTS.0 { "200000" } else { "3000" };
                let new = NewTopic {
                    id: TopicId::from_u128(n as u128 + 1),
                    name: name.to_owned(),
                    partitions,
                    configs: BTreeMap::from([("segment.bytes".to_owned(), segment.to_owned())]),
                    created_ms: 0,
                };
                store.topics().by_name(name).is_some() || store.create_topic(new).is_ok()
            })
    }

    /// The surroundings of a request.
    pub fn context(&self, api: Api, version: i16) -> RequestContext {
        RequestContext {
            broker: self.broker.clone(),
            connection: Arc::new(ConnectionInfo {
                id: 1,
                peer: std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
                listener: Arc::from("PLAINTEXT"),
                software: OnceLock::new(),
            }),
            api,
            version,
            correlation_id: 0,
            client_id: None,
            principal: Principal::anonymous(),
        }
    }

    /// Writes until nothing waits. `false`: the store is in trouble.
    pub fn settle(&self) -> bool {
        while self.stepped.write() {}
        self.stepped.store().write_trouble().is_none()
    }

    /// What a request comes to that waits for nothing but what is on its way to the disk.
    pub fn answer<R>(&self, reply: Reply<R>) -> R {
        match reply {
            Reply::Now(answer) => answer,
            Reply::Later(mut later) => loop {
                if let Poll::Ready(answer) = poll(&mut later) {
                    return answer;
                }
                assert!(self.stepped.write(), "a request waits for nothing");
            },
            Reply::Silent(_) => panic!("a request without an answer"),
        }
    }
}

/// A future of what is under way, or done.
pub(super) fn later<R: Send + 'static>(reply: Reply<R>) -> Pending<R> {
    match reply {
        Reply::Now(answer) => Box::pin(std::future::ready(answer)),
        Reply::Later(later) => later,
        Reply::Silent(_) => panic!("a request without an answer"),
    }
}

/// Whoever waits looks again by itself.
pub(super) fn poll<R>(future: &mut Pending<R>) -> Poll<R> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}
