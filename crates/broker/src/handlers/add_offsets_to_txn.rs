//! AddOffsetsToTxn (KIP-98): a group's offsets will be part of the transaction.

use ottla_codec::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::transactions::{asking, told};

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AddOffsetsToTxnRequest,
) -> Reply<AddOffsetsToTxnResponse> {
    let asking = asking(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let added = ctx
        .broker
        .groups
        .add_group_to_transaction(&asking, &request.group_id);
    let version = ctx.version;
    Reply::later(async move {
        AddOffsetsToTxnResponse::default().with_error_code(told(version, added.await))
    })
}
