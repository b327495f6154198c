//! AddPartitionsToTxn (KIP-98): one transaction of a producer up to version 3; several, or a look at them, from version 4 on.

use ottla_codec::ResponseError;
use ottla_codec::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_codec::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_codec::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use ottla_coordinator::groups::PartitionId;

use crate::context::RequestContext;
use crate::reply::{Later, Reply};
use crate::topics::is_internal;
use crate::transactions::{Asking, asking, told};

/// From this version on a request has several transactions.
const FIRST_OF_BATCHES: i16 = 4;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: AddPartitionsToTxnRequest,
) -> Reply<AddPartitionsToTxnResponse> {
    if ctx.version < FIRST_OF_BATCHES {
        let asking = asking(
            &request.v3_and_below_transactional_id,
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
        );
        let results = add(ctx, &asking, request.v3_and_below_topics);
        return Reply::later(async move {
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.await)
        });
    }
    let results: Vec<_> = request
        .transactions
        .into_iter()
        .map(|transaction| {
            let asking = asking(
                &transaction.transactional_id,
                transaction.producer_id,
                transaction.producer_epoch,
            );
            let topics = match transaction.verify_only {
                true => {
                    let verified = verify(ctx, &asking, &transaction.topics);
                    Box::pin(async move { verified })
                }
                false => add(ctx, &asking, transaction.topics),
            };
            (transaction.transactional_id, topics)
        })
        .collect();
    Reply::later(async move {
        let mut told = Vec::with_capacity(results.len());
        for (id, topics) in results {
            let result = AddPartitionsToTxnResult::default()
                .with_transactional_id(id)
                .with_topic_results(topics.await);
            told.push(result);
        }
        AddPartitionsToTxnResponse::default().with_results_by_transaction(told)
    })
}

/// All of the partitions, or none: then those that are there were not attempted.
fn add(
    ctx: &RequestContext,
    asking: &Asking,
    topics: Vec<AddPartitionsToTxnTopic>,
) -> Later<Vec<AddPartitionsToTxnTopicResult>> {
    let existing = ctx.broker.store.topics();
    let missing = |topic: &AddPartitionsToTxnTopic, partition: i32| {
        let found = existing.by_name(&topic.name);
        is_internal(&topic.name) || found.is_none_or(|t| !(0..t.partitions).contains(&partition))
    };
    let any_missing = topics
        .iter()
        .any(|t| t.partitions.iter().any(|p| missing(t, *p)));
    if any_missing {
        let refused = results(&topics, |topic, partition| {
            match missing(topic, partition) {
                true => ResponseError::UnknownTopicOrPartition.code(),
                false => ResponseError::OperationNotAttempted.code(),
            }
        });
        return Box::pin(async move { refused });
    }
    let partitions = topics.iter().flat_map(ids).collect();
    let groups = &ctx.broker.groups;
    let added = groups.add_partitions_to_transaction(asking, partitions);
    let version = ctx.version;
    Box::pin(async move {
        let code = told(version, added.await);
        results(&topics, |_, _| code)
    })
}

fn verify(
    ctx: &RequestContext,
    asking: &Asking,
    topics: &[AddPartitionsToTxnTopic],
) -> Vec<AddPartitionsToTxnTopicResult> {
    results(topics, |topic, partition| {
        let id = PartitionId {
            topic: topic.name.to_string(),
            partition,
        };
        match ctx.broker.groups.is_in_transaction(asking, &id) {
            Ok(true) => 0,
            Ok(false) => ResponseError::TransactionAbortable.code(),
            Err(error) => error.code(),
        }
    })
}

fn ids(topic: &AddPartitionsToTxnTopic) -> impl Iterator<Item = PartitionId> {
    topic.partitions.iter().map(|partition| PartitionId {
        topic: topic.name.to_string(),
        partition: *partition,
    })
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&AddPartitionsToTxnTopic, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let results = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(code(topic, *partition))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    results.collect()
}
