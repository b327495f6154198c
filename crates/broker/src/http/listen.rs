//! `http.port`: which port HTTP has, and the socket.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::warn;

use crate::listeners;
use crate::server::StartError;
use crate::settings::{Listener, SettingsError};

/// The setting.
const NAME: &str = "http.port";
/// Its default.
pub(crate) const DEFAULT_PORT: u16 = 9644;
/// The value that turns HTTP off, on the listeners of Kafka's protocol, too.
const OFF: &str = "off";

/// What the settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No HTTP anywhere.
    Off,
    /// A port of its own.
    Port {
        /// Of the first listener.
        host: String,
        /// 0 takes a free one.
        port: u16,
        /// Whether it was asked for: then it must be had.
        asked: bool,
    },
}

/// Reads `http.port`. A broker all of whose listeners take free ports takes a free one here, too: there may be many.
pub(crate) fn configured(
    values: &BTreeMap<String, String>,
    listeners: &[Listener],
) -> Result<Wanted, SettingsError> {
    let host = listeners
        .first()
        .map_or_else(String::new, |listener| listener.endpoint.host.clone());
    let Some(value) = values.get(NAME) else {
        let is_scratch = listeners.iter().all(|listener| listener.endpoint.port == 0);
        return Ok(Wanted::Port {
            host,
            port: if is_scratch { 0 } else { DEFAULT_PORT },
            asked: false,
        });
    };
    if value.trim().eq_ignore_ascii_case(OFF) {
        return Ok(Wanted::Off);
    }
    let port = value.trim().parse().map_err(|_| SettingsError {
        name: NAME.to_owned(),
        value: value.clone(),
        reason: "expected a port (0 to 65535; 0 takes a free one) or off".to_owned(),
    })?;
    Ok(Wanted::Port {
        host,
        port,
        asked: true,
    })
}

/// Binds the port. `None` if there is to be none, or if the default port is taken, which is warned of.
pub(crate) fn bind(wanted: &Wanted) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Wanted::Port { host, port, asked } = wanted else {
        return Ok(None);
    };
    let bound = listeners::open(host, *port).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(source) if *asked => Err(StartError::Bind {
            address: format!("{host}:{port} for HTTP"),
            hint: hint(&source, *port),
            source,
        }),
        Err(error) => {
            warn!(
                "no HTTP port: cannot listen on {host}:{port}: {error}. HTTP is answered on the listeners of Kafka's \
                 protocol all the same; --http-port sets another port, or off"
            );
            Ok(None)
        }
    }
}

fn hint(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Another program listens there (`lsof -i :{port}` or `ss -ltnp` names it): stop it, or choose another port with \
             --http-port (0 takes a free one, off opens none)"
        ),
        _ => "Choose another port with --http-port (0 takes a free one, off opens none)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Endpoint;

    fn listeners(ports: &[u16]) -> Vec<Listener> {
        let endpoint = |port: &u16| Endpoint {
            name: format!("L{port}"),
            host: "127.0.0.1".to_owned(),
            port: *port,
        };
        let listener = |port| Listener {
            endpoint: endpoint(port),
            advertised: None,
        };
        ports.iter().map(listener).collect()
    }

    fn wanted(value: Option<&str>, ports: &[u16]) -> Result<Wanted, SettingsError> {
        let values = value.map(|value| (NAME.to_owned(), value.to_owned()));
        configured(&values.into_iter().collect(), &listeners(ports))
    }

    fn port(port: u16, asked: bool) -> Result<Wanted, SettingsError> {
        Ok(Wanted::Port {
            host: "127.0.0.1".to_owned(),
            port,
            asked,
        })
    }

    #[test]
    fn the_port_is_the_default_what_is_asked_for_or_off() {
        assert_eq!(wanted(None, &[9092]), port(DEFAULT_PORT, false));
        assert_eq!(wanted(None, &[0, 0]), port(0, false));
        assert_eq!(wanted(None, &[0, 9092]), port(DEFAULT_PORT, false));
        assert_eq!(wanted(Some("8080"), &[0]), port(8080, true));
        assert_eq!(wanted(Some(" OFF "), &[9092]), Ok(Wanted::Off));
        for bad in ["", "-1", "65536", "http", "9644/tcp"] {
            let error = wanted(Some(bad), &[9092]).unwrap_err();
            assert!(error.to_string().contains("off"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_if_it_was_asked_for_and_no_port_if_not() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let wanted = |asked| Wanted::Port {
            host: "127.0.0.1".to_owned(),
            port,
            asked,
        };
        let error = bind(&wanted(true)).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        assert!(error.contains("--http-port"), "{error}");
        assert!(bind(&wanted(false)).unwrap().is_none());
        assert!(bind(&Wanted::Off).unwrap().is_none());
    }
}
