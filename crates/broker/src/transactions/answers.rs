//! What handlers of transactions share: who asks, and how errors are told to clients of different ages.

use ottla_codec::ResponseError;
use ottla_codec::messages::{ProducerId, TransactionalId};
use ottla_coordinator::transactions::ProducerEpoch;

use super::Asking;

/// From this version on clients know PRODUCER_FENCED in AddPartitionsToTxn, AddOffsetsToTxn and EndTxn (KIP-588).
const FIRST_OF_FENCED: i16 = 2;

/// Who asks.
pub(crate) fn asking(id: &TransactionalId, producer_id: ProducerId, epoch: i16) -> Asking {
    Asking {
        transactional_id: id.to_string(),
        producer: ProducerEpoch {
            producer_id: producer_id.0,
            epoch,
        },
    }
}

/// The code of an answer that has but one.
pub(crate) fn told<T>(version: i16, result: Result<T, ResponseError>) -> i16 {
    match result {
        Ok(_) => 0,
        Err(error) => fencing(error, version >= FIRST_OF_FENCED).code(),
    }
}

/// PRODUCER_FENCED for those who know it, INVALID_PRODUCER_EPOCH for the others.
pub(crate) fn fencing(error: ResponseError, knows_fenced: bool) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if !knows_fenced => ResponseError::InvalidProducerEpoch,
        error => error,
    }
}

/// Why a batch or an offset is not taken into a transaction. A producer that is fenced hears so from its coordinator; what is not part
/// of a transaction can be aborted, and is told so to those who know the error.
pub(crate) fn refusal_of_write(error: ResponseError, knows_abortable: bool) -> ResponseError {
    match error {
        ResponseError::InvalidTxnState if knows_abortable => ResponseError::TransactionAbortable,
        error => fencing(error, false),
    }
}
