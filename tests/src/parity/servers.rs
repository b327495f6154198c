//! The two brokers of a run: Ottla in this process, Apache Kafka by `scripts/kafka.sh`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use ottla_broker::Broker;
use ottla_broker::settings::BrokerConfig;
use tempfile::TempDir;

/// Apache Kafka's values where a comparison needs the same on both.
const KAFKA_SETTINGS: &[&str] = &[
    "num.network.threads=2",
    "num.io.threads=2",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=200",
    // Kafka takes clients' metrics only if it has a plug-in for them. This one is in tests/java.
    "metric.reporters=ottla.TelemetryReceiver",
];
/// Ottla's values where a comparison needs the same on both. Everything else is at its default.
const OTTLA_SETTINGS: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://127.0.0.1:0"),
    ("node.id", "1"),
    (
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        "200",
    ),
    ("group.initial.rebalance.delay.ms", "0"),
];

/// A broker that answers, from outside (by `OTTLA_PARITY_OTTLA` or `OTTLA_PARITY_KAFKA`) or started here.
pub enum Server {
    /// Somebody else runs it.
    Outside(String),
    /// Ottla in this process.
    Ottla {
        /// `host:port`.
        address: String,
        /// The broker.
        broker: Broker,
        /// Its data, removed with it.
        data: TempDir,
    },
    /// Apache Kafka, stopped on drop.
    Kafka {
        /// The port on the loopback address.
        port: u16,
        /// Its data, removed with it.
        data: TempDir,
    },
}

impl Server {
    /// Ottla.
    pub async fn ottla() -> anyhow::Result<Server> {
        if let Ok(address) = std::env::var("OTTLA_PARITY_OTTLA") {
            return Ok(Server::Outside(address));
        }
        let data = TempDir::new()?;
        let values: BTreeMap<String, String> = OTTLA_SETTINGS
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        // Levels can be set, and are nobody's: no log is written here.
        ottla_broker::log_levels::install("info", |_| Ok(()));
        let broker = Broker::start(BrokerConfig {
            data_dir: data.path().join("data"),
            values,
        })
        .await?;
        let listeners = broker.listeners();
        let (_, address) = listeners.first().context("no listener")?;
        let address = address.to_string();
        Ok(Server::Ottla {
            address,
            broker,
            data,
        })
    }

    /// Apache Kafka. Takes some seconds.
    pub async fn kafka() -> anyhow::Result<Server> {
        if let Ok(address) = std::env::var("OTTLA_PARITY_KAFKA") {
            return Ok(Server::Outside(address));
        }
        let data = TempDir::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = data.path().to_owned();
        tokio::task::spawn_blocking(move || {
            kafka_script("start", port, &directory, KAFKA_SETTINGS)
        })
        .await??;
        Ok(Server::Kafka { port, data })
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        match self {
            Server::Outside(address) | Server::Ottla { address, .. } => address.clone(),
            Server::Kafka { port, .. } => format!("127.0.0.1:{port}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Server::Kafka { port, data } = self
            && let Err(error) = kafka_script("stop", *port, data.path(), &[])
        {
            eprintln!("Apache Kafka on port {port} was not stopped: {error:#}");
        }
    }
}

fn kafka_script(verb: &str, port: u16, directory: &Path, settings: &[&str]) -> anyhow::Result<()> {
    let scripts = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts"));
    let status = Command::new(scripts.join("kafka.sh"))
        .arg(verb)
        .arg(port.to_string())
        .arg(directory)
        .args(settings)
        .status()
        .context("scripts/kafka.sh cannot be run")?;
    ensure!(
        status.success(),
        "scripts/kafka.sh {verb} failed ({status}). If Apache Kafka is not installed: scripts/setup-test-clients.sh java"
    );
    Ok(())
}
