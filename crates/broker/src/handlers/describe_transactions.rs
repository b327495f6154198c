//! DescribeTransactions (KIP-664).

use std::collections::BTreeMap;

use ottla_codec::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_codec::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
    TransactionalId,
};
use ottla_codec::{ResponseError, StrBytes};
use ottla_coordinator::transactions::Description;

use crate::context::RequestContext;
use crate::reply::Reply;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: DescribeTransactionsRequest,
) -> Reply<DescribeTransactionsResponse> {
    let ids = request.transactional_ids;
    let found: Vec<_> = ids
        .iter()
        .map(|id| ctx.broker.groups.describe_transaction(id))
        .collect();
    Reply::later(async move {
        let mut states = Vec::with_capacity(ids.len());
        for (id, found) in ids.into_iter().zip(found) {
            states.push(state(id, found.await));
        }
        DescribeTransactionsResponse::default().with_transaction_states(states)
    })
}

fn state(
    id: TransactionalId,
    found: Result<Option<Description>, ResponseError>,
) -> TransactionState {
    let empty = id.is_empty();
    let state = TransactionState::default().with_transactional_id(id);
    match found {
        _ if empty => state.with_error_code(ResponseError::InvalidRequest.code()),
        Err(error) => state.with_error_code(error.code()),
        Ok(None) => state.with_error_code(ResponseError::TransactionalIdNotFound.code()),
        Ok(Some(found)) => state
            .with_transaction_state(StrBytes::from_static_str(found.state.name()))
            .with_transaction_timeout_ms(found.timeout_ms)
            .with_transaction_start_time_ms(found.started_ms)
            .with_producer_id(ProducerId(found.producer.producer_id))
            .with_producer_epoch(found.producer.epoch)
            .with_topics(topics(found)),
    }
}

fn topics(found: Description) -> Vec<TopicData> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for id in found.partitions {
        topics.entry(id.topic).or_default().push(id.partition);
    }
    let data = topics.into_iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic)))
            .with_partitions(partitions)
    });
    data.collect()
}
