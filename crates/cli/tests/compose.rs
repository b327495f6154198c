//! Compose files of the shapes that are out there: what each asks for is what a broker with its environment does.
//!
//! The files are in tests/compose, each with what is expected of it beside it. scripts/test-compose.sh starts some of them in
//! containers.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

#[path = "support/compose.rs"]
mod compose;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use compose::{Broker, Ports, environment, expected, names, services};
use ottla_client::Connection;
use ottla_client::kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_client::kafka_protocol::messages::{DescribeConfigsRequest, MetadataRequest};
use serde_json::Value;
use support::wire::string;
use support::{ottla, text};

/// `ottla serve` with a service's environment and none of ours.
struct Composed {
    child: Child,
    out: BufReader<ChildStdout>,
    port_file: std::path::PathBuf,
}

impl Composed {
    fn start(dir: &Path, variables: &BTreeMap<String, String>) -> Composed {
        let port_file = dir.join("ports.json");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["serve", "--http-port", "0", "--data-dir"])
            .arg(dir.join("data"))
            .arg("--port-file")
            .arg(&port_file)
            .env_clear()
            .env("RUST_LOG", "warn")
            .envs(variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Composed {
            child,
            out,
            port_file,
        }
    }

    /// What its port file says when it is ready; `None` if it has ended without becoming so.
    fn ready(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.out.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let text = std::fs::read_to_string(&self.port_file).unwrap();
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Ends it; its exit code and what it said on stderr.
    fn stop(mut self) -> (Option<i32>, String) {
        // It may have ended by itself.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).output().unwrap();
        let mut told = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

impl Drop for Composed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_compose_file_says_what_is_expected_of_it() {
    let files = names(".yml");
    assert_eq!(files, names(".expect.json"));
    assert!(files.len() >= 30, "{}", files.len());
    for name in &files {
        let expected = expected(name);
        let there: BTreeSet<_> = services(name).into_keys().collect();
        let named = expected.brokers.keys().chain(&expected.beside).cloned();
        assert_eq!(there, named.collect::<BTreeSet<_>>(), "{name}");
        for (service, broker) in &expected.brokers {
            let states = [
                !broker.listeners.is_empty(),
                broker.refused.is_some(),
                broker.image_default,
                broker.controller_only,
            ];
            let said = states.iter().filter(|state| **state).count();
            assert_eq!(said, 1, "{name}: {service} must say one of what it becomes");
        }
    }
}

#[tokio::test]
async fn a_broker_with_the_environment_of_a_compose_file_is_what_the_file_asks_for() {
    let mut wrong = Vec::new();
    for name in names(".yml") {
        let services = services(&name);
        for (service, expected) in &expected(&name).brokers {
            // The image's own commands are tested where there are containers.
            if expected.image_default || expected.controller_only || is_rpk(&services[service]) {
                continue;
            }
            let variables = environment(&services[service]);
            if let Err(reason) = held_against(&variables, expected).await {
                wrong.push(format!("{name}.yml, service {service}: {reason}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Redpanda takes its settings as arguments of its own command.
fn is_rpk(service: &Value) -> bool {
    service["image"]
        .as_str()
        .is_some_and(|image| image.contains("redpanda"))
}

#[test]
fn from_compose_foresees_what_becomes_of_each_file() {
    let mut wrong = Vec::new();
    for name in names(".yml") {
        let file = compose::path(&name);
        let output = ottla(&["config", "from-compose", "--json", file.to_str().unwrap()]);
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{name}: {e}: {}", text(&output.stderr)));
        let expected = expected(&name);
        let starts = expected.brokers.values().all(|b| b.refused.is_none());
        assert_eq!(output.status.code(), Some(i32::from(!starts)), "{name}");
        assert_eq!(told["starts"], starts, "{name}");
        if let Err(reason) = foreseen(&told, &expected) {
            wrong.push(format!("{name}.yml: {reason}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds what `config from-compose` says of a file against what is expected of it.
fn foreseen(told: &Value, expected: &compose::Expected) -> Result<(), String> {
    let services = told["services"].as_array().unwrap();
    let brokers: BTreeSet<_> = services
        .iter()
        .map(|service| word(&service["service"]))
        .collect();
    let (controllers, wanted): (BTreeSet<_>, BTreeSet<_>) = {
        let all = expected.brokers.iter();
        let (controllers, brokers): (Vec<_>, Vec<_>) = all.partition(|(_, b)| b.controller_only);
        let names = |of: Vec<(&String, &Broker)>| of.into_iter().map(|(n, _)| n.clone()).collect();
        (names(controllers), names(brokers))
    };
    same("brokers", &brokers, &wanted)?;
    let removable: BTreeSet<_> = words(&told["removable"]);
    if !controllers.is_subset(&removable) {
        return Err(format!("does not remove the controllers {controllers:?}"));
    }
    let beside: BTreeSet<_> = ["removable", "tools", "others"]
        .into_iter()
        .flat_map(|member| words(&told[member]))
        .filter(|name| !controllers.contains(name))
        .collect();
    same(
        "beside",
        &beside,
        &expected.beside.iter().cloned().collect(),
    )?;
    let many = told["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|w| word(w).contains("cluster of one"));
    if many != (wanted.len() > 1) {
        return Err("a cluster, and only a cluster, is warned of".to_owned());
    }
    for service in services {
        let name = word(&service["service"]);
        foreseen_of_one(service, &expected.brokers[&name]).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

fn foreseen_of_one(told: &Value, expected: &Broker) -> Result<(), String> {
    let named = |member: &str, key: &str| -> BTreeSet<String> {
        let entries = told[member].as_array().unwrap().iter();
        entries.map(|entry| word(&entry[key])).collect()
    };
    if let Some(part) = &expected.refused {
        let reasons = named("problems", "reason");
        return match reasons.iter().any(|reason| reason.contains(part)) {
            true => Ok(()),
            false => Err(format!("is refused for {reasons:?}")),
        };
    }
    if !expected.image_default {
        let listens = told["listeners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|listener| {
                let port = word(&listener["listens"])
                    .rsplit_once(':')
                    .unwrap()
                    .1
                    .to_owned();
                (
                    word(&listener["name"]),
                    (port, word(&listener["advertised"])),
                )
            });
        let wanted = expected.listeners.iter().map(|(name, listener)| {
            let port = listener.port.to_string();
            (name.clone(), (port, listener.advertised.clone()))
        });
        let (listens, wanted): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (listens.collect(), wanted.collect());
        same("listeners", &listens, &wanted)?;
    }
    let settings: BTreeMap<_, _> = told["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|setting| (word(&setting["name"]), word(&setting["value"])))
        .collect();
    let without_effect = named("ignored", "name");
    for (name, value) in &expected.settings {
        if settings.get(name) != Some(value) && !without_effect.contains(name) {
            return Err(format!("{name} is {:?}, not {value}", settings.get(name)));
        }
    }
    same(
        "cluster.id",
        &settings.get("cluster.id"),
        &expected.cluster_id.as_ref(),
    )?;
    same(
        "unknown",
        &named("unknown", "name"),
        &expected.unknown.iter().cloned().collect(),
    )?;
    let ignored = named("ignored", "variable");
    match expected
        .left_alone
        .iter()
        .all(|variable| ignored.contains(variable))
    {
        true => Ok(()),
        false => Err(format!(
            "leaves alone {ignored:?}, not {:?}",
            expected.left_alone
        )),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, told: &T, wanted: &T) -> Result<(), String> {
    match told == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {told:?}, not {wanted:?}")),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(values: &Value) -> BTreeSet<String> {
    values.as_array().unwrap().iter().map(word).collect()
}

/// Starts a broker with a service's environment, on other ports; says what is not as expected.
async fn held_against(
    variables: &BTreeMap<String, String>,
    expected: &Broker,
) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let (broker, mut ports, ready) = loop {
        let mut ports = Ports::default();
        let mut broker = Composed::start(dir.path(), &ports.in_environment(variables));
        if let Some(ready) = broker.ready() {
            break (broker, ports, ready);
        }
        let (code, told) = broker.stop();
        match &expected.refused {
            // Another program was faster.
            _ if told.contains("in use") => {}
            None => return Err(format!("does not start: {told}")),
            Some(_) if code != Some(1) => return Err(format!("ends with {code:?}: {told}")),
            Some(part) if told.contains(part) => return Ok(()),
            Some(part) => return Err(format!("is refused without a word on {part}: {told}")),
        }
    };
    if expected.refused.is_some() {
        return Err("is not refused".to_owned());
    }
    let result = answers(&ready, &mut ports, expected).await;
    let (code, told) = broker.stop();
    result?;
    if code != Some(0) {
        return Err(format!("ends with {code:?}: {told}"));
    }
    warns(&told, expected)
}

/// Listeners, what they tell, settings, topics: as clients see them.
async fn answers(ready: &Value, ports: &mut Ports, expected: &Broker) -> Result<(), String> {
    let listeners = ready["listeners"].as_array().unwrap();
    let found: BTreeMap<_, _> = listeners
        .iter()
        .map(|listener| {
            (
                listener["name"].as_str().unwrap(),
                listener["port"].as_u64().unwrap(),
            )
        })
        .collect();
    let wanted: BTreeMap<_, _> = expected
        .listeners
        .iter()
        .map(|(name, listener)| (name.as_str(), u64::from(ports.of(listener.port))))
        .collect();
    if found != wanted {
        return Err(format!("listens on {found:?}, not {wanted:?}"));
    }
    for (name, listener) in &expected.listeners {
        let bound = ("localhost".to_owned(), ports.of(listener.port));
        let mut connection = Connection::connect(format!("{}:{}", bound.0, bound.1))
            .await
            .map_err(|e| format!("{name}: {e}"))?;
        let all = MetadataRequest::default().with_topics(None);
        let answer = connection.call(9, &all).await.unwrap();
        let [node] = &answer.brokers[..] else {
            return Err(format!("{} brokers", answer.brokers.len()));
        };
        let told = format!("{}:{}", &*node.host, node.port);
        let wanted = ports.address(&listener.advertised);
        if told != wanted {
            return Err(format!("{name} tells {told}, not {wanted}"));
        }
        let cluster = answer.cluster_id.as_deref().map(str::to_owned);
        if expected.cluster_id.is_some() && cluster != expected.cluster_id {
            return Err(format!("its cluster is {cluster:?}"));
        }
        let topics: BTreeMap<String, usize> = answer
            .topics
            .iter()
            .map(|topic| {
                (
                    topic.name.as_ref().unwrap().to_string(),
                    topic.partitions.len(),
                )
            })
            .collect();
        if topics != expected.topics {
            return Err(format!("its topics are {topics:?}"));
        }
        let values = values(&mut connection, node.node_id.0).await;
        for (name, wanted) in &expected.settings {
            if values.get(name) != Some(wanted) {
                return Err(format!("{name} is {:?}, not {wanted}", values.get(name)));
            }
        }
    }
    Ok(())
}

/// All settings of a broker.
async fn values(connection: &mut Connection, id: i32) -> BTreeMap<String, String> {
    let request = DescribeConfigsRequest::default().with_resources(vec![
        DescribeConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(string(&id.to_string())),
    ]);
    let answer = connection.call(4, &request).await.unwrap();
    answer.results[0]
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect()
}

/// Each unknown name is warned of once, and nothing else that is not expected.
fn warns(told: &str, expected: &Broker) -> Result<(), String> {
    let mut warnings: Vec<&str> = told.lines().filter(|line| is_warning(line)).collect();
    for part in expected.unknown.iter().chain(&expected.warnings) {
        let found = warnings
            .iter()
            .position(|line| line.contains(part.as_str()));
        warnings.remove(found.ok_or_else(|| format!("no warning of {part} in:\n{told}"))?);
    }
    match warnings.is_empty() {
        true => Ok(()),
        false => Err(format!("warns of what is right:\n{}", warnings.join("\n"))),
    }
}

fn is_warning(line: &str) -> bool {
    line.contains("WARN") || line.to_ascii_lowercase().contains("warning")
}
