//! The way of a client: from where it starts to each broker that it is sent to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ottla_client::kafka_protocol::ResponseError;
use ottla_client::kafka_protocol::messages::DescribeConfigsRequest;
use ottla_client::kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_client::kafka_protocol::protocol::StrBytes;
use ottla_client::{ConnectionOptions, Node};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::Address;
use super::peer::{Cluster, Peer, identify};

/// The type of a broker among the resources that have settings.
const BROKER_RESOURCE: i8 = 4;

/// An address, and who answers there.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub address: Address,
    /// By each of the addresses that the name has, in the resolver's order; an error if it has none.
    pub peers: Result<Vec<(IpAddr, Peer)>, String>,
}

impl Place {
    /// The first broker's answer.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.clusters().next()
    }

    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        let peers = self.peers.as_deref().unwrap_or_default();
        peers.iter().filter_map(|(_, peer)| match peer {
            Peer::Kafka(cluster) => Some(cluster),
            _ => None,
        })
    }

    /// The socket of the first broker.
    fn broker(&self) -> Option<SocketAddr> {
        let peers = self.peers.as_deref().unwrap_or_default();
        let (ip, _) = peers
            .iter()
            .find(|(_, peer)| matches!(peer, Peer::Kafka(_)))?;
        Some(SocketAddr::new(*ip, self.address.port))
    }
}

/// A broker that metadata names.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub id: i32,
    pub place: Place,
    /// Who told of it: the place in the list of where clients start.
    pub told_by: usize,
    /// The node id that a broker of another one named; `None` if it is itself, or does not say.
    pub is_another: Option<String>,
}

/// All that was seen.
#[derive(Debug, Clone)]
pub(super) struct Examined {
    pub start: Vec<Place>,
    pub brokers: Vec<Followed>,
}

pub(super) async fn examine(start: &[Address], limit: Duration) -> Examined {
    let start = look_all(start.to_vec(), limit).await;
    let mut told: Vec<(usize, i32, Address)> = Vec::new();
    for (at, place) in start.iter().enumerate() {
        for broker in place.cluster().map(|c| &c.brokers[..]).unwrap_or_default() {
            let known = told
                .iter()
                .any(|(_, id, a)| (*id, a) == (broker.id, &broker.advertised));
            if !known {
                told.push((at, broker.id, broker.advertised.clone()));
            }
        }
    }
    let places = look_all(told.iter().map(|(_, _, a)| a.clone()).collect(), limit).await;
    let mut brokers = Vec::new();
    for ((told_by, id, _), place) in told.into_iter().zip(places) {
        let is_another = match place.broker() {
            Some(at) => is_another(at, id, limit).await,
            None => None,
        };
        brokers.push(Followed {
            id,
            place,
            told_by,
            is_another,
        });
    }
    Examined { start, brokers }
}

/// Looks at all of them at the same time; the answers in their order.
async fn look_all(addresses: Vec<Address>, limit: Duration) -> Vec<Place> {
    let mut looking = JoinSet::new();
    for (n, address) in addresses.into_iter().enumerate() {
        looking.spawn(async move { (n, look(address, limit).await) });
    }
    let mut places = looking.join_all().await;
    places.sort_by_key(|(n, _)| *n);
    places.into_iter().map(|(_, place)| place).collect()
}

async fn look(address: Address, limit: Duration) -> Place {
    if address.is_unspecified() {
        // The system would take it for this machine, which is right by accident only.
        let peers = Err("stands for all interfaces, and is no place to connect to".to_owned());
        return Place { address, peers };
    }
    let ips = match resolve(&address, limit).await {
        Ok(ips) => ips,
        Err(error) => {
            return Place {
                address,
                peers: Err(error),
            };
        }
    };
    let mut asking = JoinSet::new();
    for (n, ip) in ips.into_iter().enumerate() {
        let at = SocketAddr::new(ip, address.port);
        asking.spawn(async move { (n, (ip, identify(at, limit).await)) });
    }
    let mut peers = asking.join_all().await;
    peers.sort_by_key(|(n, _)| *n);
    Place {
        address,
        peers: Ok(peers.into_iter().map(|(_, peer)| peer).collect()),
    }
}

async fn resolve(address: &Address, limit: Duration) -> Result<Vec<IpAddr>, String> {
    let looked_up = tokio::net::lookup_host((address.host.as_str(), address.port));
    let found = match timeout(limit, looked_up).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => return Err("does not resolve here".to_owned()),
        Err(_) => return Err("is not resolved within the time".to_owned()),
    };
    let mut ips = Vec::new();
    for address in found {
        if !ips.contains(&address.ip()) {
            ips.push(address.ip());
        }
    }
    match ips.is_empty() {
        true => Err("has no address here".to_owned()),
        false => Ok(ips),
    }
}

/// Whether another broker than `id` answers: a broker tells its own settings alone, and names the id that it has.
async fn is_another(at: SocketAddr, id: i32, limit: Duration) -> Option<String> {
    let options = ConnectionOptions {
        connect_timeout: limit,
        request_timeout: limit,
        ..ConnectionOptions::default()
    };
    let mut node = Node::connect(&at.to_string(), &options).await.ok()?;
    let one_key = vec![StrBytes::from_static_str("node.id")];
    let resource = DescribeConfigsResource::default()
        .with_resource_type(BROKER_RESOURCE)
        .with_resource_name(StrBytes::from_string(id.to_string()))
        .with_configuration_keys(Some(one_key));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = node.call(&request).await.ok()?;
    let result = answer.results.into_iter().next()?;
    let wrong = result.error_code == ResponseError::InvalidRequest.code();
    wrong.then(|| {
        result
            .error_message
            .map(|m| m.to_string())
            .unwrap_or_default()
    })
}
