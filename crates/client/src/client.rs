//! A cluster as seen by a program: connections by broker, leaders, coordinators, retries.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::error::ClientError;
use crate::metadata::{Broker, ClusterMetadata, join_host_port};
use crate::node::Node;
use crate::options::ClientOptions;

/// The longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// What has a coordinator.
#[derive(Debug, Clone, Copy)]
enum Coordinated {
    Group,
    Transaction,
}

/// A client of one cluster. It is used by one task at a time; producers and consumers own theirs.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    bootstrap: Vec<String>,
    /// The connection used for what any broker answers.
    first: Option<Node>,
    /// Connections by node id.
    nodes: HashMap<i32, Node>,
    /// `host:port` by node id.
    addresses: HashMap<i32, String>,
    controller_id: Option<i32>,
    /// The leader's node id by topic and partition.
    leaders: HashMap<String, HashMap<i32, i32>>,
}

impl Client {
    /// Connects to the first of `bootstrap` (`host:port`, port 9092 if left out) that answers. Does not retry, so that
    /// a wrong address is told at once.
    pub async fn connect(
        bootstrap: &[String],
        options: ClientOptions,
    ) -> Result<Client, ClientError> {
        let mut client = Client {
            options,
            bootstrap: bootstrap.iter().map(|a| with_default_port(a)).collect(),
            first: None,
            nodes: HashMap::new(),
            addresses: HashMap::new(),
            controller_id: None,
            leaders: HashMap::new(),
        };
        client.any().await?;
        Ok(client)
    }

    /// A further client of the same cluster, with connections of its own.
    pub async fn connect_again(&self) -> Result<Client, ClientError> {
        Client::connect(&self.bootstrap, self.options.clone()).await
    }

    /// The options.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// A connection to any broker.
    pub async fn any(&mut self) -> Result<&mut Node, ClientError> {
        if self.first.is_none() {
            self.first = Some(self.connect_to_any().await?);
        }
        Ok(self.first.as_mut().expect("the connection was just made"))
    }

    /// A connection to the broker that takes administrative requests.
    pub async fn controller(&mut self) -> Result<&mut Node, ClientError> {
        if self.controller_id.is_none() {
            Box::pin(self.metadata(crate::Topics::Named(&[]), false)).await?;
        }
        match self.controller_id {
            Some(id) => self.node(id).await,
            None => self.any().await,
        }
    }

    /// A connection to the broker of this id, which metadata has named.
    pub async fn node(&mut self, id: i32) -> Result<&mut Node, ClientError> {
        if !self.nodes.contains_key(&id) {
            let address = self.addresses.get(&id).ok_or_else(|| {
                ClientError::Invalid(format!("broker {id} is not in the cluster's metadata"))
            })?;
            let node = Node::connect(address, &self.options.connection).await?;
            self.nodes.insert(id, node);
        }
        Ok(self
            .nodes
            .get_mut(&id)
            .expect("the connection was just made"))
    }

