//! How a client behaves towards a cluster.

use std::time::Duration;

use crate::connection::ConnectionOptions;

/// How a client behaves towards a cluster.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Each connection's options.
    pub connection: ConnectionOptions,
    /// The pause before the first repetition of a failed call; it doubles up to a second.
    pub retry_backoff: Duration,
    /// How long a call is repeated while its error is retriable.
    pub retry_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            connection: ConnectionOptions::default(),
            retry_backoff: Duration::from_millis(50),
            retry_timeout: Duration::from_secs(15),
        }
    }
}
