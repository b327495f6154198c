//! `listeners`, `advertised.listeners` and the settings around them: what they say together, and what of it cannot be.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::definition::list;
use super::layers::Values;
use super::{SettingsError, error};

const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOLS: &str = "listener.security.protocol.map";
const INTER_BROKER: &str = "inter.broker.listener.name";
/// What Kafka listens on when nothing is set.
const DEFAULT: &str = "PLAINTEXT://:9092";
const DEFAULT_PORT: &str = "9092";
/// The one protocol that is spoken.
const PLAINTEXT: &str = "PLAINTEXT";
/// Protocols that Kafka has. Each is the name of a listener as well, unless the map says otherwise.
const SECURED: [&str; 3] = ["SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// `NAME://host:port`; an empty host means all interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// `host:port`, an IPv6 address in brackets.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.address())
    }
}

/// A listener for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What clients are told, if that is set.
    pub advertised: Option<Endpoint>,
}

/// What the settings say of listeners where `listeners` itself is not given: the name of the setting that says it, and the
/// value of `listeners` that it comes to.
///
/// `advertised.listeners` gives the same names and ports on all interfaces, as Confluent's image does it. The settings that
/// Kafka had for a single listener until 3.0 (`host.name`, `port`, `advertised.host.name`, `advertised.port`) give PLAINTEXT.
///
/// # Errors
/// If `advertised.listeners` cannot be read.
pub fn derived_listeners(values: &Values) -> Result<Option<(&'static str, String)>, SettingsError> {
    if values.contains_key(LISTENERS) {
        return Ok(None);
    }
    if let Some(advertised) = values.get(ADVERTISED) {
        let controllers = controllers(values);
        let mut derived = Vec::new();
        for mut endpoint in parse(ADVERTISED, advertised)? {
            if !controllers.contains(&endpoint.name) {
                endpoint.host.clear();
                derived.push(endpoint.to_string());
            }
        }
        return Ok((!derived.is_empty()).then(|| (ADVERTISED, derived.join(","))));
    }
    let from = [
        "port",
        "host.name",
        "advertised.port",
        "advertised.host.name",
    ];
    let Some(from) = from.into_iter().find(|name| values.contains_key(*name)) else {
        return Ok(None);
    };
    let host = values.get("host.name").map_or("", String::as_str);
    let port = values.get("port").map_or(DEFAULT_PORT, String::as_str);
    Ok(Some((
        from,
        format!("{PLAINTEXT}://{}:{port}", bracketed(host)),
    )))
}

/// The listeners for clients that the settings ask for, in their order; at least one.
///
/// # Errors
/// What is malformed, asks for TLS or SASL, or contradicts itself; as in Kafka, save that a listener of the controller may be
/// missing anywhere.
pub fn listeners(values: &Values) -> Result<Vec<Listener>, SettingsError> {
    let derived = derived_listeners(values)?;
    let (setting, value) = match (values.get(LISTENERS), &derived) {
        (Some(value), _) => (LISTENERS, value.as_str()),
        // What is wrong with it is wrong with what it was derived from.
        (None, Some((ADVERTISED, value))) => (ADVERTISED, value.as_str()),
        (None, Some((_, value))) => (LISTENERS, value.as_str()),
        (None, None) => (LISTENERS, DEFAULT),
    };
    let given = values.get(setting).map_or(value, String::as_str);
    let refuse = |reason: String| error(setting, given, reason);
    let endpoints = parse(setting, value)?;
    distinct_ports(&endpoints).map_err(refuse)?;
    let controllers = controllers(values);
    let clients: Vec<Endpoint> = endpoints
        .into_iter()
        .filter(|endpoint| !controllers.contains(&endpoint.name))
        .collect();
    if clients.is_empty() {
        return Err(refuse(format!(
            "there is no listener for clients; for example {DEFAULT}"
        )));
    }
    check_protocols(values, &clients, setting, given)?;
    let advertised = advertised(values, &clients, &controllers)?;
    if let Some(name) = values.get(INTER_BROKER).filter(|name| !name.is_empty())
        && !clients
            .iter()
            .any(|endpoint| endpoint.name.eq_ignore_ascii_case(name))
    {
        return Err(error(
            INTER_BROKER,
            name,
            format!("there is no such listener: name one of {}", names(&clients)),
        ));
    }
    Ok(clients
        .into_iter()
        .map(|endpoint| Listener {
            advertised: advertised.get(&endpoint.name).cloned(),
            endpoint,
        })
        .collect())
}

