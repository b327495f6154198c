//! `rpk redpanda start`: from Redpanda's flags and files to `ottla serve`. Flags go before `redpanda.yaml`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use serde_json::Value;

use super::PORT_FILE;
use super::address::Address;
use super::flags::Flags;
use super::node_config::{self, NodeConfig, OneOrMany, Properties, Tls};
use super::rest;
use crate::args::{Cli, Command};
use crate::commands::serve;

const CONFIG: &str = "/etc/redpanda/redpanda.yaml";
const DATA_DIRECTORY: &str = "/var/lib/redpanda/data";
/// Node's Testcontainers module puts redpanda.yaml there after the script that starts rpk, but .bootstrap.yaml before it.
const WAIT_FOR_CONFIG: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Redpanda's properties of a cluster, and Kafka's settings for the same.
const PROPERTIES: &[(&str, &str)] = &[
    ("auto_create_topics_enabled", "auto.create.topics.enable"),
    ("cluster_id", "cluster.id"),
    ("default_topic_partitions", "num.partitions"),
    ("default_topic_replications", "default.replication.factor"),
    ("delete_retention_ms", "log.retention.ms"),
    (
        "group_initial_rebalance_delay",
        "group.initial.rebalance.delay.ms",
    ),
    (
        "group_max_session_timeout_ms",
        "group.max.session.timeout.ms",
    ),
    (
        "group_min_session_timeout_ms",
        "group.min.session.timeout.ms",
    ),
    ("kafka_batch_max_bytes", "message.max.bytes"),
    ("log_cleanup_policy", "log.cleanup.policy"),
    ("log_retention_ms", "log.retention.ms"),
    ("log_segment_size", "log.segment.bytes"),
    ("retention_bytes", "log.retention.bytes"),
];

/// Those that ask for security, which Ottla has none of: to go on without it would be no swap.
const SECURITY: &[&str] = &["enable_sasl", "kafka_enable_authorization"];

/// What to start.
#[derive(Debug, Default)]
struct Plan {
    listeners: Vec<Address>,
    advertised: Vec<Address>,
    node_id: Option<String>,
    data_directory: PathBuf,
    http_port: Option<u16>,
    /// Kafka's settings.
    settings: Vec<(String, String)>,
    schema_registry: Vec<Address>,
    proxy: Vec<Address>,
}

pub(super) fn run(flags: &[String]) -> anyhow::Result<ExitCode> {
    let flags = Flags::parse(flags)?;
    let path = PathBuf::from(flags.get("config").unwrap_or(CONFIG));
    let bootstrap = path.with_file_name(".bootstrap.yaml");
    let mut properties = node_config::read_bootstrap(&bootstrap)?;
    let (node, of_node) = wait_for(&path, !properties.is_empty())?.unwrap_or_default();
    properties.extend(of_node);
    let plan = Plan::new(&flags, &node, &properties)?;
    let Cli {
        command: Command::Serve(args),
    } = Cli::try_parse_from(plan.serve_args())?
    else {
        bail!("the command is serve");
    };
    for address in &plan.schema_registry {
        rest::answer_that_there_is_no("schema registry", address)?;
    }
    for address in &plan.proxy {
        rest::answer_that_there_is_no("HTTP proxy", address)?;
    }
    serve::run(args)
}

