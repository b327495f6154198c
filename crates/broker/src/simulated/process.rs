//! A process: handlers over a store on a simulated disk.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ottla_codec::StrBytes;
use ottla_storage::StoreOptions;
use ottla_storage::fs::sim::SimFs;
use ottla_storage::stepped::Stepped;

use super::SetClock;
use crate::clock::Clock;
use crate::cluster::{Advertised, Cluster};
use crate::context::{ConnectionInfo, RequestContext};
use crate::groups::GroupService;
use crate::producer_state;
use crate::reply::Later;
use crate::server::StartError;
use crate::settings::Settings;
use crate::state::BrokerState;

/// A process.
pub(crate) struct Process {
    pub stepped: Stepped,
    pub broker: Arc<BrokerState>,
}

impl Process {
    /// Opens the data directory and loads what a broker does at its start.
    pub fn open(
        fs: &SimFs,
        settings: &Arc<Settings>,
        clock: &SetClock,
    ) -> Result<Process, StartError> {
        let options = StoreOptions {
            cache_bytes: 20_000,
            max_open_files: 5,
            ..settings.store_options(producer_state::factory(settings.clone()))
        };
        let stepped = Stepped::open(Arc::new(fs.clone()), Path::new("/data"), options)?;
        let store = stepped.store().clone();
        settings.load_dynamic(&store)?;
        let cluster = Cluster {
            node_id: 1,
            cluster_id: StrBytes::from_static_str("simulated"),
            advertised: vec![Advertised {
                listener: Arc::from("PLAINTEXT"),
                host: StrBytes::from_static_str("127.0.0.1"),
                port: 9092,
            }],
        };
        let clock = Clock::Set(clock.clone());
        let settings = settings.clone();
        let without_timers = GroupService::without_timers;
        let broker = BrokerState::load(store, settings, cluster, clock, without_timers)?;
        let broker = Arc::new(broker);
        Ok(Process { stepped, broker })
    }

    /// The surroundings of the requests of a connection.
    pub fn connection(&self, id: u64) -> RequestContext {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = ConnectionInfo::new(id, peer, Arc::from("PLAINTEXT"));
        RequestContext::new(self.broker.clone(), Arc::new(connection))
    }
}

/// Whoever waits looks again by itself.
pub(crate) fn poll<R>(future: &mut Later<R>) -> Poll<R> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}
