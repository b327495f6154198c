//! Snapshots that are saved and deleted under load, through every crash: one that was said to be saved is there and can be restored, one
//! that was said to be deleted is not; what is restored is the log of its moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::damage::assert_sound;
use super::promises::Promise;
use super::records::{Acknowledged, Log, Told, read_all};
use super::{Signals, TIMEOUT};
use crate::harness::{Broker, ottla_binary, rest, unique};

const PAUSE: Duration = Duration::from_millis(300);
const KEPT: usize = 2;

/// What is known of a snapshot.
#[derive(Debug, Clone)]
pub enum Known {
    /// A request is under way.
    Nothing,
    /// It is saved, with at least what had been acknowledged before it was asked for.
    There(Vec<Told>),
    /// It is deleted.
    Gone,
}

/// What is known of each name.
pub type State = BTreeMap<String, Known>;

/// The one who saves and deletes them.
pub struct Snapshots {
    port: u16,
    topic: String,
    state: Arc<Mutex<State>>,
    worker: Option<JoinHandle<()>>,
}

fn know(state: &Mutex<State>, name: &str, known: Known) {
    let mut state = state.lock().expect("no holder panics");
    state.insert(name.to_owned(), known);
}

/// Asks until the broker is back, and has room.
fn insist(port: u16, method: &str, path: &str, body: Option<serde_json::Value>, done: &[u16]) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match rest::ask(port, method, path, body.as_ref()) {
            Ok(answer) if done.contains(&answer.status) => return,
            Ok(answer) => assert_eq!(answer.status, 503, "{method} {path}: {answer:?}"),
            Err(_) => {}
        }
        assert!(Instant::now() < deadline, "{method} {path}: no answer");
        thread::sleep(PAUSE / 10);
    }
}

fn names(port: u16) -> Vec<String> {
    let answer = rest::ask(port, "GET", "/v1/snapshots", None);
    let found = answer.expect("the broker answers").success();
    let found = found["snapshots"].as_array().expect("a list");
    let names = found
        .iter()
        .map(|s| s["name"].as_str().expect("a name").to_owned());
    names.collect()
}

impl Snapshots {
    /// Starts to save, of the topic of these producers.
    pub fn start(
        bootstrap: &str,
        topic: &str,
        acknowledged: Vec<Arc<Acknowledged>>,
        signals: Arc<Signals>,
    ) -> Snapshots {
        let port = bootstrap
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let port = port.expect("an address with a port");
        let state: Arc<Mutex<State>> = Arc::default();
        let seen = Arc::clone(&state);
        let worker = thread::spawn(move || {
            let mut saved: Vec<String> = Vec::new();
            while !signals.stop.load(Ordering::Relaxed) {
                thread::sleep(PAUSE);
                if signals.pause.load(Ordering::Relaxed) {
                    continue;
                }
                let name = unique("moment");
                let told = acknowledged.iter().map(|a| a.told()).collect();
                know(&seen, &name, Known::Nothing);
                let body = json!({"name": name});
                // A repetition finds the work of the request that a crash left without an answer.
                insist(port, "POST", "/v1/snapshots", Some(body), &[201, 409]);
                know(&seen, &name, Known::There(told));
                saved.push(name);
                if saved.len() > KEPT {
                    let name = saved.remove(0);
                    know(&seen, &name, Known::Nothing);
                    let path = format!("/v1/snapshots/{name}");
                    insist(port, "DELETE", &path, None, &[200, 404]);
                    know(&seen, &name, Known::Gone);
                }
            }
        });
        Snapshots {
            port,
            topic: topic.to_owned(),
            state,
            worker: Some(worker),
        }
    }

    /// What is known now.
    pub fn known(&self) -> State {
        self.state.lock().expect("no holder panics").clone()
    }

    /// Holds what is there against what was known before a crash.
    pub fn verify(&self, before: &State) {
        let found = names(self.port);
        for (name, known) in before {
            let is_there = found.contains(name);
            match known {
                Known::There(_) => {
                    // Deleted since, if it was the oldest.
                    let now = self.known().remove(name);
                    let stays = matches!(now, Some(Known::There(_)));
                    Promise::Kept.hold(is_there || !stays, || {
                        format!("snapshot {name} was saved, and is not there")
                    });
                }
                Known::Gone => Promise::Removed.hold(!is_there, || {
                    format!("snapshot {name} was deleted, and is back")
                }),
                Known::Nothing => {}
            }
        }
    }

    /// To be called when the clients were told to stop: restores the last one, and holds it against the log; how many were saved.
    pub fn finish(mut self, data_dir: &Path, log: &Log) -> u64 {
        let worker = self.worker.take().expect("it is ended once");
        worker.join().expect("no worker panics");
        let known = self.known();
        self.verify(&known);
        for (name, known) in &known {
            if let Known::There(told) = known {
                self.restore(data_dir, name, told, log);
            }
        }
        known.len() as u64
    }

    fn restore(&self, data_dir: &Path, name: &str, told: &[Told], log: &Log) {
        let mut broker = Broker::not_started(&[]);
        let restored = restore(data_dir, name, &broker.data_dir());
        Promise::Kept.hold(restored.is_ok(), || {
            format!("snapshot {name} cannot be restored: {restored:?}")
        });
        assert_sound(&broker.data_dir());
        broker.restart();
        let found = read_all(&broker.bootstrap(), &self.topic);
        for (place, record) in &found {
            Promise::Seen.hold(log.get(place) == Some(record), || {
                format!(
                    "{record:?} at {place:?} of {name}, where {:?} is",
                    log.get(place)
                )
            });
        }
        for places in told {
            let lost = places.values().filter(|place| !found.contains_key(place));
            let lost = lost.count() as u64;
            Promise::Kept.hold_all(lost, || {
                format!("{lost} records are not in snapshot {name}")
            });
        }
    }
}

/// Restores snapshot `name` of a data directory into another one. An error is what the program said.
pub(super) fn restore(data_dir: &Path, name: &str, into: &Path) -> Result<(), String> {
    let restored = Command::new(ottla_binary())
        .args(["snapshot", "restore"])
        .arg(data_dir.join("snapshots").join(name))
        .arg("--data-dir")
        .arg(into)
        .output()
        .expect("the program can be started");
    match restored.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&restored.stderr).into_owned()),
    }
}
