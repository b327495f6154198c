//! The one mapping from errors of the crates below to codes of the protocol.

use ottla_codec::ResponseError;
use ottla_codec::batch::BatchError;
use ottla_codec::records::RecordError;
use ottla_storage::{AppendError, ReadError, StoreError};

/// A refusal: the protocol's error, and what the client may be told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub error: ResponseError,
    pub message: String,
}

impl Refusal {
    pub fn new(error: ResponseError, message: impl Into<String>) -> Refusal {
        Refusal {
            error,
            message: message.into(),
        }
    }
}

/// A commit that was not kept. Clients retry it.
pub(crate) fn store(_error: &StoreError) -> ResponseError {
    ResponseError::KafkaStorageError
}

/// An append that was refused.
pub(crate) fn append(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Store(e) => store(e),
        AppendError::Deleted => ResponseError::UnknownTopicOrPartition,
        AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
        AppendError::LargerThanSegment { .. } => ResponseError::RecordListTooLarge,
        AppendError::Refused(error) => *error,
    }
}

/// A read that gives nothing.
pub(crate) fn read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
        ReadError::Deleted => ResponseError::UnknownTopicOrPartition,
        ReadError::Corrupt { .. } => ResponseError::CorruptMessage,
        ReadError::Io(_) => ResponseError::KafkaStorageError,
    }
}

/// A batch that a producer sent. Damage on the way (CORRUPT_MESSAGE) is worth a retry, what the producer itself
/// made wrong (INVALID_RECORD) is not.
pub(crate) fn batch(error: &BatchError) -> ResponseError {
    match error {
        BatchError::Truncated { .. } | BatchError::BadLength(_) | BatchError::BadCrc { .. } => {
            ResponseError::CorruptMessage
        }
        BatchError::UnsupportedMagic(_) | BatchError::Invalid(_) => ResponseError::InvalidRecord,
        BatchError::UnknownCompression(_) => ResponseError::UnsupportedCompressionType,
    }
}

/// Records inside a batch that a producer sent.
pub(crate) fn records(error: &RecordError) -> ResponseError {
    match error {
        RecordError::Batch(e) => batch(e),
        RecordError::Compression(_) | RecordError::Malformed { .. } => ResponseError::InvalidRecord,
    }
}

/// Holds a client's idea of the leader epoch against ours (KIP-320). A negative one is no idea.
pub(crate) fn leader_epoch(claimed: i32, current: i32) -> Result<(), ResponseError> {
    match claimed {
        c if c < 0 || c == current => Ok(()),
        c if c < current => Err(ResponseError::FencedLeaderEpoch),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_store_is_an_error_that_clients_retry() {
        for error in [
            StoreError::DiskFull,
            StoreError::Failed("sync".into()),
            StoreError::Closed,
        ] {
            assert!(store(&error).is_retriable());
            assert!(append(&AppendError::Store(error)).is_retriable());
        }
    }

    #[test]
    fn leader_epochs_are_fenced_as_in_kip_320() {
        assert_eq!(leader_epoch(-1, 3), Ok(()));
        assert_eq!(leader_epoch(3, 3), Ok(()));
        assert_eq!(leader_epoch(2, 3), Err(ResponseError::FencedLeaderEpoch));
        assert_eq!(leader_epoch(4, 3), Err(ResponseError::UnknownLeaderEpoch));
    }
}
