//! Redpanda's addresses: `[name://]host:port`, or `host:port|name`.

use anyhow::{Context, bail};
use serde::Deserialize;

/// The port of an address that says none.
const DEFAULT_PORT: u16 = 9092;

/// A listener, or what clients are told of it; in redpanda.yaml an entry of `kafka_api` and its like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Address {
    /// Empty for the one listener that needs no name.
    #[serde(default)]
    pub name: String,
    #[serde(rename = "address")]
    pub host: String,
    #[serde(default = "default_port")]
    pub port: u16,
    /// `none`, `sasl`, `mtls_identity`, `http_basic`.
    #[serde(default)]
    pub authentication_method: Option<String>,
}

fn default_port() -> u16 {
    DEFAULT_PORT
}

impl Address {
    /// Parses a flag's comma-separated list. `flag` is named in errors.
    pub(super) fn parse_list(flag: &str, text: &str) -> anyhow::Result<Vec<Address>> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| Address::parse(part).with_context(|| format!("--{flag} {part}")))
            .collect()
    }

    fn parse(text: &str) -> anyhow::Result<Address> {
        let (name, rest) = match (text.split_once("://"), text.split_once('|')) {
            (Some((name, rest)), _) => (name, rest),
            (None, Some((rest, name))) => (name, rest),
            (None, None) => ("", text),
        };
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of an IPv6 address without a port are inside its brackets.
            Some((host, port)) if !port.ends_with(']') => {
                let port = port
                    .parse()
                    .with_context(|| format!("{port:?} is not a port"))?;
                (host, port)
            }
            _ => (rest, DEFAULT_PORT),
        };
        if host.is_empty() {
            bail!("expected [NAME://]HOST:PORT, and there is no host");
        }
        Ok(Address {
            name: name.to_owned(),
            host: host.to_owned(),
            port,
            authentication_method: None,
        })
    }

    /// As Kafka writes it: `NAME://host:port`.
    pub(super) fn endpoint(&self) -> String {
        format!("{}://{}:{}", self.listener_name(), self.host, self.port)
    }

    /// The name that Kafka's settings know the listener by.
    pub(super) fn listener_name(&self) -> &str {
        match self.name.as_str() {
            "" => "PLAINTEXT",
            name => name,
        }
    }

    /// Whether it stands for all interfaces, and so is no place to connect to.
    pub(super) fn is_any(&self) -> bool {
        ["0.0.0.0", "::", "[::]"].contains(&self.host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_name_before_or_behind_it_or_none() {
        let cases = [
            ("0.0.0.0:29092", "PLAINTEXT://0.0.0.0:29092"),
            ("internal://0.0.0.0:9092", "internal://0.0.0.0:9092"),
            ("localhost:19092|external", "external://localhost:19092"),
            ("redpanda", "PLAINTEXT://redpanda:9092"),
            ("[::1]:9093", "PLAINTEXT://[::1]:9093"),
            ("[::1]", "PLAINTEXT://[::1]:9092"),
        ];
        for (text, expected) in cases {
            assert_eq!(Address::parse(text).unwrap().endpoint(), expected);
        }
    }

    #[test]
    fn a_list_skips_what_is_empty_and_names_what_is_wrong() {
        let list = Address::parse_list("kafka-addr", "a:1, b:2,").unwrap();
        assert_eq!(list.len(), 2);
        for bad in ["a:x", "a:70000", ":9092", "in://:1"] {
            let error = Address::parse_list("kafka-addr", bad).unwrap_err();
            assert!(format!("{error:#}").contains(&format!("--kafka-addr {bad}")));
        }
    }
}
