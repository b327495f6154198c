//! What can go wrong between a program and a broker.

use std::fmt;
use std::time::Duration;

use kafka_protocol::ResponseError;

/// An error code from a broker; shown by the protocol's name, as in `UNKNOWN_TOPIC_OR_PARTITION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerError(pub ResponseError);

impl BrokerError {
    /// `Ok` for code 0.
    pub fn check(code: i16) -> Result<(), BrokerError> {
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(error) => Err(BrokerError(error)),
        }
    }

    /// The code on the wire.
    pub fn code(self) -> i16 {
        self.0.code()
    }

    /// Whether the protocol says that the same request may succeed later.
    pub fn is_retriable(self) -> bool {
        self.0.is_retriable()
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ResponseError::Unknown(code) = self.0 {
            return write!(f, "UNKNOWN_ERROR_CODE_{code}");
        }
        let name = format!("{:?}", self.0);
        for (index, letter) in name.chars().enumerate() {
            if letter.is_uppercase() && index > 0 {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

impl std::error::Error for BrokerError {}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ClientError {
    #[error("cannot connect to {address}: {source}")]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("connection to {address} failed: {source}")]
    Io {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{address} closed the connection")]
    Closed { address: String },
    #[error("{address} did not answer within {after:?}")]
    Timeout { address: String, after: Duration },
    #[error("{address} sent a frame of {length} bytes; the limit is {limit}")]
    BadFrame {
        address: String,
        length: i64,
        limit: usize,
    },
    #[error("{address} answered request {got} where {expected} was due")]
    OutOfOrder {
        address: String,
        expected: i32,
        got: i32,
    },
    #[error("cannot encode {api} version {version}: {reason}")]
    Encode {
        api: &'static str,
        version: i16,
        reason: String,
    },
    #[error("cannot decode the answer to {api} version {version}: {reason}")]
    Decode {
        api: &'static str,
        version: i16,
        reason: String,
    },
    #[error(
        "the broker at {address} does not support {api} in any version that this client speaks"
    )]
    UnsupportedApi { address: String, api: &'static str },
    /// An error code, what was asked, and the broker's own words if it had any.
    #[error("{what}: {error}{}", .message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Broker {
        what: String,
        error: BrokerError,
        message: Option<String>,
    },
    #[error("records of {partition} at offset {offset} cannot be read: {reason}")]
    BadRecords {
        partition: String,
        offset: i64,
        reason: String,
    },
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// The broker's error code, if it was the broker that refused.
    pub fn broker_error(&self) -> Option<ResponseError> {
        match self {
            ClientError::Broker { error, .. } => Some(error.0),
            _ => None,
        }
    }

    /// Whether the same call may succeed later, on a new connection or from another broker.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::Io { .. }
            | ClientError::Closed { .. }
            | ClientError::Timeout { .. } => true,
            ClientError::Broker { error, .. } => error.is_retriable(),
            _ => false,
        }
    }

    /// Builds the `Broker` variant from a code, or `Ok` for code 0. `what` is made only on failure.
    pub(crate) fn check(
        code: i16,
        message: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Result<(), ClientError> {
        BrokerError::check(code).map_err(|error| ClientError::Broker {
            what: what(),
            error,
            message: message.filter(|m| !m.is_empty()).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_shown_by_the_protocols_name() {
        assert_eq!(
            BrokerError(ResponseError::UnknownTopicOrPartition).to_string(),
            "UNKNOWN_TOPIC_OR_PARTITION"
        );
        assert_eq!(
            BrokerError(ResponseError::Unknown(999)).to_string(),
            "UNKNOWN_ERROR_CODE_999"
        );
        assert!(BrokerError::check(0).is_ok());
    }
}
