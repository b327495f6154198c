//! What a service of a compose file would become.

use ottla_broker::settings::{self, Listener, SettingsError};

use super::file::{ComposeFile, Port, Service};
use crate::commands::serve::environment::{self, Meaning};
use crate::commands::serve::sources::{Origin, Sources};

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A broker, which Ottla takes the place of.
    Broker,
    /// A node of a quorum that serves no clients.
    Controller,
    /// What Kafka needed once.
    Zookeeper,
    /// A container with Kafka's image that runs its tools.
    Tools,
    /// Anything else.
    Other,
}

impl Role {
    /// Whether nothing is lost without it.
    pub fn is_removable(self) -> bool {
        matches!(self, Role::Controller | Role::Zookeeper)
    }
}

/// A setting that is used.
#[derive(Debug)]
pub struct Used {
    pub name: String,
    pub value: String,
    pub origin: Origin,
    pub line: Option<u64>,
}

/// A variable that does nothing; why.
#[derive(Debug)]
pub struct Ignored {
    pub variable: String,
    /// The setting that it names.
    pub name: Option<String>,
    pub line: Option<u64>,
    pub reason: String,
}

/// All that is to be said of a service.
#[derive(Debug)]
pub struct Judged<'a> {
    pub service: &'a Service,
    pub role: Role,
    pub used: Vec<Used>,
    pub ignored: Vec<Ignored>,
    /// Names that no setting has, and those that may have been meant.
    pub unknown: Vec<(Ignored, Option<String>)>,
    pub problems: Vec<(SettingsError, Origin)>,
    pub listeners: Vec<Listener>,
    pub warnings: Vec<String>,
}

impl Judged<'_> {
    /// Whether a broker with these settings would start.
    pub fn starts(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Looks at every service.
pub fn judge(file: &ComposeFile) -> Vec<Judged<'_>> {
    file.services.iter().map(judge_service).collect()
}

fn judge_service(service: &Service) -> Judged<'_> {
    let mut judged = Judged {
        service,
        role: role(service),
        used: Vec::new(),
        ignored: Vec::new(),
        unknown: Vec::new(),
        problems: Vec::new(),
        listeners: Vec::new(),
        warnings: Vec::new(),
    };
    if judged.role != Role::Broker {
        return judged;
    }
    if service.extends {
        let warning = "extends is not followed: what comes from there is missing here";
        judged.warnings.push(warning.to_owned());
    }
    for file in &service.env_files {
        if let Some(failure) = &file.failure {
            let warning = format!("env_file {} is left out: {failure}", file.path);
            judged.warnings.push(warning);
        }
    }
    let mut sources = Sources::default();
    // Of several variables of one name the last counts, as in a container.
    let last = |variable: &str| service.variables.iter().rev().find(|v| v.name == variable);
    let mut variables: Vec<_> = service.variables.iter().map(|v| v.name.as_str()).collect();
    variables.sort_unstable();
    variables.dedup();
    let line = |variable: &str| last(variable).and_then(|found| found.line);
    let pairs = variables.iter().filter_map(|name| {
        let found = last(name)?;
        Some((found.name.clone().into(), found.value.clone().into()))
    });
    environment::read(pairs, &mut sources, &mut judged.warnings);
    let of_command = match is_redpanda(service) {
        true => redpanda_flags(service, &mut sources),
        false => Ok(()),
    };
    image_default(&mut sources);
    for variable in variables {
        let Some(found) = last(variable) else {
            continue;
        };
        let ignored = |name: Option<String>, reason: &str| Ignored {
            variable: found.name.clone(),
            name,
            line: found.line,
            reason: reason.to_owned(),
        };
        match environment::meaning(&found.name, &found.value) {
            None => {}
            Some(Meaning::LeftAlone(why)) => judged.ignored.push(ignored(None, why)),
            Some(Meaning::Setting(name)) => {
                let origin = Origin::Environment(found.name.clone());
                let counts = sources
                    .get(&name)
                    .is_some_and(|given| given.origin == origin);
                match settings::broker_setting(&name) {
                    _ if !counts => {
                        let by = sources.origin(&name);
                        judged
                            .ignored
                            .push(ignored(Some(name), &format!("{by} goes before it")));
                    }
                    Some(row) if row.has_effect => {}
                    Some(row) => judged.ignored.push(ignored(
                        Some(name),
                        &format!("no effect in Ottla: {}", row.doc),
                    )),
                    None if settings::is_known(&name) => {
                        let reason = "a part of Kafka that Ottla does not have";
                        judged.ignored.push(ignored(Some(name), reason));
                    }
                    None => {
                        let meant = settings::nearest(&name)
                            .map(|meant| environment::variable_like(&found.name, meant));
                        let reason = "no setting has this name";
                        judged.unknown.push((ignored(Some(name), reason), meant));
                    }
                }
            }
        }
    }
    let inspection = sources.inspect();
    for (name, value) in sources.values() {
        let Some(row) = settings::broker_setting(&name).filter(|row| row.has_effect) else {
            continue;
        };
        let origin = sources.origin(&name);
        judged.used.push(Used {
            value: match row.is_sensitive() {
                true => "[hidden]".to_owned(),
                false => value,
            },
            line: match &origin {
                Origin::Environment(variable) => line(variable),
                _ => None,
            },
            name,
            origin,
        });
    }
    judged.problems = of_command
        .err()
        .into_iter()
        .chain(inspection.problems)
        .map(|problem| {
            let origin = sources.origin(&problem.name);
            (problem, origin)
        })
        .collect();
    judged.listeners = inspection.listeners;
    judged.warnings.extend(sources.unreachable());
    let ports = judged.listeners.iter();
    let told: Vec<String> = ports
        .flat_map(|listener| unreachable(listener, &service.ports))
        .collect();
    judged.warnings.extend(told);
    judged
}

