//! A broker's life: start, serve, stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::settings::BrokerConfig;

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
}

/// A running broker. Dropping it stops it without a checkpoint; [`Broker::shutdown`] is the graceful way.
pub struct Broker {
    _private: (),
}

impl Broker {
    /// Opens the data directory, recovers, listens. Ready for clients when this returns.
    pub async fn start(_config: BrokerConfig) -> Result<Broker, StartError> {
        todo!()
    }
    /// The addresses that it listens on, by listener name.
    pub fn listeners(&self) -> Vec<(String, SocketAddr)> {
        todo!()
    }
    /// What clients are told to connect to, by listener name: `host:port`.
    pub fn advertised(&self) -> Vec<(String, String)> {
        todo!()
    }
    /// Where the data is.
    pub fn data_dir(&self) -> PathBuf {
        todo!()
    }
    /// The cluster's id.
    pub fn cluster_id(&self) -> String {
        todo!()
    }
    /// Answers what is under way, checkpoints, closes. At most about two seconds.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        todo!()
    }
}
