//! Where the broker can be reached, for programs: a file (`--port-file`), and lines on standard output.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ottla_broker::Broker;
use serde_json::{Value, json};

/// The file that says where a running broker can be reached.
pub(super) struct PortFile {
    path: PathBuf,
    /// What this broker has written; `None` before it is ready.
    written: Option<String>,
}

impl PortFile {
    /// Takes a file away that an earlier broker has left, since whoever waits for it would go to the wrong port.
    ///
    /// Errors: nothing can be written there.
    pub(super) fn claim(path: PathBuf) -> anyhow::Result<PortFile> {
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => bail!(
                "cannot write the port to {}: it is not a file",
                path.display()
            ),
            Ok(_) => fs::remove_file(&path)
                .with_context(|| format!("cannot replace the port file {}", path.display()))?,
            Err(_) => {}
        }
        // A directory that is not there is told before anything is started.
        let temporary = temporary(&path);
        fs::write(&temporary, "")
            .and_then(|()| fs::remove_file(&temporary))
            .with_context(|| format!("cannot write the port to {}", path.display()))?;
        Ok(PortFile {
            path,
            written: None,
        })
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&mut self, broker: &Broker) -> anyhow::Result<()> {
        let text = match self.path.extension().is_some_and(|e| e == "json") {
            true => format!("{}\n", as_json(broker)),
            false => format!("{}\n", first_port(broker)),
        };
        let temporary = temporary(&self.path);
        fs::write(&temporary, &text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .with_context(|| format!("cannot write the port to {}", self.path.display()))?;
        self.written = Some(text);
        Ok(())
    }
}

/// The file goes with its broker, unless another one has written its own since.
impl Drop for PortFile {
    fn drop(&mut self) {
        let Some(written) = &self.written else { return };
        let ours = fs::read_to_string(&self.path).is_ok_and(|text| text == *written);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(
                "cannot remove the port file {}: {error}",
                self.path.display()
            );
        }
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

/// One line for each listener on standard output: its name and where it can be reached from this machine.
pub(super) fn print(broker: &Broker) {
    let lines: String = broker
        .listeners()
        .iter()
        .map(|(name, bound)| format!("{name} {}\n", reachable(*bound)))
        .collect();
    say_to_programs(&lines);
}

/// Writes to standard output. Whoever reads it may be gone, or have no room: that is no reason to stop serving.
pub(super) fn say_to_programs(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// An address that works on this machine: one that stands for all is no place to connect to.
pub(super) fn reachable(bound: SocketAddr) -> String {
    match bound.ip().is_unspecified() {
        true => format!("localhost:{}", bound.port()),
        false => bound.to_string(),
    }
}

fn first_port(broker: &Broker) -> u16 {
    broker
        .listeners()
        .first()
        .map_or(0, |(_, bound)| bound.port())
}

fn as_json(broker: &Broker) -> Value {
    let advertised = broker.advertised();
    let told = |name: &str| {
        let found = advertised.iter().find(|(listener, _)| listener == name);
        found.map(|(_, address)| address.clone())
    };
    let listeners: Vec<Value> = broker
        .listeners()
        .into_iter()
        .map(|(name, bound)| {
            json!({
                "advertised": told(&name),
                "address": reachable(bound),
                "port": bound.port(),
                "name": name,
            })
        })
        .collect();
    json!({
        "port": first_port(broker),
        "listeners": listeners,
        "http": broker.http_address().map(|bound| json!({"address": reachable(bound), "port": bound.port()})),
        "cluster_id": broker.cluster_id(),
        "pid": std::process::id(),
    })
}
