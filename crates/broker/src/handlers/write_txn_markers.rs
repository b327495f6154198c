//! WriteTxnMarkers: ends a transaction in single partitions, behind its coordinator. Brokers send it to each other; here it is for
//! `kafka-transactions.sh abort`, which cuts off what hangs.

use ottla_codec::ResponseError;
use ottla_codec::control::Outcome;
use ottla_codec::messages::write_txn_markers_request::WritableTxnMarker;
use ottla_codec::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use ottla_codec::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use ottla_codec::newer::{self, NewerField};
use ottla_storage::Commit;

use crate::context::RequestContext;
use crate::reply::Reply;
use crate::transactions::append_marker;

/// From this `transaction.version` on markers have an epoch of their own (KIP-890).
const BUMPING: u8 = 2;

/// Handles one request.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: WriteTxnMarkersRequest,
) -> Reply<WriteTxnMarkersResponse> {
    let mut commits = Vec::new();
    let markers = request.markers.iter();
    let markers = markers.map(|m| write(ctx, m, &mut commits));
    let mut response = WriteTxnMarkersResponse::default().with_markers(markers.collect());
    let store = ctx.broker.store.clone();
    Reply::later(async move {
        for commit in commits {
            if store.durable(commit).await.is_err() {
                let topics = response.markers.iter_mut().flat_map(|m| &mut m.topics);
                for partition in topics.flat_map(|t| &mut t.partitions) {
                    partition.error_code = ResponseError::KafkaStorageError.code();
                }
                break;
            }
        }
        response
    })
}

fn write(
    ctx: &RequestContext,
    marker: &WritableTxnMarker,
    commits: &mut Vec<Commit>,
) -> WritableTxnMarkerResult {
    let outcome = match marker.transaction_result {
        true => Outcome::Commit,
        false => Outcome::Abort,
    };
    let version = newer::get(
        &marker.unknown_tagged_fields,
        NewerField::TransactionVersion,
    );
    let bumps = version.is_some_and(|version| version.first().is_some_and(|v| *v >= BUMPING));
    let topics = marker.topics.iter().map(|topic| {
        let found = ctx.broker.store.topics().by_name(&topic.name).cloned();
        let partitions = topic.partition_indexes.iter().map(|index| {
            let partition = found
                .as_ref()
                .and_then(|topic| ctx.broker.store.partition(&topic.id, *index));
            let written = partition
                .ok_or(ResponseError::UnknownTopicOrPartition)
                .and_then(|partition| {
                    let producer = (marker.producer_id.0, marker.producer_epoch);
                    let now_ms = ctx.broker.clock.now().wall_ms;
                    append_marker(&partition, producer, outcome, bumps, now_ms)
                });
            let code = match written {
                Ok(commit) => {
                    commits.push(commit);
                    0
                }
                Err(error) => error.code(),
            };
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(*index)
                .with_error_code(code)
        });
        WritableTxnMarkerTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    WritableTxnMarkerResult::default()
        .with_producer_id(marker.producer_id)
        .with_topics(topics.collect())
}
