//! The one table of APIs: key, name, versions. ApiVersions, dispatch, metrics and the documentation derive from it.

use std::ops::RangeInclusive;

macro_rules! api_table {
    ($( $name:ident = $key:literal, $min:literal ..= $max:literal $(, advertise $adv:literal)? ; )*) => {
        /// An API that Ottla implements. An API that is not here is answered by closing the connection,
        /// as Kafka does, since the shape of an answer is not known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum Api { $(
            #[doc = concat!("API key ", $key, ", versions ", $min, " to ", $max, ".")]
            $name = $key,
        )* }

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
    Produce = 0, 3..=13, advertise 0;
    Fetch = 1, 4..=18;
    ListOffsets = 2, 1..=10;
    Metadata = 3, 0..=13;
    OffsetCommit = 8, 2..=9;
    OffsetFetch = 9, 1..=9;
    FindCoordinator = 10, 0..=6;
    JoinGroup = 11, 0..=9;
    Heartbeat = 12, 0..=4;
    LeaveGroup = 13, 0..=5;
    SyncGroup = 14, 0..=5;
    DescribeGroups = 15, 0..=6;
    ListGroups = 16, 0..=5;
    ApiVersions = 18, 0..=4;
    CreateTopics = 19, 2..=7;
    DeleteTopics = 20, 1..=6;
    DeleteRecords = 21, 0..=2;
    InitProducerId = 22, 0..=5;
    OffsetForLeaderEpoch = 23, 2..=4;
    DescribeConfigs = 32, 1..=4;
    AlterConfigs = 33, 0..=2;
    DescribeLogDirs = 35, 1..=4;
    CreatePartitions = 37, 0..=3;
    DeleteGroups = 42, 0..=2;
    IncrementalAlterConfigs = 44, 0..=1;
    OffsetDelete = 47, 0..=0;
    DescribeCluster = 60, 0..=2;
    ListConfigResources = 74, 0..=1;
    DescribeTopicPartitions = 75, 0..=0;
}
