//! The sockets of listeners, and what clients are told of each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ottla_codec::StrBytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::cluster::Advertised;
use crate::server::StartError;
use crate::settings::{Endpoint, Listener};

/// Connections that the kernel may hold for us before we accept them.
const BACKLOG: i32 = 1024;

/// A bound listener.
pub(crate) struct Bound {
    pub name: Arc<str>,
    pub listener: TcpListener,
    pub address: SocketAddr,
    pub advertised: Advertised,
}

/// Binds every listener. Port 0 takes a free one.
pub(crate) fn bind(configured: Vec<Listener>) -> Result<Vec<Bound>, StartError> {
    configured.into_iter().map(bind_one).collect()
}

fn bind_one(listener: Listener) -> Result<Bound, StartError> {
    let Listener {
        endpoint,
        advertised,
    } = listener;
    let shown = endpoint.address();
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
    let advertised = advertise(&name, &endpoint, advertised, address.port());
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

    fn bound(host: &str, port: u16, advertised: Option<(&str, u16)>) -> Result<Bound, StartError> {
        let endpoint = |(host, port): (&str, u16)| Endpoint {
            name: "IN".to_owned(),
            host: host.to_owned(),
            port,
        };
        bind_one(Listener {
            endpoint: endpoint((host, port)),
            advertised: advertised.map(endpoint),
        })
    }

    #[tokio::test]
    async fn port_0_takes_a_free_port_and_advertises_it() {
        let bound = bound("127.0.0.1", 0, None).unwrap();
        assert_ne!(bound.address.port(), 0);
        assert_eq!(bound.advertised.port, i32::from(bound.address.port()));
        assert_eq!(&*bound.advertised.host, "127.0.0.1");
    }

    #[tokio::test]
    async fn a_taken_port_says_what_to_do() {
        let first = bound("127.0.0.1", 0, None).unwrap();
        match bound("127.0.0.1", first.address.port(), None) {
            Err(StartError::Bind { hint, .. }) => assert!(hint.contains("--port")),
            _ => panic!("the port was taken"),
        }
    }

    #[tokio::test]
    async fn a_listener_advertises_what_is_set_for_it_and_localhost_for_all_interfaces() {
        let told = |bound: Bound| (bound.advertised.host.to_string(), bound.advertised.port);
        let set = bound("127.0.0.1", 0, Some(("kafka", 29092))).unwrap();
        assert_eq!(told(set), ("kafka".to_owned(), 29092));
        let unset = bound("", 0, None).unwrap();
        let port = i32::from(unset.address.port());
        assert_eq!(told(unset), ("localhost".to_owned(), port));
        let half = bound("127.0.0.1", 0, Some(("kafka", 0))).unwrap();
        assert_eq!(half.advertised.port, i32::from(half.address.port()));
    }
}
