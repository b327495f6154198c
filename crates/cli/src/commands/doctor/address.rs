//! A host and a port, as clients write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const DEFAULT_PORT: u16 = 9092;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Whether it stands for all interfaces, and so for no place to connect to.
    pub fn is_unspecified(&self) -> bool {
        self.host.is_empty() || self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    /// Whether every machine, and every container, takes it for itself.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// Whether it is a name that is likely known to one network of containers alone.
    pub fn is_bare_name(&self) -> bool {
        self.ip().is_none() && !self.is_loopback() && !self.host.contains('.')
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        // What is copied from a setting has the listener's name before it.
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("a bracket is open")?;
                (host, rest.strip_prefix(':'))
            }
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err("expected host:port".to_owned());
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(format!("{port:?} is not a port")),
            },
        };
        Ok(Address {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_clients_write_them() {
        for (text, shown) in [
            ("localhost", "localhost:9092"),
            ("h:1", "h:1"),
            ("PLAINTEXT://h:1", "h:1"),
            ("::1", "[::1]:9092"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            ":9092",
            "h:x",
            "h:0",
            "h:99999",
            "[::1",
            "http://h/path",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
