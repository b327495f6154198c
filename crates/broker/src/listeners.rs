//! `listeners`, `advertised.listeners` and `listener.security.protocol.map`: what they say, and the sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ottla_codec::StrBytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::cluster::Advertised;
use crate::server::StartError;
use crate::settings::SettingsError;

/// What Kafka listens on when nothing is set.
const DEFAULT_LISTENERS: &str = "PLAINTEXT://:9092";
/// Connections that the kernel may hold for us before we accept them.
const BACKLOG: i32 = 1024;

/// `NAME://host:port`; an empty host means all interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// A bound listener.
pub(crate) struct Bound {
    pub name: Arc<str>,
    pub listener: TcpListener,
    pub address: SocketAddr,
    pub advertised: Advertised,
}

/// Parses a list of endpoints. `setting` is named in errors.
pub(crate) fn parse(setting: &str, value: &str) -> Result<Vec<Endpoint>, SettingsError> {
    let refuse = |reason: String| SettingsError {
        name: setting.to_string(),
        value: value.to_string(),
        reason,
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for part in value.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, rest) = part
            .split_once("://")
            .ok_or_else(|| refuse(format!("'{part}' is not of the form NAME://host:port")))?;
        let (host, port) = rest
            .rsplit_once(':')
            .ok_or_else(|| refuse(format!("'{part}' has no port")))?;
        let port = port
            .parse::<u16>()
            .map_err(|_| refuse(format!("'{port}' is not a port (0 to 65535)")))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = name.to_ascii_uppercase();
        if name.is_empty() {
            return Err(refuse(format!("'{part}' has no listener name")));
        }
        if endpoints.iter().any(|e| e.name == name) {
            return Err(refuse(format!("listener {name} is given twice")));
        }
        endpoints.push(Endpoint {
            name,
            host: host.to_string(),
            port,
        });
    }
    Ok(endpoints)
}

/// The listeners that a configuration asks for, each with what is to be advertised for it, if that is set.
pub(crate) fn configured(
    values: &BTreeMap<String, String>,
) -> Result<Vec<(Endpoint, Option<Endpoint>)>, SettingsError> {
    let listeners = values
        .get("listeners")
        .map_or(DEFAULT_LISTENERS, String::as_str);
    let controllers: Vec<String> = values
        .get("controller.listener.names")
        .map(|v| {
            v.split(',')
                .map(|n| n.trim().to_ascii_uppercase())
                .collect()
        })
        .unwrap_or_default();
    let protocols = protocol_map(values)?;
    let advertised = values
        .get("advertised.listeners")
        .map(|v| parse("advertised.listeners", v))
        .transpose()?
        .unwrap_or_default();
    let mut result = Vec::new();
    for endpoint in parse("listeners", listeners)? {
        // A controller's listener serves the quorum, of which there is none here.
        if controllers.contains(&endpoint.name) || endpoint.name == "CONTROLLER" {
            continue;
        }
        let protocol = protocols
            .get(&endpoint.name)
            .cloned()
            .unwrap_or_else(|| endpoint.name.clone());
        if matches!(protocol.as_str(), "SSL" | "SASL_SSL" | "SASL_PLAINTEXT") {
            return Err(SettingsError {
                name: "listeners".to_string(),
                value: listeners.to_string(),
                reason: format!(
                    "listener {} asks for {protocol}; only PLAINTEXT is supported: map it with \
                     listener.security.protocol.map={}:PLAINTEXT, or remove it",
                    endpoint.name, endpoint.name
                ),
            });
        }
        let told = advertised.iter().find(|a| a.name == endpoint.name).cloned();
        result.push((endpoint, told));
    }
    if result.is_empty() {
        return Err(SettingsError {
            name: "listeners".to_string(),
            value: listeners.to_string(),
            reason: "there is no listener for clients; for example PLAINTEXT://:9092".to_string(),
        });
    }
    Ok(result)
}

fn protocol_map(
    values: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, SettingsError> {
    const NAME: &str = "listener.security.protocol.map";
    let Some(value) = values.get(NAME) else {
        return Ok(BTreeMap::new());
    };
    value
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .map(|pair| {
            pair.split_once(':')
                .map(|(name, protocol)| {
                    (
                        name.trim().to_ascii_uppercase(),
                        protocol.trim().to_ascii_uppercase(),
                    )
                })
                .ok_or_else(|| SettingsError {
                    name: NAME.to_string(),
                    value: value.clone(),
                    reason: format!("'{pair}' is not of the form LISTENER:PROTOCOL"),
                })
        })
        .collect()
}

/// Binds every listener. Port 0 takes a free one.
pub(crate) fn bind(
    configured: Vec<(Endpoint, Option<Endpoint>)>,
) -> Result<Vec<Bound>, StartError> {
    configured
        .into_iter()
        .map(|(endpoint, told)| bind_one(&endpoint, told))
        .collect()
}

fn bind_one(endpoint: &Endpoint, told: Option<Endpoint>) -> Result<Bound, StartError> {
    let shown = format!("{}:{}", endpoint.host, endpoint.port);
    let fail = |source: io::Error| {
        let hint = hint(&source, endpoint.port);
        StartError::Bind {
            address: shown.clone(),
            source,
            hint,
        }
    };
    let listener = open(&endpoint.host, endpoint.port).map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let name: Arc<str> = Arc::from(endpoint.name.as_str());
    let advertised = advertise(&name, endpoint, told, address.port());
    Ok(Bound {
        name,
        listener,
        address,
        advertised,
    })
}

/// Listens on a host, which may be empty for all interfaces, and a port.
pub(crate) fn open(host: &str, port: u16) -> io::Result<TcpListener> {
    let everywhere_v4 = || listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let listener = match host {
        // All interfaces: one socket for both families where the machine has IPv6.
        "" => match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Err(e) if e.kind() != io::ErrorKind::AddrInUse => everywhere_v4(),
            other => other,
        },
        "0.0.0.0" => everywhere_v4(),
        _ => {
            let mut listener = Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the host has no address",
            ));
            for address in (host, port).to_socket_addrs()? {
                listener = listen(address);
                if listener.is_ok() {
                    break;
                }
            }
            listener
        }
    };
    TcpListener::from_std(listener?)
}

