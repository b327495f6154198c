//! What a broker says when it is ready: where the data is, what clients are told to connect to, how to try it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use ottla_broker::Broker;

/// What the banner is made of.
pub(super) struct Facts {
    program: String,
    data_dir: PathBuf,
    cluster_id: String,
    listeners: Vec<Listener>,
    http: Option<SocketAddr>,
}

struct Listener {
    name: String,
    bound: SocketAddr,
    advertised: String,
}

impl Listener {
    /// Host and port that clients are told.
    fn told(&self) -> Option<(&str, u16)> {
        let (host, port) = self.advertised.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse().ok()?))
    }

    /// Whether clients are told this very machine.
    fn is_local(&self) -> bool {
        self.told().is_some_and(|(host, _)| {
            let address = host.parse();
            host == "localhost" || address.is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        })
    }
}

pub(super) fn facts(broker: &Broker) -> Facts {
    let advertised = broker.advertised();
    let told = |name: &str, bound: &SocketAddr| {
        advertised
            .iter()
            .find(|(listener, _)| listener == name)
            .map_or_else(|| bound.to_string(), |(_, address)| address.clone())
    };
    let data_dir = broker.data_dir();
    let called_as = std::env::args_os()
        .next()
        .and_then(|path| path.into_string().ok());
    Facts {
        program: program(called_as.as_deref()),
        data_dir: data_dir.canonicalize().unwrap_or(data_dir),
        cluster_id: broker.cluster_id(),
        listeners: broker
            .listeners()
            .into_iter()
            .map(|(name, bound)| Listener {
                advertised: told(&name, &bound),
                name,
                bound,
            })
            .collect(),
        http: broker.http_address(),
    }
}

/// How this program is called from where it was called: by its name if it is on the path, else by its file.
fn program(called_as: Option<&str>) -> String {
    match called_as {
        Some(path) if path.contains('/') => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
            match path.chars().all(plain) {
                true => path.to_owned(),
                false => format!("'{}'", path.replace('\'', r"'\''")),
            }
        }
        _ => "ottla".to_owned(),
    }
}

pub(super) fn render(facts: &Facts) -> String {
    let mut text = String::new();
    let version = env!("CARGO_PKG_VERSION");
    let mut line = |words: String| {
        writeln!(text, "{words}").expect("writing to a string does not fail");
    };
    line(format!(
        "Ottla {version} is ready (cluster {}).",
        facts.cluster_id
    ));
    // Names in one column, as wide as the widest.
    let width = facts
        .listeners
        .iter()
        .map(|listener| listener.name.len())
        .fold(9, usize::max);
    line(format!(
        "  {:<width$}  {}",
        "data",
        facts.data_dir.display()
    ));
    for listener in &facts.listeners {
        line(format!(
            "  {:<width$}  listens on {}; clients are told to connect to {}",
            listener.name, listener.bound, listener.advertised
        ));
        if let Some(warning) = warning(listener, &facts.listeners) {
            line(format!("  {:<width$}  warning: {warning}", ""));
        }
    }
    if let Some(http) = facts.http {
        line(format!(
            "  {:<width$}  http://{}/healthz, /metrics, /openapi.json",
            "http",
            reachable(http)
        ));
    }
    if let Some(first) = facts.listeners.first() {
        let server = match first.advertised.as_str() {
            "127.0.0.1:9092" | "localhost:9092" => String::new(),
            address => format!(" --bootstrap-server {address}"),
        };
        line("Try it:".to_owned());
        let ottla = &facts.program;
        line(format!("  echo hello | {ottla} produce greetings{server}"));
        line(format!(
            "  {ottla} consume greetings --offset beginning --exit-eof{server}"
        ));
    }
    text
}

/// An address that works here: one that stands for all is no place to connect to.
fn reachable(bound: SocketAddr) -> String {
    match bound.ip().is_unspecified() {
        true => format!("localhost:{}", bound.port()),
        false => bound.to_string(),
    }
}

/// Names that people give to the listener for containers and brokers, as parts of names.
const INSIDE: [&str; 6] = [
    "BROKER",
    "CONTAINER",
    "DOCKER",
    "INSIDE",
    "INTERNAL",
    "NETWORK",
];

