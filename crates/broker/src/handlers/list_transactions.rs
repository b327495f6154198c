//! ListTransactions (KIP-664).

use ottla_codec::messages::list_transactions_response::TransactionState;
use ottla_codec::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::transactions::Filter;

use crate::context::RequestContext;
use crate::re2;
use crate::reply::Reply;

/// The states that may be asked for; those that a transaction is never in here are known all the same.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
    "Dead",
];

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: ListTransactionsRequest,
) -> Reply<ListTransactionsResponse> {
    let pattern = request.transactional_id_pattern.as_deref();
    let pattern = match pattern.filter(|pattern| !pattern.is_empty()) {
        None => None,
        Some(pattern) => match re2::whole(pattern) {
            Ok(pattern) => Some(pattern),
            Err(_) => {
                let error = ResponseError::InvalidRegularExpression;
                return Reply::Now(
                    ListTransactionsResponse::default().with_error_code(error.code()),
                );
            }
        },
    };
    let (known, unknown): (Vec<StrBytes>, Vec<StrBytes>) = request
        .state_filters
        .into_iter()
        .partition(|state| STATES.contains(&&**state));
    if known.is_empty() && !unknown.is_empty() {
        // Nothing is in a state that is not known.
        return Reply::Now(ListTransactionsResponse::default().with_unknown_state_filters(unknown));
    }
    let filter = Filter {
        states: known.iter().map(|state| state.to_string()).collect(),
        producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
        longer_than_ms: request.duration_filter,
    };
    let listed = ctx.broker.groups.list_transactions(&filter);
    Reply::later(async move {
        let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
        match listed.await {
            Err(error) => response.with_error_code(error.code()),
            Ok(listed) => {
                let listed = listed.into_iter().filter(|one| {
                    let pattern = pattern.as_ref();
                    pattern.is_none_or(|pattern| pattern.is_match(&one.transactional_id))
                });
                let states = listed.map(|one| {
                    TransactionState::default()
                        .with_transactional_id(TransactionalId(StrBytes::from_string(
                            one.transactional_id,
                        )))
                        .with_producer_id(ProducerId(one.producer_id))
                        .with_transaction_state(StrBytes::from_static_str(one.state.name()))
                });
                response.with_transaction_states(states.collect())
            }
        }
    })
}
