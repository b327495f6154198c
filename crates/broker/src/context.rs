//! What a handler knows of the request beside its body.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use ottla_codec::StrBytes;
use ottla_codec::api::Api;

use crate::client_software::ClientSoftware;
use crate::state::BrokerState;

/// Who sends a request. Authentication comes with security; the seam is here, so that every request has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal(pub Arc<str>);

impl Principal {
    /// `User:ANONYMOUS`, as Kafka names the user of an unauthenticated connection.
    pub fn anonymous() -> Principal {
        Principal(Arc::from("User:ANONYMOUS"))
    }
}

/// A connection, as requests see it.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Unique in this process.
    pub id: u64,
    /// The peer.
    pub peer: SocketAddr,
    /// The listener's name: decides which address Metadata advertises.
    pub listener: Arc<str>,
    /// What the client runs on, once it has said so in ApiVersions (KIP-511).
    pub software: OnceLock<ClientSoftware>,
    /// Whether it has asked for metadata.
    pub has_asked_metadata: AtomicBool,
    /// Whether it has asked for a group's coordinator.
    pub has_asked_coordinator: AtomicBool,
}

impl ConnectionInfo {
    /// One that has sent nothing yet.
    pub fn new(id: u64, peer: SocketAddr, listener: Arc<str>) -> ConnectionInfo {
        ConnectionInfo {
            id,
            peer,
            listener,
            software: OnceLock::new(),
            has_asked_metadata: AtomicBool::new(false),
            has_asked_coordinator: AtomicBool::new(false),
        }
    }
}

impl RequestContext {
    /// What all requests of a connection have in common; the rest is set for each.
    pub fn new(broker: Arc<BrokerState>, connection: Arc<ConnectionInfo>) -> RequestContext {
        RequestContext {
            broker,
            connection,
            api: Api::ApiVersions,
            version: 0,
            correlation_id: 0,
            client_id: None,
            principal: Principal::anonymous(),
        }
    }

    /// Who asks, for people: client id and address.
    pub fn client_name(&self) -> String {
        let id = self.client_id.as_deref().unwrap_or_default();
        format!("{id} /{}", self.connection.peer.ip())
            .trim_start()
            .to_owned()
    }
}

/// A request's surroundings.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// The broker.
    pub broker: Arc<BrokerState>,
    /// The connection.
    pub connection: Arc<ConnectionInfo>,
    /// The API.
    pub api: Api,
    /// Its version, one that [`Api::versions`] has.
    pub version: i16,
    /// Echoed in the response.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<StrBytes>,
    /// Who asks.
    #[expect(dead_code, reason = "authorisation comes with security")]
    pub principal: Principal,
}
