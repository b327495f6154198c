//! A broker inside a Rust test: its own port, its own temporary directory, ready in milliseconds, gone when it is dropped.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! let broker = ottla_testkit::Broker::start().await?;
//! let bootstrap = broker.bootstrap(); // 127.0.0.1:49152, for any Kafka client
//! # Ok(())
//! # }
//! ```
//!
//! Any number of them run in one process. What was acknowledged survives [`Broker::restart`] and [`Broker::crash`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ottla_broker::settings::BrokerConfig;
use tempfile::TempDir;

/// What a broker is to be started with.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    values: BTreeMap<String, String>,
    data_dir: Option<PathBuf>,
    temporary: Option<Arc<TempDir>>,
}

impl Builder {
    /// Sets one of Kafka's or Ottla's settings, as in `num.partitions`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Builder {
        self.values.insert(name.to_string(), value.to_string());
        self
    }

    /// Keeps the data in `dir`, which stays when the broker goes. Without it the data is in a temporary directory.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Builder {
        self.data_dir = Some(dir.into());
        self
    }

    /// Acknowledges what is written, not what is synced (`ottla.durability=os`): faster where disks are slow, and enough
    /// for tests that cut no power.
    pub fn without_sync(self) -> Builder {
        self.set("ottla.durability", "os")
    }

    /// Starts the broker. Ready for clients when this returns.
    pub async fn start(mut self) -> anyhow::Result<Broker> {
        let data_dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => {
                let temporary = Arc::new(
                    tempfile::Builder::new()
                        .prefix("ottla-")
                        .tempdir()
                        .context("cannot make a temporary directory")?,
                );
                let dir = temporary.path().to_path_buf();
                self.temporary = Some(temporary);
                self.data_dir = Some(dir.clone());
                dir
            }
        };
        self.values
            .entry("listeners".to_string())
            .or_insert_with(|| "PLAINTEXT://127.0.0.1:0".to_string());
        let running = ottla_broker::Broker::start(BrokerConfig {
            data_dir,
            values: self.values.clone(),
        })
        .await?;
        Ok(Broker {
            running,
            builder: self,
        })
    }
}

/// A running broker. Dropping it stops it as a crash would, and removes its temporary directory.
pub struct Broker {
    running: ottla_broker::Broker,
    builder: Builder,
}

impl Broker {
    /// A broker with default settings.
    pub async fn start() -> anyhow::Result<Broker> {
        Builder::default().start().await
    }

    /// A broker with settings of its own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What clients call `bootstrap.servers`: `host:port`.
    pub fn bootstrap(&self) -> String {
        let mut told = self.running.advertised();
        told.swap_remove(0).1
    }

    /// Where the data is.
    pub fn data_dir(&self) -> PathBuf {
        self.running.data_dir()
    }

    /// The broker itself.
    pub fn inner(&self) -> &ottla_broker::Broker {
        &self.running
    }

    /// Stops gracefully, keeping the data: [`Stopped::start`] goes on with it, on the same port.
    pub async fn stop(self) -> anyhow::Result<Stopped> {
        let builder = self.on_the_same_port();
        self.running.shutdown().await?;
        Ok(Stopped { builder })
    }

    /// Stops as a killed process would: no answers, no checkpoint.
    pub async fn crash(self) -> Stopped {
        let builder = self.on_the_same_port();
        self.running.abort().await;
        Stopped { builder }
    }

    /// Stops gracefully and starts again, on the same port and data.
    pub async fn restart(self) -> anyhow::Result<Broker> {
        self.stop().await?.start().await
    }

    fn on_the_same_port(&self) -> Builder {
        let listeners: Vec<String> = self
            .running
            .listeners()
            .into_iter()
            .map(|(name, address)| format!("{name}://{address}"))
            .collect();
        self.builder.clone().set("listeners", listeners.join(","))
    }
}

/// A broker that was stopped; its data is there.
#[derive(Debug)]
pub struct Stopped {
    builder: Builder,
}

impl Stopped {
    /// Starts it again.
    pub async fn start(self) -> anyhow::Result<Broker> {
        self.builder.start().await
    }

    /// Changes a setting for the next start.
    pub fn set(mut self, name: &str, value: impl ToString) -> Stopped {
        self.builder = self.builder.set(name, value);
        self
    }

    /// Where the data is.
    pub fn data_dir(&self) -> Option<&Path> {
        self.builder.data_dir.as_deref()
    }
}
