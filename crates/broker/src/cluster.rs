//! The cluster as clients are told of it: one node, and an address for each listener.

use std::net::IpAddr;
use std::sync::Arc;

use ottla_codec::StrBytes;

use crate::settings::parse_endpoints;

/// What clients that came through one listener are told to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// The listener's name, as in `PLAINTEXT`.
    pub listener: Arc<str>,
    /// A host name or an address.
    pub host: StrBytes,
    /// The port.
    pub port: i32,
}

/// The cluster of one node.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// `node.id`.
    pub node_id: i32,
    /// The cluster's id.
    pub cluster_id: StrBytes,
    /// In the order of `listeners`; never empty.
    pub advertised: Vec<Advertised>,
}

impl Cluster {
    /// The address for clients of `listener`. A name that is not known gets the first listener's.
    pub fn advertised(&self, listener: &str) -> (StrBytes, i32) {
        let found = self
            .advertised
            .iter()
            .find(|a| &*a.listener == listener)
            .or_else(|| self.advertised.first())
            .expect("a broker has at least one listener");
        (found.host.clone(), found.port)
    }

    /// What a value of `advertised.listeners` that is set while the broker runs says of its listeners, or why it cannot be:
    /// it may name none that the broker does not have. Those that it leaves out keep what they were started with.
    pub fn readvertised(&self, value: &str) -> Result<Vec<Advertised>, String> {
        let endpoints = parse_endpoints("advertised.listeners", value).map_err(|e| e.reason)?;
        if endpoints.is_empty() {
            return Err("there is no listener in it".to_owned());
        }
        endpoints
            .into_iter()
            .map(|endpoint| {
                let Some(known) = self
                    .advertised
                    .iter()
                    .find(|a| a.listener.eq_ignore_ascii_case(&endpoint.name))
                else {
                    let names: Vec<_> = self.advertised.iter().map(|a| &*a.listener).collect();
                    return Err(format!(
                        "there is no listener {}, but: {}",
                        endpoint.name,
                        names.join(", ")
                    ));
                };
                let host = endpoint.host.as_str();
                if host.is_empty() || host.parse::<IpAddr>().is_ok_and(|a| a.is_unspecified()) {
                    return Err(format!(
                        "listener {} needs a host that clients can connect to",
                        endpoint.name
                    ));
                }
                Ok(Advertised {
                    listener: known.listener.clone(),
                    host: StrBytes::from_string(endpoint.host),
                    port: i32::from(endpoint.port),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised(listener: &str, host: &str, port: i32) -> Advertised {
        Advertised {
            listener: Arc::from(listener),
            host: StrBytes::from_string(host.to_string()),
            port,
        }
    }

    #[test]
    fn each_listener_tells_its_own_address() {
        let cluster = Cluster {
            node_id: 1,
            cluster_id: StrBytes::from_static_str("x"),
            advertised: vec![
                advertised("INTERNAL", "kafka", 29092),
                advertised("HOST", "localhost", 9092),
            ],
        };
        assert_eq!(cluster.advertised("HOST").1, 9092);
        assert_eq!(&*cluster.advertised("INTERNAL").0, "kafka");
        assert_eq!(cluster.advertised("unheard of").1, 29092);
    }

    #[test]
    fn an_address_that_is_set_later_must_be_of_a_listener_and_one_to_connect_to() {
        let cluster = Cluster {
            node_id: 1,
            cluster_id: StrBytes::from_static_str("x"),
            advertised: vec![
                advertised("BROKER", "localhost", 9092),
                advertised("PLAINTEXT", "localhost", 9093),
            ],
        };
        assert_eq!(
            cluster.readvertised("PLAINTEXT://127.0.0.1:32768,BROKER://kafka:9092"),
            Ok(vec![
                advertised("PLAINTEXT", "127.0.0.1", 32768),
                advertised("BROKER", "kafka", 9092),
            ])
        );
        for (value, reason) in [
            ("", "no listener in it"),
            ("PLAINTEXT", "NAME://host:port"),
            (
                "HOST://localhost:1",
                "no listener HOST, but: BROKER, PLAINTEXT",
            ),
            ("PLAINTEXT://0.0.0.0:1", "PLAINTEXT needs a host"),
            ("PLAINTEXT://:1", "PLAINTEXT needs a host"),
        ] {
            let told = cluster.readvertised(value).unwrap_err();
            assert!(told.contains(reason), "{value}: {told}");
        }
    }
}