    /// The node id of a partition's leader, from the metadata at hand or asked for.
    pub async fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        if let Some(id) = self.known_leader(topic, partition) {
            return Ok(id);
        }
        self.topic(topic, false).await?;
        self.known_leader(topic, partition)
            .ok_or_else(|| ClientError::Broker {
                what: format!("partition {topic}-{partition}"),
                error: crate::BrokerError(
                    if self
                        .leaders
                        .get(topic)
                        .is_some_and(|l| !l.contains_key(&partition))
                    {
                        kafka_protocol::ResponseError::UnknownTopicOrPartition
                    } else {
                        kafka_protocol::ResponseError::LeaderNotAvailable
                    },
                ),
                message: None,
            })
    }

    fn known_leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.leaders
            .get(topic)?
            .get(&partition)
            .copied()
            .filter(|id| *id >= 0)
    }

    /// A connection of its own to a group's coordinator, so that a waiting join or fetch never holds up a heartbeat.
    pub async fn coordinator(&mut self, group: &str) -> Result<Node, ClientError> {
        let broker = self.coordinating_broker(group).await?;
        Node::connect(&broker.address(), &self.options.connection).await
    }

    /// The broker that coordinates a group.
    pub async fn coordinating_broker(&mut self, group: &str) -> Result<Broker, ClientError> {
        self.retry(async |client| client.find_coordinator(Coordinated::Group, group).await)
            .await
    }

    /// The broker that coordinates a transactional id; one try.
    pub(crate) async fn transaction_coordinator(
        &mut self,
        transactional_id: &str,
    ) -> Result<Broker, ClientError> {
        self.find_coordinator(Coordinated::Transaction, transactional_id)
            .await
    }

    async fn find_coordinator(
        &mut self,
        kind: Coordinated,
        id: &str,
    ) -> Result<Broker, ClientError> {
        let key = StrBytes::from_string(id.to_owned());
        let node = self.any().await?;
        // Version 4 moved the key into a list (KIP-699).
        let version = node.version::<FindCoordinatorRequest>()?;
        let request = if version >= 4 {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![key])
        } else {
            FindCoordinatorRequest::default().with_key(key)
        };
        // Version 0 knows groups alone, of which nothing is said.
        let request = match kind {
            Coordinated::Group => request,
            Coordinated::Transaction => request.with_key_type(1),
        };
        let answer = node.connection().call(version, &request).await?;
        let what = || match kind {
            Coordinated::Group => format!("finding the coordinator of group {id}"),
            Coordinated::Transaction => format!("finding the coordinator of transactions of {id}"),
        };
        if version < 4 {
            ClientError::check(answer.error_code, answer.error_message.as_deref(), what)?;
            return Ok(Broker {
                id: answer.node_id.0,
                host: answer.host.to_string(),
                port: answer.port,
            });
        }
        let found = answer.coordinators.into_iter().next().ok_or_else(|| {
            ClientError::Invalid("the broker's answer names no coordinator".to_owned())
        })?;
        ClientError::check(found.error_code, found.error_message.as_deref(), what)?;
        Ok(Broker {
            id: found.node_id.0,
            host: found.host.to_string(),
            port: found.port,
        })
    }

    /// Repeats `call` while its error is retriable, with growing pauses, up to the options' limit. Between two tries
    /// all connections and leaders are forgotten, since any of them may be what is wrong.
    pub async fn retry<T>(
        &mut self,
        mut call: impl AsyncFnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = self.retry_deadline();
        let mut pause = self.options.retry_backoff;
        loop {
            match call(self).await {
                Err(error) if error.is_retriable() && Instant::now() + pause < deadline => {
                    tracing::debug!(%error, ?pause, "will try again");
                    self.forget();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_BACKOFF);
                }
                result => return result,
            }
        }
    }

    pub(crate) fn retry_deadline(&self) -> Instant {
        Instant::now() + self.options.retry_timeout
    }

    /// Forgets connections and leaders; the next call finds them anew.
    pub fn forget(&mut self) {
        self.first = None;
        self.nodes.clear();
        self.leaders.clear();
        self.controller_id = None;
    }

    pub(crate) fn remember(&mut self, metadata: &ClusterMetadata) {
        self.addresses = metadata
            .brokers
            .iter()
            .map(|broker| (broker.id, broker.address()))
            .collect();
        self.controller_id =
            Some(metadata.controller_id).filter(|id| self.addresses.contains_key(id));
        for topic in metadata.topics.iter().filter(|t| t.error.is_none()) {
            let leaders = topic
                .partitions
                .iter()
                .map(|partition| (partition.index, partition.leader.unwrap_or(-1)))
                .collect();
            self.leaders.insert(topic.name.clone(), leaders);
        }
    }

    async fn connect_to_any(&self) -> Result<Node, ClientError> {
        let mut last = None;
        // The brokers that metadata named come after the bootstrap list, which may have gone stale.
        for address in self.bootstrap.iter().chain(self.addresses.values()) {
            match Node::connect(address, &self.options.connection).await {
                Ok(node) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Invalid("no bootstrap server is given".to_owned())))
    }
}

/// Adds port 9092 to an address without a port.
fn with_default_port(address: &str) -> String {
    let has_port = match address.rfind(']') {
        Some(end) => address[end..].contains(':'),
        None => address.matches(':').count() == 1,
    };
    if has_port {
        address.to_owned()
    } else {
        join_host_port(address, 9092)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_kafkas() {
        for (given, expected) in [
            ("localhost", "localhost:9092"),
            ("localhost:1", "localhost:1"),
            ("[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:9092"),
            ("::1", "[::1]:9092"),
        ] {
            assert_eq!(with_default_port(given), expected);
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_at_once_and_names_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let error = Client::connect(std::slice::from_ref(&address), ClientOptions::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
    }
}
