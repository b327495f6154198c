//! Settings from environment variables, by the rule of Kafka's images: `KAFKA_NUM_PARTITIONS` is `num.partitions`.

use std::ffi::OsString;

use ottla_broker::settings::{broker_setting, is_known};

use super::sources::{Origin, Sources};

/// What stands before the name, the more telling ones last: they go before the others.
const PREFIXES: [&str; 3] = ["KAFKA_", "KAFKA_CFG_", "OTTLA_"];

/// What a variable is for a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The value of a setting of this name, which need not be known.
    Setting(String),
    /// Not for the broker; why.
    LeftAlone(&'static str),
}

/// Variables of Kafka's scripts and images, which their broker never sees: `*` stands for any end.
const SCRIPTS: &[&str] = &[
    "BASE_DIR",
    "CONF_DIR",
    "CONF_FILE",
    "DAEMON_GROUP",
    "DAEMON_USER",
    "DATA_DIR",
    "DEBUG*",
    "ENABLE_KRAFT",
    "EXTRA_FLAGS",
    "GC_LOG_OPTS",
    "HEAP_OPTS",
    "HOME",
    "INITIAL_CONTROLLERS",
    "JAVA_*",
    "JMX_*",
    "JVM_PERFORMANCE_OPTS",
    "LOG4J*",
    "MOUNTED_CONF_DIR",
    "OPTS",
    "SCALA_VERSION",
    "SKIP_KRAFT_STORAGE_INIT",
    "TOOLS_LOG4J_LOGLEVEL",
    "VERSION",
    "VOLUME_DIR",
];
/// Users and certificates of Bitnami's image, which sets up SASL and TLS with them.
const SECURITY: &[&str] = &[
    "CERTIFICATE_PASSWORD",
    "CLIENT_PASSWORDS",
    "CLIENT_USERS",
    "CONTROLLER_PASSWORD",
    "CONTROLLER_USER",
    "INTER_BROKER_PASSWORD",
    "INTER_BROKER_USER",
    "TLS_*",
];
/// Variables that tell programs where a broker is.
const CLIENTS: &[&str] = &[
    "ADDRESS",
    "ADDR",
    "BOOTSTRAP*",
    "BROKER",
    "BROKERS",
    "BROKERS_LIST",
    "BROKER_ADDRESS",
    "BROKER_HOST",
    "BROKER_LIST",
    "BROKER_PORT",
    "BROKER_URL",
    "CLIENT_ID",
    "CONNECT_*",
    "CONSUMER_*",
    "GROUP",
    "GROUP_ID",
    "HOST",
    "HOSTS",
    "PASSWORD",
    "PRODUCER_*",
    "REST_*",
    "SERVER",
    "SERVERS",
    "TOPIC",
    "TOPICS",
    "TOPIC_NAME",
    "UI_*",
    "URI",
    "URL",
    "USER",
    "USERNAME",
];
/// Variables that Docker's links and Kubernetes make of a service named `kafka`.
const SERVICE: &[&str] = &["ENV_*", "NAME", "PORT_*", "SERVICE_*"];
const SERVICE_WHY: &str = "made by Docker or Kubernetes for a service named kafka";

