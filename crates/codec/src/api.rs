//! The one table of APIs: key, name, versions, message. ApiVersions, dispatch, metrics, the checks of bodies and the
//! documentation derive from it.

use std::ops::RangeInclusive;

use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, Request};

/// What is to be done for an API, whichever it is, with its messages' types: see [`Api::with_request`].
pub trait ForRequest {
    /// What comes of it.
    type Output;

    /// Does it for the API whose request is `R`.
    fn run<R>(self) -> Self::Output
    where
        R: Request + Decodable + Encodable,
        R::Response: Decodable + Encodable;
}

macro_rules! api_table {
    ($( $name:ident = $key:literal, $min:literal ..= $max:literal, $request:ident $(, advertise $adv:literal)? ; )*) => {
        /// An API that Ottla implements. An API that is not here is answered by closing the connection,
        /// as Kafka does, since the shape of an answer is not known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum Api { $(
            #[doc = concat!("API key ", $key, ", versions ", $min, " to ", $max, ".")]
            $name = $key,
        )* }

        // A row's message is the one of its key.
        $( const _: () = assert!(<messages::$request as Request>::KEY == $key); )*

        impl Api {
            /// Every API, in the order of its key.
            pub const ALL: &'static [Api] = &[$(Api::$name),*];

            /// The API of this key, if it is implemented.
            pub fn from_key(key: i16) -> Option<Api> {
                match key { $( $key => Some(Api::$name), )* _ => None }
            }

            /// The protocol's name of the API, as in `Produce`.
            pub fn name(self) -> &'static str {
                match self { $( Api::$name => stringify!($name), )* }
            }

            /// The versions that are implemented.
            pub fn versions(self) -> RangeInclusive<i16> {
                match self { $( Api::$name => $min..=$max, )* }
            }

            /// Runs `work` with the type of this API's request.
            pub fn with_request<W: ForRequest>(self, work: W) -> W::Output {
                match self { $( Api::$name => work.run::<messages::$request>(), )* }
            }

            /// The lowest version that ApiVersions shows. It is below [`Api::versions`] for Produce alone:
            /// librdkafka before 2.x takes a broker without Produce 0 for one without message format v2
            /// (KAFKA-18659); a request in such a version is answered UNSUPPORTED_VERSION.
            pub fn advertised_min(self) -> i16 {
                match self { $( Api::$name => { #[allow(unused_mut, unused_assignments)] let mut m = $min; $( m = $adv; )? m } )* }
            }
        }
    };
}

api_table! {
    Produce = 0, 3..=13, ProduceRequest, advertise 0;
    Fetch = 1, 4..=18, FetchRequest;
    ListOffsets = 2, 1..=11, ListOffsetsRequest;
    Metadata = 3, 0..=13, MetadataRequest;
    OffsetCommit = 8, 2..=10, OffsetCommitRequest;
    OffsetFetch = 9, 1..=10, OffsetFetchRequest;
    FindCoordinator = 10, 0..=6, FindCoordinatorRequest;
    JoinGroup = 11, 0..=9, JoinGroupRequest;
    Heartbeat = 12, 0..=4, HeartbeatRequest;
    LeaveGroup = 13, 0..=5, LeaveGroupRequest;
    SyncGroup = 14, 0..=5, SyncGroupRequest;
    DescribeGroups = 15, 0..=6, DescribeGroupsRequest;
    ListGroups = 16, 0..=5, ListGroupsRequest;
    ApiVersions = 18, 0..=4, ApiVersionsRequest;
    CreateTopics = 19, 2..=7, CreateTopicsRequest;
    DeleteTopics = 20, 1..=6, DeleteTopicsRequest;
    DeleteRecords = 21, 0..=2, DeleteRecordsRequest;
    InitProducerId = 22, 0..=5, InitProducerIdRequest;
    OffsetForLeaderEpoch = 23, 2..=4, OffsetForLeaderEpochRequest;
    AddPartitionsToTxn = 24, 0..=5, AddPartitionsToTxnRequest;
    AddOffsetsToTxn = 25, 0..=4, AddOffsetsToTxnRequest;
    EndTxn = 26, 0..=5, EndTxnRequest;
    WriteTxnMarkers = 27, 1..=2, WriteTxnMarkersRequest;
    TxnOffsetCommit = 28, 0..=5, TxnOffsetCommitRequest;
    DescribeAcls = 29, 1..=3, DescribeAclsRequest;
    CreateAcls = 30, 1..=3, CreateAclsRequest;
    DeleteAcls = 31, 1..=3, DeleteAclsRequest;
    DescribeConfigs = 32, 1..=4, DescribeConfigsRequest;
    AlterConfigs = 33, 0..=2, AlterConfigsRequest;
    AlterReplicaLogDirs = 34, 1..=2, AlterReplicaLogDirsRequest;
    DescribeLogDirs = 35, 1..=5, DescribeLogDirsRequest;
    CreatePartitions = 37, 0..=3, CreatePartitionsRequest;
    DeleteGroups = 42, 0..=2, DeleteGroupsRequest;
    ElectLeaders = 43, 0..=2, ElectLeadersRequest;
    IncrementalAlterConfigs = 44, 0..=1, IncrementalAlterConfigsRequest;
    AlterPartitionReassignments = 45, 0..=1, AlterPartitionReassignmentsRequest;
    ListPartitionReassignments = 46, 0..=0, ListPartitionReassignmentsRequest;
    OffsetDelete = 47, 0..=0, OffsetDeleteRequest;
    DescribeQuorum = 55, 0..=2, DescribeQuorumRequest;
    UpdateFeatures = 57, 0..=2, UpdateFeaturesRequest;
    DescribeCluster = 60, 0..=2, DescribeClusterRequest;
    DescribeProducers = 61, 0..=0, DescribeProducersRequest;
    UnregisterBroker = 64, 0..=0, UnregisterBrokerRequest;
    DescribeTransactions = 65, 0..=0, DescribeTransactionsRequest;
    ListTransactions = 66, 0..=2, ListTransactionsRequest;
    GetTelemetrySubscriptions = 71, 0..=0, GetTelemetrySubscriptionsRequest;
    PushTelemetry = 72, 0..=0, PushTelemetryRequest;
    ListConfigResources = 74, 0..=1, ListConfigResourcesRequest;
    DescribeTopicPartitions = 75, 0..=0, DescribeTopicPartitionsRequest;
}