/// Why clients of a listener cannot follow what they are told, where that can be seen from here.
fn warning(listener: &Listener, all: &[Listener]) -> Option<String> {
    let Listener {
        name, advertised, ..
    } = listener;
    let (host, port) = listener.told()?;
    if ["", "0.0.0.0", "::"].contains(&host) {
        return Some(format!(
            "no client can connect to {advertised}; set advertised.listeners"
        ));
    }
    let others = || all.iter().filter(|other| other.name != *name);
    if let Some(twin) = others().find(|other| other.advertised == *advertised) {
        return Some(format!(
            "{} tells clients the same address: give each listener its own in advertised.listeners",
            twin.name
        ));
    }
    if port != listener.bound.port() {
        let of_another = others().find(|other| other.bound.port() == port);
        return Some(match of_another {
            Some(other) => format!(
                "port {port} is where {} listens: advertise {name}://{host}:{}",
                other.name,
                listener.bound.port()
            ),
            None => format!(
                "the advertised port {port} is not the one listened on; right only if something forwards it"
            ),
        });
    }
    if !listener.is_local() || listener.bound.ip().is_loopback() {
        return None;
    }
    // One listener for this machine and one for others is what both need.
    let has_another_for_others = others().any(|other| !other.is_local());
    let is_for_others = INSIDE.iter().any(|part| name.contains(part));
    match (has_another_for_others, is_for_others) {
        (true, false) => None,
        (true, true) => Some(format!(
            "containers that use {name} will look for the broker on themselves: advertise the name that they know it by"
        )),
        (false, _) => Some(
            "clients on other machines and in containers will look for the broker on themselves; \
             for them set advertised.listeners"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, bound: &str, advertised: &str) -> Listener {
        Listener {
            name: name.to_owned(),
            bound: bound.parse().unwrap(),
            advertised: advertised.to_owned(),
        }
    }

    fn banner(listeners: Vec<Listener>, http: Option<&str>) -> String {
        render(&Facts {
            program: "ottla".to_owned(),
            data_dir: PathBuf::from("/home/me/data"),
            cluster_id: "IBpPLYXzTIuMGuPOzpWVRg".to_owned(),
            listeners,
            http: http.map(|address| address.parse().unwrap()),
        })
    }

    #[test]
    fn the_banner_on_the_default_port() {
        let text = banner(
            vec![listener("PLAINTEXT", "127.0.0.1:9092", "127.0.0.1:9092")],
            Some("127.0.0.1:9644"),
        );
        insta::assert_snapshot!("banner_default", text);
    }

    #[test]
    fn the_program_is_called_as_it_was_called() {
        for (called_as, shown) in [
            (None, "ottla"),
            (Some("ottla"), "ottla"),
            (Some("target/release/ottla"), "target/release/ottla"),
            (Some("/it's here/ottla"), r"'/it'\''s here/ottla'"),
        ] {
            assert_eq!(program(called_as), shown);
        }
    }

    #[test]
    fn the_banner_warns_of_addresses_that_clients_cannot_use() {
        let listeners = vec![
            listener("HOST", "0.0.0.0:9092", "localhost:9092"),
            listener("ANY", "0.0.0.0:9093", "0.0.0.0:9093"),
            listener("FORWARDED", "0.0.0.0:9094", "kafka:19092"),
            listener("GOOD", "0.0.0.0:9095", "kafka:9095"),
        ];
        let text = banner(listeners, None);
        assert!(!text.contains("http"), "{text}");
        insta::assert_snapshot!("banner_warnings", text);
    }

    #[test]
    fn of_several_listeners_those_are_warned_of_that_cannot_be_right() {
        let on =
            |name, port: u16, advertised| listener(name, &format!("0.0.0.0:{port}"), advertised);
        // Listeners, and what is warned of each.
        for (listeners, expected) in [
            // The usual pair: one for containers, one for the host.
            (
                [
                    on("INTERNAL", 29092, "kafka:29092"),
                    on("HOST", 9092, "localhost:9092"),
                ],
                [None, None],
            ),
            (
                [
                    on("INTERNAL", 29092, "localhost:29092"),
                    on("HOST", 9092, "kafka:9092"),
                ],
                [Some("containers that use INTERNAL"), None],
            ),
            (
                [
                    on("IN", 29092, "localhost:29092"),
                    on("OUT", 9092, "localhost:9092"),
                ],
                [
                    Some("look for the broker on themselves"),
                    Some("look for the broker on themselves"),
                ],
            ),
            (
                [
                    on("IN", 29092, "kafka:9092"),
                    on("OUT", 9092, "localhost:29092"),
                ],
                [
                    Some("where OUT listens: advertise IN://kafka:29092"),
                    Some("where IN listens: advertise OUT://localhost:9092"),
                ],
            ),
            (
                [on("IN", 29092, "kafka:9092"), on("OUT", 9092, "kafka:9092")],
                [
                    Some("OUT tells clients the same address"),
                    Some("IN tells clients the same address"),
                ],
            ),
            (
                [
                    on("IN", 29092, "kafka:29092"),
                    on("OUT", 9092, "localhost:19092"),
                ],
                [None, Some("right only if something forwards it")],
            ),
            (
                [
                    listener("IN", "127.0.0.1:1", "localhost:1"),
                    listener("OUT", "[::]:2", "[::1]:2"),
                ],
                [None, Some("look for the broker on themselves")],
            ),
        ] {
            for (listener, expected) in listeners.iter().zip(expected) {
                let told = warning(listener, &listeners);
                let is_it = match expected {
                    None => told.is_none(),
                    Some(part) => told.as_ref().is_some_and(|told| told.contains(part)),
                };
                assert!(is_it, "{}: {told:?}, not {expected:?}", listener.name);
            }
        }
    }
}