/// What a variable is for; `None` if it has nothing to do with Kafka or Ottla.
pub fn meaning(variable: &str, value: &str) -> Option<Meaning> {
    match variable {
        // Where apache/kafka and Confluent's image take the id to format the storage with; Bitnami's has a name of its own.
        "CLUSTER_ID" | "KAFKA_KRAFT_CLUSTER_ID" => return Some(setting("cluster.id")),
        "ALLOW_PLAINTEXT_LISTENER" => {
            return Some(Meaning::LeftAlone("listeners are plain text here anyway"));
        }
        _ => {}
    }
    if let Some(rest) = variable.strip_prefix("OTTLA_") {
        return own(rest).map(|name| setting(&name));
    }
    if let Some(rest) = variable.strip_prefix("KAFKA_CFG_") {
        return Some(setting(&name_of(rest)));
    }
    let rest = variable.strip_prefix("KAFKA_")?;
    let name = name_of(rest);
    if name == "port" && value.contains("://") {
        return Some(Meaning::LeftAlone(SERVICE_WHY));
    }
    if is_known(&name) {
        return Some(Meaning::Setting(name));
    }
    for (names, why) in [
        (SCRIPTS, "read by Kafka's scripts, not by its broker"),
        (
            SECURITY,
            "sets up SASL and TLS, which Ottla does not have yet",
        ),
        (CLIENTS, "for clients, not for the broker"),
        (SERVICE, SERVICE_WHY),
    ] {
        let is_it = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => rest.starts_with(start),
            None => rest == *pattern,
        };
        if names.iter().any(is_it) {
            return Some(Meaning::LeftAlone(why));
        }
    }
    if ["CREATE_TOPICS", "CREATE_TOPICS_SEPARATOR"].contains(&rest) {
        return Some(Meaning::LeftAlone(
            "topics to make at the start, no setting",
        ));
    }
    Some(Meaning::Setting(name))
}

fn setting(name: &str) -> Meaning {
    Meaning::Setting(name.to_owned())
}

/// Ottla's own go without their second `ottla`: `OTTLA_DURABILITY` is `ottla.durability`.
///
/// Variables that name no setting are left alone: others share the prefix (`OTTLA_BOOTSTRAP_SERVER`, those of the scripts). A
/// misspelt one of dead letters is handed on, so that it is warned of.
fn own(rest: &str) -> Option<String> {
    let name = name_of(rest);
    let own = format!("ottla.{name}");
    if broker_setting(&own).is_some() {
        return Some(own);
    }
    // `OTTLA_PORT` may be what Docker or Kubernetes make of a service of that name; listeners say it better.
    let is_of_old = [
        "host.name",
        "port",
        "advertised.host.name",
        "advertised.port",
    ]
    .contains(&&*name);
    (broker_setting(&name).is_some() && !is_of_old || name.starts_with("dlq.")).then_some(name)
}

/// One `_` is a dot, two are a `_`, three a `-`: the longest first.
fn name_of(rest: &str) -> String {
    // What stands for two in between is in no variable's name.
    rest.to_lowercase()
        .replace("___", "-")
        .replace("__", "\0")
        .replace('_', ".")
        .replace('\0', "_")
}

/// The variable of a setting with the prefix that another variable has.
pub fn variable_like(other: &str, name: &str) -> String {
    let prefix = PREFIXES
        .iter()
        .rev()
        .find(|prefix| other.starts_with(*prefix));
    let rest = name
        .replace('_', "__")
        .replace('-', "___")
        .replace('.', "_");
    format!("{}{}", prefix.unwrap_or(&"KAFKA_"), rest.to_uppercase())
}