/// Why clients on the host do not find a listener that the host has a port for.
fn unreachable(listener: &Listener, ports: &[Port]) -> Option<String> {
    let told = listener.advertised.as_ref()?;
    let port = ports
        .iter()
        .find(|port| port.container == listener.endpoint.port)?;
    let name = &listener.endpoint.name;
    let is_local = told.host == "localhost"
        || told
            .host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    if is_local && told.port != port.host {
        return Some(format!(
            "{name}: the host has its port as {}, and clients are told {}: advertise {name}://{}:{}",
            port.host,
            told.address(),
            told.host,
            port.host
        ));
    }
    None
}

fn role(service: &Service) -> Role {
    let has = |names: &[&str]| {
        service
            .variables
            .iter()
            .any(|v| names.contains(&v.name.as_str()))
    };
    let roles = ["KAFKA_PROCESS_ROLES", "KAFKA_CFG_PROCESS_ROLES"];
    if service
        .variables
        .iter()
        .any(|v| roles.contains(&v.name.as_str()) && v.value.trim() == "controller")
    {
        return Role::Controller;
    }
    let is_configured = has(&[
        "KAFKA_LISTENERS",
        "KAFKA_CFG_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_CFG_ADVERTISED_LISTENERS",
        "KAFKA_ADVERTISED_HOST_NAME",
        "KAFKA_ZOOKEEPER_CONNECT",
        "KAFKA_CFG_ZOOKEEPER_CONNECT",
        "KAFKA_PROCESS_ROLES",
        "KAFKA_CFG_PROCESS_ROLES",
        "KAFKA_NODE_ID",
        "KAFKA_CFG_NODE_ID",
        "KAFKA_BROKER_ID",
        "KAFKA_CFG_BROKER_ID",
    ]);
    let image = service.image.as_ref().map_or("", |image| &image.name);
    match base(image) {
        name if name.contains("zookeeper") && !name.contains("kafka") => Role::Zookeeper,
        "redpanda" => match service.command.iter().any(|word| word == "start") {
            true => Role::Broker,
            false if service.has_command => Role::Tools,
            false => Role::Broker,
        },
        "kafka"
        | "kafka-native"
        | "kafka-kraft"
        | "kafka-zookeeper"
        | "cp-kafka"
        | "cp-server"
        | "cp-enterprise-kafka"
        | "confluent-local" => match service.has_command && !is_configured {
            true => Role::Tools,
            false => Role::Broker,
        },
        _ if is_configured => Role::Broker,
        _ => Role::Other,
    }
}

fn is_redpanda(service: &Service) -> bool {
    service
        .image
        .as_ref()
        .is_some_and(|image| base(&image.name) == "redpanda")
}

