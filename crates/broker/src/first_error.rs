//! The first error code of an answer, for the metrics. The dispatcher asks it of every answer, so that an API cannot be
//! added without saying where its errors are.

use ottla_codec::fetch::FetchResponse as WireFetchResponse;
use ottla_codec::messages::*;

/// An answer, as the metrics see it.
pub(crate) trait FirstError {
    /// The first error code that is not 0; 0 if there is none.
    fn first_error(&self) -> i16;
}

fn first(codes: impl IntoIterator<Item = i16>) -> i16 {
    codes.into_iter().find(|code| *code != 0).unwrap_or(0)
}

macro_rules! first_errors {
    ($($response:ty: |$r:ident| $codes:expr;)*) => { $(
        impl FirstError for $response {
            fn first_error(&self) -> i16 {
                let $r = self;
                first($codes)
            }
        }
    )* };
}

impl<F> FirstError for WireFetchResponse<F> {
    fn first_error(&self) -> i16 {
        let partitions = self.topics.iter().flat_map(|t| &t.partitions);
        first(
            [self.error_code]
                .into_iter()
                .chain(partitions.map(|p| p.error_code)),
        )
    }
}

first_errors! {
    ProduceResponse: |r| r.responses.iter().flat_map(|t| &t.partition_responses).map(|p| p.error_code);
    ListOffsetsResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    MetadataResponse: |r| r.topics.iter().map(|t| t.error_code);
    OffsetCommitResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    OffsetFetchResponse: |r| {
        let groups = r.groups.iter().flat_map(|g| {
            let partitions = g.topics.iter().flat_map(|t| &t.partitions);
            [g.error_code].into_iter().chain(partitions.map(|p| p.error_code))
        });
        let partitions = r.topics.iter().flat_map(|t| &t.partitions);
        [r.error_code].into_iter().chain(partitions.map(|p| p.error_code)).chain(groups)
    };
    FindCoordinatorResponse: |r| [r.error_code].into_iter().chain(r.coordinators.iter().map(|c| c.error_code));
    JoinGroupResponse: |r| [r.error_code];
    HeartbeatResponse: |r| [r.error_code];
    LeaveGroupResponse: |r| [r.error_code].into_iter().chain(r.members.iter().map(|m| m.error_code));
    SyncGroupResponse: |r| [r.error_code];
    DescribeGroupsResponse: |r| r.groups.iter().map(|g| g.error_code);
    ListGroupsResponse: |r| [r.error_code];
    ApiVersionsResponse: |r| [r.error_code];
    CreateTopicsResponse: |r| r.topics.iter().map(|t| t.error_code);
    DeleteTopicsResponse: |r| r.responses.iter().map(|t| t.error_code);
    DeleteRecordsResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    InitProducerIdResponse: |r| [r.error_code];
    OffsetForLeaderEpochResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    DescribeAclsResponse: |r| [r.error_code];
    CreateAclsResponse: |r| r.results.iter().map(|c| c.error_code);
    DeleteAclsResponse: |r| r.filter_results.iter().map(|f| f.error_code);
    DescribeConfigsResponse: |r| r.results.iter().map(|c| c.error_code);
    AlterConfigsResponse: |r| r.responses.iter().map(|c| c.error_code);
    IncrementalAlterConfigsResponse: |r| r.responses.iter().map(|c| c.error_code);
    DescribeLogDirsResponse: |r| [r.error_code].into_iter().chain(r.results.iter().map(|d| d.error_code));
    CreatePartitionsResponse: |r| r.results.iter().map(|t| t.error_code);
    DeleteGroupsResponse: |r| r.results.iter().map(|g| g.error_code);
    OffsetDeleteResponse: |r| {
        let partitions = r.topics.iter().flat_map(|t| &t.partitions);
        [r.error_code].into_iter().chain(partitions.map(|p| p.error_code))
    };
    DescribeClusterResponse: |r| [r.error_code];
    ElectLeadersResponse: |r| {
        let partitions = r.replica_election_results.iter().flat_map(|t| &t.partition_result);
        [r.error_code].into_iter().chain(partitions.map(|p| p.error_code))
    };
    AlterPartitionReassignmentsResponse: |r| {
        let partitions = r.responses.iter().flat_map(|t| &t.partitions);
        [r.error_code].into_iter().chain(partitions.map(|p| p.error_code))
    };
    ListPartitionReassignmentsResponse: |r| [r.error_code];
    AlterReplicaLogDirsResponse: |r| r.results.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    DescribeQuorumResponse: |r| {
        let partitions = r.topics.iter().flat_map(|t| &t.partitions);
        [r.error_code].into_iter().chain(partitions.map(|p| p.error_code))
    };
    UpdateFeaturesResponse: |r| [r.error_code].into_iter().chain(r.results.iter().map(|f| f.error_code));
    GetTelemetrySubscriptionsResponse: |r| [r.error_code];
    PushTelemetryResponse: |r| [r.error_code];
    UnregisterBrokerResponse: |r| [r.error_code];
    AddPartitionsToTxnResponse: |r| {
        let transactions = r.results_by_transaction.iter().flat_map(|t| &t.topic_results);
        let topics = r.results_by_topic_v3_and_below.iter().chain(transactions);
        let partitions = topics.flat_map(|t| &t.results_by_partition);
        [r.error_code].into_iter().chain(partitions.map(|p| p.partition_error_code))
    };
    AddOffsetsToTxnResponse: |r| [r.error_code];
    EndTxnResponse: |r| [r.error_code];
    WriteTxnMarkersResponse: |r| {
        let topics = r.markers.iter().flat_map(|m| &m.topics);
        topics.flat_map(|t| &t.partitions).map(|p| p.error_code)
    };
    TxnOffsetCommitResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    DescribeProducersResponse: |r| r.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    DescribeTransactionsResponse: |r| r.transaction_states.iter().map(|t| t.error_code);
    ListTransactionsResponse: |r| [r.error_code];
    ListConfigResourcesResponse: |r| [r.error_code];
    DescribeTopicPartitionsResponse: |r| {
        r.topics.iter().flat_map(|t| [t.error_code].into_iter().chain(t.partitions.iter().map(|p| p.error_code)))
    };
}

#[cfg(test)]
mod tests {
    use ottla_codec::messages::offset_fetch_response::OffsetFetchResponseGroup;

    use super::*;

    #[test]
    fn the_first_error_is_found_at_any_level() {
        assert_eq!(OffsetFetchResponse::default().first_error(), 0);
        let groups = vec![
            OffsetFetchResponseGroup::default(),
            OffsetFetchResponseGroup::default().with_error_code(16),
        ];
        let response = OffsetFetchResponse::default().with_groups(groups);
        assert_eq!(response.first_error(), 16);
        assert_eq!(response.with_error_code(15).first_error(), 15);
    }
}
