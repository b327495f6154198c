//! Who answers at an address: a broker, or something else that listens there.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use ottla_client::kafka_protocol::messages::MetadataRequest;
use ottla_client::{ClientError, ConnectionOptions, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::Address;

/// A broker, as metadata has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broker {
    pub id: i32,
    pub advertised: Address,
}

/// What a broker says of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    pub id: Option<String>,
    pub brokers: Vec<Broker>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    Kafka(Cluster),
    /// It speaks the protocol, but does not serve clients.
    Controller,
    /// It speaks the protocol, and wants to know first who asks.
    Sasl,
    Tls,
    Http,
    /// The beginning of what it says.
    Other(String),
    Silent,
    Closes,
    Refuses,
    /// No connection within the time.
    Unanswered,
    Unreachable(String),
}

/// A request of ApiVersions, version 0, which every broker of the protocol answers.
const API_VERSIONS: &[u8] = &[
    0, 0, 0, 15, 0, 18, 0, 0, 0, 0, 0, 1, 0, 5, b'o', b't', b't', b'l', b'a',
];

/// A ClientHello of TLS 1.2 with three common cipher suites. Any answer to it will do, a refusal too.
const CLIENT_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 49, // a handshake's record
    1, 0, 0, 45, 3, 3, // ClientHello, 45 bytes, TLS 1.2
    0x6f, 0x74, 0x74, 0x6c, 0x61, 0x20, 0x64, 0x6f, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x61, 0x73,
    0x6b, // 32 bytes of the client
    0x73, 0x20, 0x77, 0x68, 0x6f, 0x20, 0x69, 0x73, 0x20, 0x74, 0x68, 0x65, 0x72, 0x65, 0x2e,
    0x2e, //
    0,    // no session
    0, 6, 0xc0, 0x2f, 0xc0, 0x30, 0, 0x9c, // cipher suites
    1, 0, // no compression
];

const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Finds out who answers; each step takes at most `limit`.
pub(super) async fn identify(at: SocketAddr, limit: Duration) -> Peer {
    let options = ConnectionOptions {
        connect_timeout: limit,
        request_timeout: limit,
        // Enough for any cluster's brokers.
        max_frame_bytes: 16 << 20,
        ..ConnectionOptions::default()
    };
    let mut node = match Node::connect(&at.to_string(), &options).await {
        Ok(node) => node,
        Err(ClientError::Connect { source, .. }) => return not_connected(&source),
        Err(_) => return something_else(at, limit).await,
    };
    if node.version::<MetadataRequest>().is_err() {
        return Peer::Controller;
    }
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    match node.call(&request).await {
        Ok(answer) => Peer::Kafka(Cluster {
            id: answer.cluster_id.map(|id| id.to_string()),
            brokers: answer
                .brokers
                .iter()
                .map(|broker| Broker {
                    id: broker.node_id.0,
                    advertised: Address {
                        host: broker.host.to_string(),
                        port: u16::try_from(broker.port).unwrap_or_default(),
                    },
                })
                .collect(),
        }),
        // A listener with SASL answers ApiVersions, and ends what asks more without a name.
        Err(ClientError::Closed { .. } | ClientError::Io { .. }) => Peer::Sasl,
        Err(ClientError::Timeout { .. }) => Peer::Silent,
        Err(error) => Peer::Other(error.to_string()),
    }
}

fn not_connected(error: &std::io::Error) -> Peer {
    match error.kind() {
        ErrorKind::ConnectionRefused => Peer::Refuses,
        ErrorKind::TimedOut => Peer::Unanswered,
        _ => Peer::Unreachable(error.to_string()),
    }
}

/// Asks in other languages.
async fn something_else(at: SocketAddr, limit: Duration) -> Peer {
    let first = ask(at, API_VERSIONS, limit).await;
    if let Answer::Bytes(bytes) = &first {
        return speaker(bytes).unwrap_or_else(|| Peer::Other(beginning(bytes)));
    }
    for question in [CLIENT_HELLO, HTTP_REQUEST] {
        if let Answer::Bytes(bytes) = ask(at, question, limit).await
            && let Some(peer) = speaker(&bytes)
        {
            return peer;
        }
    }
    match first {
        Answer::Closed => Peer::Closes,
        _ => Peer::Silent,
    }
}

enum Answer {
    Bytes(Vec<u8>),
    Closed,
    Nothing,
}

async fn ask(at: SocketAddr, question: &[u8], limit: Duration) -> Answer {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(question).await?;
        let mut answer = vec![0; 64];
        let count = stream.read(&mut answer).await?;
        answer.truncate(count);
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(limit, asked).await {
        Ok(Ok(bytes)) if !bytes.is_empty() => Answer::Bytes(bytes),
        Ok(_) => Answer::Closed,
        Err(_) => Answer::Nothing,
    }
}

/// Who begins like that: a record of TLS (a handshake or an alert), or HTTP.
fn speaker(bytes: &[u8]) -> Option<Peer> {
    match bytes {
        [0x15 | 0x16, 3, ..] => Some(Peer::Tls),
        [b'H', b'T', b'T', b'P', b'/', ..] => Some(Peer::Http),
        _ => None,
    }
}

fn beginning(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(32)
        .copied()
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect()
}

impl Peer {
    /// For people; follows an address.
    pub(super) fn describe(&self) -> String {
        match self {
            Peer::Kafka(cluster) => {
                let id = cluster.id.as_deref().unwrap_or("without an id");
                match cluster.brokers.len() {
                    1 => format!("is a broker of cluster {id}"),
                    count => format!("is a broker of cluster {id}, which has {count}"),
                }
            }
            Peer::Controller => "is a controller, which serves no clients".to_owned(),
            Peer::Sasl => "wants clients to authenticate (SASL)".to_owned(),
            Peer::Tls => "speaks TLS".to_owned(),
            Peer::Http => "speaks HTTP, not Kafka's protocol".to_owned(),
            Peer::Other(what) => format!("does not speak Kafka's protocol; it says {what}"),
            Peer::Silent => "takes connections and says nothing".to_owned(),
            Peer::Closes => "takes connections and closes them at once".to_owned(),
            Peer::Refuses => "refuses connections".to_owned(),
            Peer::Unanswered => "does not answer".to_owned(),
            Peer::Unreachable(why) => format!("cannot be reached: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_has_the_lengths_that_it_claims() {
        assert_eq!(CLIENT_HELLO.len(), 5 + 49);
        assert_eq!(usize::from(CLIENT_HELLO[4]), CLIENT_HELLO.len() - 5);
        assert_eq!(usize::from(CLIENT_HELLO[8]), CLIENT_HELLO.len() - 9);
        assert_eq!(usize::from(API_VERSIONS[3]), API_VERSIONS.len() - 4);
    }
}
