//! The cluster as clients are told of it: one node, and an address for each listener.

use std::sync::Arc;

use ottla_codec::StrBytes;

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
}