/// Gives the settings among `variables`, whose order does not matter.
pub fn read(
    variables: impl Iterator<Item = (OsString, OsString)>,
    sources: &mut Sources,
    warnings: &mut Vec<String>,
) {
    let rank = |name: &str| PREFIXES.iter().rposition(|prefix| name.starts_with(prefix));
    let mut variables: Vec<_> = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .collect();
    variables.sort_by_cached_key(|(name, _)| (rank(name), name.clone()));
    for (variable, value) in variables {
        let Some(Meaning::Setting(name)) = meaning(&variable, &value.to_string_lossy()) else {
            continue;
        };
        match value.into_string() {
            Ok(value) => sources.set(&name, value, Origin::Environment(variable)),
            Err(_) => warnings.push(format!("{variable}: the value is not Unicode, ignored")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_broker::settings::broker_settings;
    use proptest::prelude::*;

    use super::*;

    fn read_all(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut sources = Sources::default();
        let variables = given
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        read(variables, &mut sources, &mut Vec::new());
        sources.values()
    }

    #[test]
    fn variables_are_settings_by_the_rule_of_kafkas_images() {
        let given = [
            ("OTTLA_DLQ_MODE", "enforce"),
            ("OTTLA_DLQ_MAX_ATTEMPTS", "3"),
            ("OTTLA_NUM_PARTITIONS", "6"),
            ("OTTLA_DURABILITY", "os"),
            ("OTTLA_DLQ_MOD", "off"),
            ("OTTLA_PORT", "9093"),
            ("OTTLA_BOOTSTRAP_SERVER", "elsewhere:9092"),
            ("OTTLA_SIM_SEED", "1"),
            ("OTTLA_", ""),
            ("NUM_PARTITIONS", "7"),
            ("KAFKA_NUM_PARTITIONS", "8"),
            ("KAFKA_LISTENERS", "PLAINTEXT://:1"),
            ("KAFKA_CFG_LISTENERS", "PLAINTEXT://:2"),
            ("KAFKA_BROKER_ID", "1"),
            ("KAFKA_SOME_PLUGIN", "x"),
            ("KAFKA_CFG_VERSION", "x"),
            ("KAFKA_LISTENER_NAME_MY___OWN__ONE_X", "y"),
            ("KAFKA_KRAFT_CLUSTER_ID", "theirs"),
            ("CLUSTER_ID", "test-cluster"),
            ("KAFKA_HEAP_OPTS", "-Xmx1g"),
            ("KAFKA_LOG4J_LOGGERS", "x"),
            ("KAFKA_LOG4J2_ROOT_LOGLEVEL", "x"),
            ("KAFKA_JMX_PORT", "9999"),
            ("KAFKA_ENABLE_KRAFT", "yes"),
            ("KAFKA_BOOTSTRAP_SERVERS", "x:1"),
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_CREATE_TOPICS", "a:1:1"),
            ("ALLOW_PLAINTEXT_LISTENER", "yes"),
            ("PATH", "/bin"),
        ];
        let expected = [
            ("broker.id", "1"),
            ("cluster.id", "theirs"),
            ("dlq.max.attempts", "3"),
            ("dlq.mod", "off"),
            ("dlq.mode", "enforce"),
            ("listener.name.my-own_one.x", "y"),
            ("listeners", "PLAINTEXT://:2"),
            ("num.partitions", "6"),
            ("ottla.durability", "os"),
            ("some.plugin", "x"),
            ("version", "x"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read_all(&given), BTreeMap::from(expected));
    }

    #[test]
    fn a_port_of_old_is_a_setting_if_it_is_a_number_or_may_have_been_meant_as_one() {
        for value in ["9092", "many"] {
            assert_eq!(meaning("KAFKA_PORT", value), Some(setting("port")));
        }
    }

    #[test]
    fn each_setting_has_a_variable_with_each_prefix() {
        for row in broker_settings() {
            for prefix in ["KAFKA_", "KAFKA_CFG_"] {
                let variable = variable_like(prefix, row.name);
                assert_eq!(
                    meaning(&variable, "1"),
                    Some(setting(row.name)),
                    "{variable}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_variable_names_the_setting_that_it_was_made_of(
            name in "[a-z0-9]{1,4}([._-][a-z0-9]{1,4}){0,5}",
        ) {
            let variable = variable_like("KAFKA_CFG_", &name);
            prop_assert_eq!(meaning(&variable, ""), Some(Meaning::Setting(name)));
        }

        /// As apache/kafka's image does it: all `_` become dots first, then three dots a dash, then two a `_`.
        #[test]
        fn the_rule_is_that_of_apaches_image(rest in "[A-Z_]{0,12}") {
            let theirs = rest.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_");
            prop_assert_eq!(name_of(&rest), theirs);
        }

        #[test]
        fn no_variable_panics(variable in "(KAFKA_|KAFKA_CFG_|OTTLA_)?\\PC*", value in "\\PC*") {
            let _ = meaning(&variable, &value);
            let _ = variable_like(&variable, &value);
        }
    }
}