/// The last part of an image's name, without tag and digest.
fn base(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// `redpanda start` says by flags where it listens, what it tells clients, and more.
fn redpanda_flags(service: &Service, sources: &mut Sources) -> Result<(), SettingsError> {
    let Some(start) = service.command.iter().position(|word| word == "start") else {
        return Ok(());
    };
    let flags = &service.command[start + 1..];
    let settings = crate::rpk::settings_of(flags).map_err(|error| SettingsError {
        name: "command".to_owned(),
        value: service.command.join(" "),
        reason: format!("{error:#}"),
    })?;
    for (name, value) in settings {
        sources.set(&name, value, Origin::Derived("command".to_owned()));
    }
    Ok(())
}

/// What the image starts with where nothing says where to listen: a listener for the host and one for other containers.
fn image_default(sources: &mut Sources) {
    let values = sources.values();
    if values.contains_key("listeners") {
        return;
    }
    match settings::derived_listeners(&values) {
        Ok(Some((from, value))) => {
            sources.set("listeners", value, Origin::Derived(from.to_owned()));
        }
        Ok(None) => {
            for (name, value) in [
                (
                    "listeners",
                    "HOST://0.0.0.0:9092,CONTAINERS://0.0.0.0:19092",
                ),
                (
                    "listener.security.protocol.map",
                    "HOST:PLAINTEXT,CONTAINERS:PLAINTEXT",
                ),
            ] {
                sources.set(name, value, Origin::Derived("the image".to_owned()));
            }
        }
        // Told with the other problems.
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::config::compose::file::{Image, Variable};

    fn service(image: &str, variables: &[(&str, &str)], command: &str) -> Service {
        Service {
            name: "s".to_owned(),
            image: Some(Image {
                name: image.to_owned(),
                at: None,
            }),
            variables: variables
                .iter()
                .map(|(name, value)| Variable {
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                    line: None,
                })
                .collect(),
            command: command.split_whitespace().map(str::to_owned).collect(),
            has_command: !command.is_empty(),
            ..Service::default()
        }
    }

    #[test]
    fn services_are_known_by_image_variables_and_command() {
        const LISTENS: (&str, &str) = ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://h:1");
        for (image, variables, command, expected) in [
            ("apache/kafka:3.8.0", &[][..], "", Role::Broker),
            ("apache/kafka-native@sha256:00", &[], "", Role::Broker),
            (
                "registry:5000/mirror/confluentinc/cp-kafka",
                &[],
                "",
                Role::Broker,
            ),
            (
                "bitnamilegacy/kafka:3.7",
                &[("KAFKA_CFG_NODE_ID", "0")],
                "/run.sh",
                Role::Broker,
            ),
            (
                "confluentinc/cp-kafka:7",
                &[LISTENS],
                "bash -c run",
                Role::Broker,
            ),
            (
                "confluentinc/cp-kafka:7",
                &[],
                "kafka-topics --create",
                Role::Tools,
            ),
            (
                "docker.redpanda.com/redpandadata/redpanda:v24",
                &[],
                "redpanda start",
                Role::Broker,
            ),
            ("redpandadata/redpanda", &[], "topic create x", Role::Tools),
            (
                "redpandadata/console",
                &[("KAFKA_BROKERS", "r:9092")],
                "",
                Role::Other,
            ),
            (
                "provectuslabs/kafka-ui",
                &[("KAFKA_CLUSTERS_0_NAME", "x")],
                "",
                Role::Other,
            ),
            ("confluentinc/cp-kafka-connect", &[], "", Role::Other),
            ("confluentinc/cp-zookeeper:7", &[], "", Role::Zookeeper),
            ("zookeeper", &[], "", Role::Zookeeper),
            (
                "apache/kafka",
                &[("KAFKA_PROCESS_ROLES", "controller")],
                "",
                Role::Controller,
            ),
            ("our/broker", &[LISTENS], "", Role::Broker),
        ] {
            let service = service(image, variables, command);
            assert_eq!(role(&service), expected, "{image} {command}");
        }
    }

    #[test]
    fn flags_of_redpanda_are_listeners() {
        for (command, expected) in [
            (
                "redpanda start --kafka-addr internal://0.0.0.0:9092,external://0.0.0.0:19092 \
                 --advertise-kafka-addr=internal://redpanda:9092,external://localhost:19092",
                &[
                    "INTERNAL://0.0.0.0:9092 redpanda:9092",
                    "EXTERNAL://0.0.0.0:19092 localhost:19092",
                ][..],
            ),
            (
                "redpanda start --kafka-addr=0.0.0.0:9092 --advertise-kafka-addr kafka:9092",
                &["PLAINTEXT://0.0.0.0:9092 kafka:9092"],
            ),
            (
                "redpanda start --smp 1",
                &["PLAINTEXT://0.0.0.0:9092 localhost:9092"],
            ),
            (
                "",
                &["HOST://0.0.0.0:9092 -", "CONTAINERS://0.0.0.0:19092 -"],
            ),
        ] {
            let service = service("redpandadata/redpanda", &[], command);
            let judged = judge_service(&service);
            assert!(judged.starts(), "{:?}", judged.problems);
            let listeners: Vec<String> = judged
                .listeners
                .iter()
                .map(|listener| {
                    let told = listener
                        .advertised
                        .as_ref()
                        .map_or("-".to_owned(), |told| told.address());
                    format!("{} {told}", listener.endpoint)
                })
                .collect();
            assert_eq!(listeners, expected);
        }
    }

    #[test]
    fn each_variable_is_used_ignored_or_unknown() {
        let service = service(
            "cp-kafka",
            &[
                ("KAFKA_NUM_PARTITIONS", "2"),
                ("KAFKA_NUM_PARTITIONS", "3"),
                ("KAFKA_CFG_NODE_ID", "4"),
                ("KAFKA_NODE_ID", "5"),
                ("KAFKA_ZOOKEEPER_CONNECT", "zk:2181"),
                ("KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE", "false"),
                ("KAFKA_REMOTE_LOG_READER_THREADS", "1"),
                ("KAFKA_HEAP_OPTS", "-Xmx1g"),
                ("KAFKA_NUM_PARTITION", "1"),
                ("KAFKA_MESSAGE_MAX_BYTES", "big"),
                ("KAFKA_SSL_KEY_PASSWORD", "secret"),
                ("TZ", "UTC"),
            ],
            "",
        );
        let judged = judge_service(&service);
        let used: Vec<_> = judged
            .used
            .iter()
            .map(|used| (used.name.as_str(), used.value.as_str()))
            .collect();
        assert!(used.contains(&("num.partitions", "3")), "{used:?}");
        assert!(used.contains(&("node.id", "4")), "{used:?}");
        let ignored: Vec<_> = judged.ignored.iter().map(|i| i.variable.as_str()).collect();
        assert_eq!(
            ignored,
            [
                "KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE",
                "KAFKA_HEAP_OPTS",
                "KAFKA_NODE_ID",
                "KAFKA_REMOTE_LOG_READER_THREADS",
                "KAFKA_SSL_KEY_PASSWORD",
                "KAFKA_ZOOKEEPER_CONNECT",
            ]
        );
        let [(unknown, meant)] = judged.unknown.as_slice() else {
            panic!("{:?}", judged.unknown);
        };
        assert_eq!(unknown.variable, "KAFKA_NUM_PARTITION");
        assert_eq!(meant.as_deref(), Some("KAFKA_NUM_PARTITIONS"));
        let [(problem, origin)] = judged.problems.as_slice() else {
            panic!("{:?}", judged.problems);
        };
        assert_eq!(problem.name, "message.max.bytes");
        assert_eq!(origin.to_string(), "KAFKA_MESSAGE_MAX_BYTES");
    }

    #[test]
    fn a_published_port_that_is_not_the_advertised_one_is_warned_of() {
        let mut service = service(
            "kafka",
            &[("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9092")],
            "",
        );
        service.ports = vec![Port {
            container: 9092,
            host: 19092,
        }];
        let warnings = judge_service(&service).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("PLAINTEXT://localhost:19092"),
            "{warnings:?}"
        );
        service.ports = vec![Port {
            container: 9092,
            host: 9092,
        }];
        assert!(judge_service(&service).warnings.is_empty());
        service.variables[0].value = "PLAINTEXT://0.0.0.0:9092".to_owned();
        let warnings = judge_service(&service).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("no client can connect to PLAINTEXT://0.0.0.0:9092"),
            "{warnings:?}"
        );
    }
}
