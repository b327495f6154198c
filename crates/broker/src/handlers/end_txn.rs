//! EndTxn (KIP-98, KIP-890): commits or aborts, and answers when that is durable.

use ottla_codec::control::Outcome;
use ottla_codec::messages::{EndTxnRequest, EndTxnResponse, ProducerId};
use ottla_coordinator::transactions::TransactionVersion;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::transactions::{asking, told};

/// From this version on an end bumps the producer's epoch.
const FIRST_WITH_BUMPS: i16 = 5;

/// Handles one request.
pub(crate) fn handle(ctx: &RequestContext, request: EndTxnRequest) -> Reply<EndTxnResponse> {
    let version = ctx.version;
    let asking = asking(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let outcome = match request.committed {
        true => Outcome::Commit,
        false => Outcome::Abort,
    };
    let rules = match version {
        FIRST_WITH_BUMPS.. => TransactionVersion::V2,
        _ => TransactionVersion::V1,
    };
    let ended = ctx.broker.groups.end_transaction(&asking, outcome, rules);
    Reply::later(async move {
        let ended = ended.await;
        let response = EndTxnResponse::default();
        match &ended {
            Ok(next) => response
                .with_producer_id(ProducerId(next.producer_id))
                .with_producer_epoch(next.epoch),
            Err(_) => response.with_error_code(told(version, ended)),
        }
    })
}