/// What clients are told. Where nothing is set and all interfaces are listened on, `localhost`: right for the machine itself,
/// and what a development broker mostly serves; anything else must be said with `advertised.listeners`.
fn advertise(
    name: &Arc<str>,
    endpoint: &Endpoint,
    told: Option<Endpoint>,
    bound_port: u16,
) -> Advertised {
    let (host, port) = match told {
        Some(told) => (
            told.host,
            if told.port == 0 {
                bound_port
            } else {
                told.port
            },
        ),
        None => (endpoint.host.clone(), bound_port),
    };
    let everywhere = host.is_empty() || host.parse::<IpAddr>().is_ok_and(|a| a.is_unspecified());
    Advertised {
        listener: name.clone(),
        host: StrBytes::from_string(if everywhere {
            "localhost".to_string()
        } else {
            host
        }),
        port: i32::from(port),
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = if address.is_ipv6() {
        Domain::IPV6
    } else {
        Domain::IPV4
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted broker takes its port back although old connections linger in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn hint(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Another program listens there (`lsof -i :{port}` or `ss -ltnp` names it): stop it, or choose another port with \
             --port (0 takes a free one)"
        ),
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need privileges: choose another with --port".to_string()
        }
        io::ErrorKind::AddrNotAvailable => {
            "This machine has no such address: use one of its own, or an empty host for all (PLAINTEXT://:9092)".to_string()
        }
        _ => "Check the setting listeners (NAME://host:port)".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn an_empty_host_a_trailing_comma_and_ipv6_are_understood() {
        let parsed = parse("listeners", "PLAINTEXT://:9092, host://[::1]:1,").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!((parsed[0].host.as_str(), parsed[0].port), ("", 9092));
        assert_eq!(
            (parsed[1].name.as_str(), parsed[1].host.as_str()),
            ("HOST", "::1")
        );
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for bad in [
            "9092",
            "PLAINTEXT://host",
            "PLAINTEXT://host:99999",
            "://h:1",
            "A://:1,A://:2",
        ] {
            let error = parse("listeners", bad).unwrap_err();
            assert_eq!(error.value, bad);
        }
    }

    #[test]
    fn a_controller_listener_is_left_out() {
        let v = values(&[
            ("listeners", "PLAINTEXT://:9092,CTRL://:9093"),
            ("controller.listener.names", "CTRL"),
        ]);
        let found = configured(&v).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.name, "PLAINTEXT");
    }

    #[test]
    fn a_listener_with_tls_is_refused() {
        let v = values(&[
            ("listeners", "OUT://:9092"),
            ("listener.security.protocol.map", "OUT:SSL"),
        ]);
        assert!(configured(&v).unwrap_err().reason.contains("PLAINTEXT"));
    }

    #[tokio::test]
    async fn port_0_takes_a_free_port_and_advertises_it() {
        let v = values(&[("listeners", "PLAINTEXT://127.0.0.1:0")]);
        let bound = bind(configured(&v).unwrap()).unwrap();
        assert_ne!(bound[0].address.port(), 0);
        assert_eq!(bound[0].advertised.port, i32::from(bound[0].address.port()));
        assert_eq!(&*bound[0].advertised.host, "127.0.0.1");
    }

    #[tokio::test]
    async fn a_taken_port_says_what_to_do() {
        let first = bind(configured(&values(&[("listeners", "PLAINTEXT://127.0.0.1:0")])).unwrap())
            .unwrap();
        let again = format!("PLAINTEXT://127.0.0.1:{}", first[0].address.port());
        match bind(configured(&values(&[("listeners", &again)])).unwrap()) {
            Err(StartError::Bind { hint, .. }) => assert!(hint.contains("--port")),
            _ => panic!("the port was taken"),
        }
    }

    #[tokio::test]
    async fn each_listener_advertises_what_is_set_for_it() {
        let v = values(&[
            ("listeners", "IN://127.0.0.1:0,OUT://:0"),
            ("advertised.listeners", "IN://kafka:29092"),
        ]);
        let bound = bind(configured(&v).unwrap()).unwrap();
        assert_eq!(
            (&*bound[0].advertised.host, bound[0].advertised.port),
            ("kafka", 29092)
        );
        assert_eq!(&*bound[1].advertised.host, "localhost");
    }
}