/// Reads the file; if it is `announced`, waits for it.
fn wait_for(path: &Path, announced: bool) -> anyhow::Result<Option<(NodeConfig, Properties)>> {
    let until = Instant::now() + WAIT_FOR_CONFIG;
    loop {
        let read = node_config::read(path)?;
        if read.is_some() || !announced || Instant::now() > until {
            return Ok(read);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

impl Plan {
    fn new(flags: &Flags, node: &NodeConfig, properties: &Properties) -> anyhow::Result<Plan> {
        let addresses = |flag: &str, of_file: Option<&OneOrMany<Address>>| match flags.get(flag) {
            Some(text) => Address::parse_list(flag, text),
            None => Ok(OneOrMany::to_vec(of_file)),
        };
        let of_node = &node.redpanda;
        refuse_tls(of_node.kafka_api_tls.as_ref())?;
        let mut listeners = addresses("kafka-addr", of_node.kafka_api.as_ref())?;
        let mut advertised = addresses(
            "advertise-kafka-addr",
            of_node.advertised_kafka_api.as_ref(),
        )?;
        if listeners.is_empty() {
            listeners = on_all_interfaces(&advertised);
        }
        for listener in &listeners {
            refuse_authentication(listener)?;
            if !advertised.iter().any(|a| a.name == listener.name) {
                advertised.push(told_by_default(listener));
            }
        }
        // Redpanda heeds none that is told of no listener.
        advertised.retain(|a| listeners.iter().any(|listener| listener.name == a.name));
        let admin = addresses("admin-addr", of_node.admin.as_ref())?;
        let registry = node.schema_registry.as_ref();
        let proxy = node.pandaproxy.as_ref();
        Ok(Plan {
            listeners,
            advertised,
            node_id: flags
                .get("node-id")
                .map(str::to_owned)
                .or(of_node.node_id.map(|id| id.to_string())),
            data_directory: of_node
                .data_directory
                .clone()
                .unwrap_or_else(|| PathBuf::from(DATA_DIRECTORY)),
            http_port: admin.first().map(|address| address.port),
            settings: settings(flags, properties)?,
            schema_registry: addresses(
                "schema-registry-addr",
                registry.and_then(|r| r.schema_registry_api.as_ref()),
            )?,
            proxy: addresses(
                "pandaproxy-addr",
                proxy.and_then(|p| p.pandaproxy_api.as_ref()),
            )?,
        })
    }

    fn serve_args(&self) -> Vec<String> {
        let mut args: Vec<String> = ["ottla", "serve", "--announce", "redpanda"]
            .map(str::to_owned)
            .to_vec();
        let mut add = |flag: &str, value: String| {
            args.push(flag.to_owned());
            args.push(value);
        };
        add("--data-dir", self.data_directory.display().to_string());
        if let Some(port) = self.http_port {
            add("--http-port", port.to_string());
        }
        if can_write_port_file() {
            add("--port-file", PORT_FILE.to_owned());
        }
        for (name, value) in self.overrides() {
            add("--override", format!("{name}={value}"));
        }
        args
    }

    /// Kafka's settings, those of listeners among them.
    fn overrides(&self) -> Vec<(String, String)> {
        let list = |addresses: &[Address], one: fn(&Address) -> String| {
            let all: Vec<String> = addresses.iter().map(one).collect();
            all.join(",")
        };
        let protocols = list(&self.listeners, |a| {
            format!("{}:PLAINTEXT", a.listener_name())
        });
        let listeners = [
            ("listeners", list(&self.listeners, Address::endpoint)),
            ("listener.security.protocol.map", protocols),
            (
                "advertised.listeners",
                list(&self.advertised, Address::endpoint),
            ),
        ];
        let mut overrides: Vec<_> = listeners
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec();
        let id = self.node_id.clone();
        overrides.extend(id.map(|id| ("node.id".to_owned(), id)));
        overrides.extend(self.settings.iter().cloned());
        overrides
    }
}

/// Kafka's settings that the flags of `redpanda start` come to, where no file says anything.
pub(crate) fn settings_of(flags: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let flags = Flags::parse(flags)?;
    let plan = Plan::new(&flags, &NodeConfig::default(), &Properties::default())?;
    Ok(plan.overrides())
}

/// The file is where the image has a directory for it, if that can be written to.
fn can_write_port_file() -> bool {
    let probe = format!("{PORT_FILE}.probe");
    let can = std::fs::write(&probe, "").is_ok();
    let _ = std::fs::remove_file(&probe);
    can
}

/// Without a word of where to listen: where clients are told to connect, or the one well-known port.
fn on_all_interfaces(advertised: &[Address]) -> Vec<Address> {
    let any = |name: &str, port| Address {
        name: name.to_owned(),
        host: "0.0.0.0".to_owned(),
        port,
        authentication_method: None,
    };
    match advertised {
        [] => vec![any("", 9092)],
        [one] if one.name.is_empty() => vec![any("", 9092)],
        all => all.iter().map(|a| any(&a.name, a.port)).collect(),
    }
}

fn told_by_default(listener: &Address) -> Address {
    let mut told = listener.clone();
    if told.is_any() {
        "localhost".clone_into(&mut told.host);
    }
    told
}

fn settings(flags: &Flags, properties: &Properties) -> anyhow::Result<Vec<(String, String)>> {
    let mut properties = properties.clone();
    let is_dev = flags
        .get("mode")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("dev-container"));
    // Redpanda creates no topics by itself, but in this mode.
    properties
        .entry("auto_create_topics_enabled".to_owned())
        .or_insert(Value::Bool(is_dev));
    let set = flags.set.iter().cloned();
    properties.extend(set.map(|(name, value)| (name, Value::String(value))));
    if let Some(name) = SECURITY.iter().find(|name| is_true(properties.get(**name))) {
        bail!("{name} is on, and Ottla has no authentication yet: leave it out");
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    Ok(PROPERTIES
        .iter()
        .filter_map(|(theirs, ours)| {
            let value = text(properties.get(*theirs)?)?;
            Some(((*ours).to_owned(), value))
        })
        .collect())
}

fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| *value == Value::Bool(true) || value.as_str() == Some("true"))
}

fn refuse_authentication(listener: &Address) -> anyhow::Result<()> {
    match listener.authentication_method.as_deref() {
        None | Some("" | "none") => Ok(()),
        Some(method) => bail!(
            "the listener {} wants authentication_method: {method}, and Ottla has no authentication yet: set it to none",
            listener.endpoint()
        ),
    }
}

fn refuse_tls(tls: Option<&OneOrMany<Tls>>) -> anyhow::Result<()> {
    if OneOrMany::to_vec(tls).iter().any(|tls| tls.enabled) {
        bail!("kafka_api_tls is enabled, and Ottla has no TLS yet: leave it out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[(&str, Value)] = &[];

    fn plan(flags: &str, yaml: &str, bootstrap: &[(&str, Value)]) -> anyhow::Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("redpanda.yaml");
        std::fs::write(&file, yaml).unwrap();
        let (node, of_node) = node_config::read(&file)?.unwrap_or_default();
        let mut properties: Properties = bootstrap
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        properties.extend(of_node);
        let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let args = Plan::new(&Flags::parse(&flags)?, &node, &properties)?.serve_args();
        Cli::try_parse_from(&args)?;
        Ok(args)
    }

    /// What `--override` sets a name to.
    fn value(args: &[String], name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        args.iter()
            .find_map(|arg| arg.strip_prefix(&prefix))
            .map(str::to_owned)
    }

    #[test]
    fn listeners_come_from_flags() {
        for (flags, listeners, advertised) in [
            (
                "--smp 1",
                "PLAINTEXT://0.0.0.0:9092",
                "PLAINTEXT://localhost:9092",
            ),
            (
                "--advertise-kafka-addr redpanda:9092",
                "PLAINTEXT://0.0.0.0:9092",
                "PLAINTEXT://redpanda:9092",
            ),
            (
                "--kafka-addr in://0.0.0.0:9092,out://0.0.0.0:19092 --advertise-kafka-addr=in://redpanda:9092,out://localhost:19092",
                "in://0.0.0.0:9092,out://0.0.0.0:19092",
                "in://redpanda:9092,out://localhost:19092",
            ),
            (
                "--advertise-kafka-addr in://redpanda:9092,out://localhost:19092",
                "in://0.0.0.0:9092,out://0.0.0.0:19092",
                "in://redpanda:9092,out://localhost:19092",
            ),
            (
                "--kafka-addr 0.0.0.0:9092|in --advertise-kafka-addr redpanda:9092|in,localhost:1|unknown",
                "in://0.0.0.0:9092",
                "in://redpanda:9092",
            ),
        ] {
            let args = plan(flags, "", EMPTY).unwrap();
            assert_eq!(value(&args, "listeners").as_deref(), Some(listeners));
            assert_eq!(
                value(&args, "advertised.listeners").as_deref(),
                Some(advertised)
            );
        }
    }

    #[test]
    fn the_file_says_what_the_flags_do_not() {
        let yaml = r#"
redpanda:
  node_id: 3
  data_directory: /somewhere
  admin: { address: 0.0.0.0, port: 9645 }
  kafka_api:
    - { address: 0.0.0.0, name: external, port: 9092, authentication_method: none }
    - { address: 0.0.0.0, name: internal, port: 9093 }
  advertised_kafka_api:
    - { address: localhost, name: external, port: 32768 }
  log_segment_size: 1048576
  cloud_storage_enabled: false
schema_registry:
  schema_registry_api: [{ address: "0.0.0.0", name: main, port: 8081 }]
rpk: { tune_cpu: true }
"#;
        let args = plan("--mode dev-container --node-id=4", yaml, EMPTY).unwrap();
        let listeners = "external://0.0.0.0:9092,internal://0.0.0.0:9093";
        assert_eq!(value(&args, "listeners").as_deref(), Some(listeners));
        let advertised = "external://localhost:32768,internal://localhost:9093";
        assert_eq!(
            value(&args, "advertised.listeners").as_deref(),
            Some(advertised)
        );
        assert_eq!(value(&args, "node.id").as_deref(), Some("4"));
        assert_eq!(
            value(&args, "log.segment.bytes").as_deref(),
            Some("1048576")
        );
        assert!(args.windows(2).any(|w| w == ["--data-dir", "/somewhere"]));
        assert!(args.windows(2).any(|w| w == ["--http-port", "9645"]));
        let error = plan("", "redpanda: {kafka_api: [{port: x}]}", EMPTY).unwrap_err();
        assert!(format!("{error:#}").contains("redpanda.yaml"), "{error:#}");
    }

    #[test]
    fn topics_are_created_by_themselves_where_redpanda_creates_them() {
        let on = [("auto_create_topics_enabled", Value::Bool(true))];
        let name = "auto.create.topics.enable";
        for (flags, bootstrap, expected) in [
            ("", EMPTY, "false"),
            ("--mode dev-container", EMPTY, "true"),
            ("", &on[..], "true"),
            (
                "--set redpanda.auto_create_topics_enabled=true",
                EMPTY,
                "true",
            ),
            (
                "--mode dev-container --set auto_create_topics_enabled=false",
                EMPTY,
                "false",
            ),
        ] {
            let args = plan(flags, "", bootstrap).unwrap();
            assert_eq!(value(&args, name).as_deref(), Some(expected), "{flags}");
        }
    }

    #[test]
    fn what_wants_security_is_refused() {
        let sasl =
            "redpanda: {kafka_api: {address: 0.0.0.0, port: 9092, authentication_method: sasl}}";
        let tls = "redpanda: {kafka_api_tls: [{name: external, enabled: true}]}";
        let on = [("kafka_enable_authorization", Value::Bool(true))];
        for (yaml, bootstrap, told) in [
            (sasl, EMPTY, "authentication_method: sasl"),
            (tls, EMPTY, "kafka_api_tls"),
            ("", &on[..], "kafka_enable_authorization"),
        ] {
            let error = plan("", yaml, bootstrap).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
