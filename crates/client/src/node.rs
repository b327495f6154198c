//! A connection whose broker's versions are known: every call goes out in the highest version that both sides speak.

use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Message, Request, StrBytes};

use crate::connection::{Connection, ConnectionOptions, api_name};
use crate::error::ClientError;

/// The error that a broker answers to a version of ApiVersions that it does not know (KIP-511).
const UNSUPPORTED_VERSION: i16 = 35;

/// A connection with negotiated versions.
#[derive(Debug)]
pub struct Node {
    connection: Connection,
    /// Lowest and highest version by API key.
    versions: HashMap<i16, (i16, i16)>,
}

impl Node {
    /// Connects to `host:port` and asks for the broker's versions.
    pub async fn connect(address: &str, options: &ConnectionOptions) -> Result<Node, ClientError> {
        let mut connection = Connection::connect_with(address, options.clone()).await?;
        let answer = negotiate(&mut connection).await?;
        let versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(Node {
            connection,
            versions,
        })
    }

    /// The connection's address.
    pub fn address(&self) -> &str {
        self.connection.address()
    }

    /// What the broker speaks: lowest and highest version by API key.
    pub fn versions(&self) -> &HashMap<i16, (i16, i16)> {
        &self.versions
    }

    /// The highest version of `R` that both sides speak.
    pub fn version<R: Request>(&self) -> Result<i16, ClientError> {
        self.version_up_to::<R>(i16::MAX)
    }

    /// The highest version of `R` that both sides speak and that is not above `ceiling`.
    pub fn version_up_to<R: Request>(&self, ceiling: i16) -> Result<i16, ClientError> {
        let ours = <R as Message>::VERSIONS;
        self.versions
            .get(&R::KEY)
            .and_then(|theirs| highest_common((ours.min, ours.max.min(ceiling)), *theirs))
            .ok_or_else(|| ClientError::UnsupportedApi {
                address: self.address().to_owned(),
                api: api_name::<R>(),
            })
    }

    /// Calls in the highest common version.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.version::<R>()?;
        self.connection.call(version, request).await
    }

    /// As [`call`](Node::call), for a request that waits at the broker for up to `wait`.
    pub async fn call_waiting<R: Request>(
        &mut self,
        wait: Duration,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let version = self.version::<R>()?;
        let limit = wait + Duration::from_secs(30);
        self.connection.call_within(limit, version, request).await
    }

    /// The connection below, for pipelining and for versions of one's own choice.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

async fn negotiate(connection: &mut Connection) -> Result<ApiVersionsResponse, ClientError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("ottla"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let newest = ApiVersionsRequest::VERSIONS.max;
    let mut answer = connection.call(newest, &request).await?;
    if answer.error_code == UNSUPPORTED_VERSION {
        answer = connection.call(0, &ApiVersionsRequest::default()).await?;
    }
    ClientError::check(answer.error_code, None, || {
        "asking for the supported versions".to_owned()
    })?;
    Ok(answer)
}

fn highest_common(ours: (i16, i16), theirs: (i16, i16)) -> Option<i16> {
    let highest = ours.1.min(theirs.1);
    (highest >= ours.0.max(theirs.0)).then_some(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_of_both_is_taken_and_none_if_they_do_not_meet() {
        for (ours, theirs, expected) in [
            ((3, 13), (0, 9), Some(9)),
            ((3, 13), (5, 20), Some(13)),
            ((3, 13), (0, 2), None),
            ((0, 1), (4, 6), None),
            ((2, 2), (2, 2), Some(2)),
        ] {
            assert_eq!(highest_common(ours, theirs), expected);
        }
    }
}