/// Parses a list of endpoints. `setting` is named in errors.
pub(crate) fn parse(setting: &str, value: &str) -> Result<Vec<Endpoint>, SettingsError> {
    let refuse = |reason: String| error(setting, value, reason);
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for part in list(value) {
        let endpoint = parse_endpoint(part).map_err(refuse)?;
        if endpoints.iter().any(|e| e.name == endpoint.name) {
            return Err(refuse(format!("listener {} is given twice", endpoint.name)));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn parse_endpoint(part: &str) -> Result<Endpoint, String> {
    let (name, rest) = part
        .split_once("://")
        .ok_or_else(|| format!("'{part}' is not of the form NAME://host:port"))?;
    let (host, port) = rest
        .rsplit_once(':')
        .ok_or_else(|| format!("'{part}' has no port"))?;
    let port = port
        .parse::<u16>()
        .map_err(|_| format!("'{port}' is not a port (0 to 65535)"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return Err(format!("'{part}' has no listener name"));
    }
    if host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(format!("'{host}' is not the name or address of a host"));
    }
    Ok(Endpoint {
        name: name.to_ascii_uppercase(),
        host: host.to_owned(),
        port,
    })
}

/// Kafka wants another port for each listener, save that one may have an IPv4 and one an IPv6 address.
fn distinct_ports(endpoints: &[Endpoint]) -> Result<(), String> {
    let v4 = |endpoint: &Endpoint| endpoint.host.parse::<Ipv4Addr>().is_ok();
    let v6 = |endpoint: &Endpoint| endpoint.host.parse::<Ipv6Addr>().is_ok();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let twice = endpoints[..index].iter().find(|earlier| {
            endpoint.port != 0
                && earlier.port == endpoint.port
                && !(v4(earlier) && v6(endpoint) || v6(earlier) && v4(endpoint))
        });
        if let Some(earlier) = twice {
            return Err(format!(
                "{} and {} have the same port {}: give each listener its own",
                earlier.name, endpoint.name, endpoint.port
            ));
        }
    }
    Ok(())
}

/// Names of listeners that serve a controller quorum, of which there is none here.
fn controllers(values: &Values) -> Vec<String> {
    let mut names = vec!["CONTROLLER".to_owned()];
    if let Some(given) = values.get("controller.listener.names") {
        names.extend(list(given).map(str::to_ascii_uppercase));
    }
    names
}

fn check_protocols(
    values: &Values,
    clients: &[Endpoint],
    setting: &str,
    given: &str,
) -> Result<(), SettingsError> {
    let protocols = protocol_map(values)?;
    for Endpoint { name, .. } in clients {
        let protocol = match protocols.get(name) {
            Some(protocol) => protocol.as_str(),
            None if name == PLAINTEXT || SECURED.contains(&name.as_str()) => name,
            None => {
                let map = values.get(PROTOCOLS).map_or("", String::as_str);
                let separator = if map.trim().is_empty() { "" } else { "," };
                return Err(error(
                    PROTOCOLS,
                    map,
                    format!(
                        "there is no protocol for the listener {name}: set \
                         {PROTOCOLS}={map}{separator}{name}:{PLAINTEXT}"
                    ),
                ));
            }
        };
        if protocol != PLAINTEXT {
            return Err(error(
                setting,
                given,
                format!(
                    "listener {name} asks for {protocol}; only {PLAINTEXT} is supported: map it with \
                     {PROTOCOLS}={name}:{PLAINTEXT}, or remove it"
                ),
            ));
        }
    }
    Ok(())
}

/// Names and protocols of the map, in upper case.
fn protocol_map(values: &Values) -> Result<BTreeMap<String, String>, SettingsError> {
    let Some(value) = values.get(PROTOCOLS) else {
        return Ok(BTreeMap::new());
    };
    let refuse = |reason: String| error(PROTOCOLS, value, reason);
    let mut map = BTreeMap::new();
    for pair in list(value) {
        let (name, protocol) = pair
            .split_once(':')
            .ok_or_else(|| refuse(format!("'{pair}' is not of the form LISTENER:PROTOCOL")))?;
        let protocol = protocol.trim().to_ascii_uppercase();
        if protocol != PLAINTEXT && !SECURED.contains(&protocol.as_str()) {
            return Err(refuse(format!(
                "'{protocol}' is not a protocol: use {PLAINTEXT}, {}",
                SECURED.join(", ")
            )));
        }
        map.insert(name.trim().to_ascii_uppercase(), protocol);
    }
    Ok(map)
}

/// What clients are told, by the listener's name.
fn advertised(
    values: &Values,
    clients: &[Endpoint],
    controllers: &[String],
) -> Result<BTreeMap<String, Endpoint>, SettingsError> {
    let Some(value) = values.get(ADVERTISED) else {
        return Ok(advertised_before_listeners(values, clients)?
            .map(|endpoint| (endpoint.name.clone(), endpoint))
            .into_iter()
            .collect());
    };
    let mut advertised = BTreeMap::new();
    for endpoint in parse(ADVERTISED, value)? {
        if controllers.contains(&endpoint.name) {
            continue;
        }
        if !clients.iter().any(|client| client.name == endpoint.name) {
            let listeners = values.get(LISTENERS).map_or(DEFAULT, String::as_str);
            return Err(error(
                ADVERTISED,
                value,
                format!(
                    "there is no listener {} in listeners={listeners}: advertise {}, or add it to listeners",
                    endpoint.name,
                    names(clients)
                ),
            ));
        }
        advertised.insert(endpoint.name.clone(), endpoint);
    }
    Ok(advertised)
}

/// What the settings of Kafka before 3.0 tell clients: of the listener PLAINTEXT, or of the only one.
fn advertised_before_listeners(
    values: &Values,
    clients: &[Endpoint],
) -> Result<Option<Endpoint>, SettingsError> {
    let host = values
        .get("advertised.host.name")
        .or(values.get("host.name"));
    let port = values.get("advertised.port");
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let Some(listener) = clients
        .iter()
        .find(|client| client.name == PLAINTEXT)
        .or(clients.first().filter(|_| clients.len() == 1))
    else {
        return Ok(None);
    };
    let port = match port {
        None => listener.port,
        Some(port) => port.trim().parse().map_err(|_| {
            let reason = format!("'{port}' is not a port (0 to 65535)");
            error("advertised.port", port, reason)
        })?,
    };
    Ok(Some(Endpoint {
        name: listener.name.clone(),
        host: host.unwrap_or(&listener.host).trim().to_owned(),
        port,
    }))
}

fn names(endpoints: &[Endpoint]) -> String {
    let names: Vec<_> = endpoints.iter().map(|e| e.name.as_str()).collect();
    names.join(", ")
}

/// An IPv6 address goes in brackets.
fn bracketed(host: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// `NAME://host:port` of each listener, with `->host:port` behind it if that is advertised.
    fn shown(pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let show = |listener: &Listener| match &listener.advertised {
            Some(told) => format!("{}->{}", listener.endpoint, told.address()),
            None => listener.endpoint.to_string(),
        };
        listeners(&values(pairs))
            .map(|listeners| listeners.iter().map(show).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn listeners_are_those_that_the_settings_ask_for() {
        const MAP: (&str, &str) = (PROTOCOLS, "IN:PLAINTEXT,OUT:PLAINTEXT,CTRL:PLAINTEXT");
        for (given, expected) in [
            (&[][..], &["PLAINTEXT://:9092"][..]),
            (
                &[
                    (LISTENERS, "PLAINTEXT://:9092, plaintext2://[::1]:1,"),
                    (PROTOCOLS, "plaintext2:plaintext"),
                ],
                &["PLAINTEXT://:9092", "PLAINTEXT2://[::1]:1"],
            ),
            // Two on one port, if they are of different families.
            (
                &[(LISTENERS, "IN://127.0.0.1:9,OUT://[::1]:9"), MAP],
                &["IN://127.0.0.1:9", "OUT://[::1]:9"],
            ),
            (
                &[(LISTENERS, "IN://:0,OUT://:0"), MAP],
                &["IN://:0", "OUT://:0"],
            ),
            (
                &[
                    (LISTENERS, "IN://:29092,CTRL://:9093,OUT://0.0.0.0:9092"),
                    ("controller.listener.names", "ctrl"),
                    (
                        ADVERTISED,
                        "IN://kafka:29092,OUT://localhost:19092,CTRL://kafka:9093",
                    ),
                    (INTER_BROKER, "IN"),
                    MAP,
                ],
                &[
                    "IN://:29092->kafka:29092",
                    "OUT://0.0.0.0:9092->localhost:19092",
                ],
            ),
            // A controller that nothing names, and that is not in the map.
            (
                &[
                    (LISTENERS, "PLAINTEXT://:1,CONTROLLER://:2"),
                    (PROTOCOLS, "PLAINTEXT:PLAINTEXT"),
                ],
                &["PLAINTEXT://:1"],
            ),
            // Derived.
            (
                &[
                    (
                        ADVERTISED,
                        "IN://kafka:29092,OUT://localhost:9092,CONTROLLER://kafka:9093",
                    ),
                    MAP,
                ],
                &["IN://:29092->kafka:29092", "OUT://:9092->localhost:9092"],
            ),
            (
                &[("advertised.host.name", "10.0.0.7")],
                &["PLAINTEXT://:9092->10.0.0.7:9092"],
            ),
            (
                &[
                    ("host.name", "::1"),
                    ("port", "9099"),
                    ("advertised.port", "1"),
                ],
                &["PLAINTEXT://[::1]:9099->[::1]:1"],
            ),
            (
                &[(LISTENERS, "OUT://:5"), ("advertised.host.name", "h"), MAP],
                &["OUT://:5->h:5"],
            ),
            // Of several it is PLAINTEXT's, of which there is none.
            (
                &[
                    (LISTENERS, "OUT://:5,IN://:6"),
                    ("advertised.host.name", "h"),
                    MAP,
                ],
                &["OUT://:5", "IN://:6"],
            ),
        ] {
            let expected = expected.iter().map(|e| (*e).to_owned()).collect();
            assert_eq!(shown(given), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_named_with_the_way_out() {
        for (given, parts) in [
            (
                &[(LISTENERS, "9092")][..],
                &["listeners=9092", "NAME://host:port"][..],
            ),
            (&[(LISTENERS, "PLAINTEXT://host")], &["has no port"]),
            (
                &[(LISTENERS, "PLAINTEXT://host:99999")],
                &["'99999'", "65535"],
            ),
            (&[(LISTENERS, "://h:1")], &["no listener name"]),
            (&[(LISTENERS, "A://:1,a://:2")], &["A is given twice"]),
            (&[(LISTENERS, "PLAINTEXT://a b:1")], &["'a b' is not"]),
            (&[(LISTENERS, "PLAINTEXT:///h:1")], &["'/h' is not"]),
            (
                &[(LISTENERS, "CONTROLLER://:1")],
                &["no listener for clients", DEFAULT],
            ),
            (&[(LISTENERS, ",")], &["no listener for clients"]),
            (
                &[(LISTENERS, "PLAINTEXT://h:1,CONTROLLER://:1")],
                &["PLAINTEXT and CONTROLLER", "same port 1"],
            ),
            (
                &[(LISTENERS, "SSL://:1")],
                &["SSL", "only PLAINTEXT", "SSL:PLAINTEXT"],
            ),
            (
                &[(LISTENERS, "OUT://:1"), (PROTOCOLS, "OUT:SASL_SSL")],
                &["OUT asks for SASL_SSL", "OUT:PLAINTEXT"],
            ),
            (
                &[(LISTENERS, "OUT://:1")],
                &[
                    "no protocol for the listener OUT",
                    "listener.security.protocol.map=OUT:PLAINTEXT",
                ],
            ),
            (
                &[(LISTENERS, "OUT://:1,IN://:2"), (PROTOCOLS, "IN:PLAINTEXT")],
                &["the listener OUT", "map=IN:PLAINTEXT,OUT:PLAINTEXT"],
            ),
            (
                &[(PROTOCOLS, "PLAINTEXT")],
                &["'PLAINTEXT' is not of the form LISTENER:PROTOCOL"],
            ),
            (
                &[(PROTOCOLS, "OUT:TLS")],
                &["'TLS' is not a protocol", "SASL_SSL"],
            ),
            (
                &[(LISTENERS, "PLAINTEXT://:1"), (ADVERTISED, "OUT://h:1")],
                &[
                    "no listener OUT in listeners=PLAINTEXT://:1",
                    "advertise PLAINTEXT",
                ],
            ),
            (
                &[(ADVERTISED, "OUT://h")],
                &["advertised.listeners=OUT://h", "has no port"],
            ),
            (
                &[(ADVERTISED, "PLAINTEXT://a:1,SSL://b:1")],
                &[
                    "advertised.listeners=PLAINTEXT://a:1,SSL://b:1",
                    "same port",
                ],
            ),
            (
                &[(LISTENERS, "PLAINTEXT://:1"), (INTER_BROKER, "IN")],
                &["inter.broker.listener.name=IN", "one of PLAINTEXT"],
            ),
            (&[("port", "many")], &["'many' is not a port"]),
            (&[("advertised.port", "-1")], &["advertised.port=-1"]),
        ] {
            let told = shown(given).expect_err("cannot be");
            for part in parts {
                assert!(told.contains(part), "{given:?} without {part:?}: {told}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_and_what_is_derived_can_be_listened_on(
            listeners_value in proptest::option::of("[A-C:/,0-9\\[\\] .]{0,30}"),
            advertised_value in proptest::option::of("([AB]://h?:[0-9]{1,3},?){0,3}"),
        ) {
            let mut given = values(&[(PROTOCOLS, "A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT")]);
            given.extend(listeners_value.map(|value| (LISTENERS.to_owned(), value)));
            given.extend(advertised_value.map(|value| (ADVERTISED.to_owned(), value)));
            let found = listeners(&given);
            if let Ok(Some((_, derived))) = derived_listeners(&given) {
                given.insert(LISTENERS.to_owned(), derived);
                prop_assert_eq!(found.is_ok(), listeners(&given).is_ok());
            }
        }
    }
}
