//! The shape of every request and answer: which fields it has in which version, and a walk that holds a body against it.
//!
//! The walk runs before a body is decoded, since decoding reserves memory for as many elements as an array claims.
//! It answers where a body goes wrong, and lets none through whose counts or lengths exceed the bytes that are there,
//! whose tagged fields (KIP-482) are not as long as they say, that goes on after its last field, or that would take
//! many times its own size in memory.
//!
//! The tables follow Kafka's message definitions; the test holds each against the decoder, version by version.

/// The shape of each API: one list for requests and answers. Chapters are those of the module that asks.
macro_rules! shape_of {
    ($api:expr) => {
        match $api {
            Api::Produce => &logs::PRODUCE,
            Api::Fetch => &logs::FETCH,
            Api::ListOffsets => &logs::LIST_OFFSETS,
            Api::Metadata => &cluster::METADATA,
            Api::OffsetCommit => &groups::OFFSET_COMMIT,
            Api::OffsetFetch => &groups::OFFSET_FETCH,
            Api::FindCoordinator => &groups::FIND_COORDINATOR,
            Api::JoinGroup => &groups::JOIN_GROUP,
            Api::Heartbeat => &groups::HEARTBEAT,
            Api::LeaveGroup => &groups::LEAVE_GROUP,
            Api::SyncGroup => &groups::SYNC_GROUP,
            Api::DescribeGroups => &groups::DESCRIBE_GROUPS,
            Api::ListGroups => &groups::LIST_GROUPS,
            Api::ApiVersions => &cluster::API_VERSIONS,
            Api::CreateTopics => &admin::CREATE_TOPICS,
            Api::DeleteTopics => &admin::DELETE_TOPICS,
            Api::DeleteRecords => &logs::DELETE_RECORDS,
            Api::InitProducerId => &logs::INIT_PRODUCER_ID,
            Api::OffsetForLeaderEpoch => &logs::OFFSET_FOR_LEADER_EPOCH,
            Api::AddPartitionsToTxn => &transactions::ADD_PARTITIONS_TO_TXN,
            Api::AddOffsetsToTxn => &transactions::ADD_OFFSETS_TO_TXN,
            Api::EndTxn => &transactions::END_TXN,
            Api::WriteTxnMarkers => &transactions::WRITE_TXN_MARKERS,
            Api::TxnOffsetCommit => &transactions::TXN_OFFSET_COMMIT,
            Api::DescribeAcls => &acls::DESCRIBE_ACLS,
            Api::CreateAcls => &acls::CREATE_ACLS,
            Api::DeleteAcls => &acls::DELETE_ACLS,
            Api::DescribeConfigs => &admin::DESCRIBE_CONFIGS,
            Api::AlterConfigs => &admin::ALTER_CONFIGS,
            Api::AlterReplicaLogDirs => &replicas::ALTER_REPLICA_LOG_DIRS,
            Api::DescribeLogDirs => &admin::DESCRIBE_LOG_DIRS,
            Api::CreatePartitions => &admin::CREATE_PARTITIONS,
            Api::DeleteGroups => &groups::DELETE_GROUPS,
            Api::ElectLeaders => &replicas::ELECT_LEADERS,
            Api::IncrementalAlterConfigs => &admin::INCREMENTAL_ALTER_CONFIGS,
            Api::AlterPartitionReassignments => &replicas::ALTER_PARTITION_REASSIGNMENTS,
            Api::ListPartitionReassignments => &replicas::LIST_PARTITION_REASSIGNMENTS,
            Api::OffsetDelete => &groups::OFFSET_DELETE,
            Api::DescribeQuorum => &replicas::DESCRIBE_QUORUM,
            Api::UpdateFeatures => &replicas::UPDATE_FEATURES,
            Api::DescribeCluster => &cluster::DESCRIBE_CLUSTER,
            Api::DescribeProducers => &transactions::DESCRIBE_PRODUCERS,
            Api::UnregisterBroker => &replicas::UNREGISTER_BROKER,
            Api::DescribeTransactions => &transactions::DESCRIBE_TRANSACTIONS,
            Api::ListTransactions => &transactions::LIST_TRANSACTIONS,
            Api::GetTelemetrySubscriptions => &telemetry::GET_TELEMETRY_SUBSCRIPTIONS,
            Api::PushTelemetry => &telemetry::PUSH_TELEMETRY,
            Api::ListConfigResources => &admin::LIST_CONFIG_RESOURCES,
            Api::DescribeTopicPartitions => &cluster::DESCRIBE_TOPIC_PARTITIONS,
        }
    };
}

mod acls;
mod admin;
mod answers;
mod cluster;
pub mod compose;
mod groups;
mod logs;
mod members;
pub mod newer;
pub mod places;
mod replicas;
mod telemetry;
mod transactions;

use crate::api::Api;
use crate::budget::Budget;
use crate::wire::{Reader, WireError};
use newer::NewerField;

/// A message's fields, and the first version that is flexible (KIP-482): compact lengths and tagged fields.
#[derive(Debug)]
struct Shape {
    flexible_since: i16,
    fields: &'static [Field],
}

/// A field of a message or of a struct inside it.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    kind: Kind,
    since: i16,
    until: i16,
    nullable_since: i16,
    tag: Option<u32>,
    /// `kafka-protocol` does not have it.
    newer: Option<NewerField>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A number, boolean or UUID of so many bytes.
    Fixed(usize),
    Bool,
    String,
    Bytes,
    Array(&'static Kind),
    Struct(&'static [Field]),
}

const BOOL: Kind = Kind::Bool;
const INT8: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);

/// A field of every version, never null.
const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        since: 0,
        until: i16::MAX,
        nullable_since: i16::MAX,
        tag: None,
        newer: None,
    }
}

impl Field {
    const fn since(mut self, version: i16) -> Field {
        self.since = version;
        self
    }

    const fn until(mut self, version: i16) -> Field {
        self.until = version;
        self
    }

    const fn nullable(mut self, since: i16) -> Field {
        self.nullable_since = since;
        self
    }

    const fn tagged(mut self, tag: u32) -> Field {
        self.tag = Some(tag);
        self
    }

    const fn newer(mut self, field: NewerField) -> Field {
        self.newer = Some(field);
        self
    }

    fn exists_in(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }

    fn is_nullable_in(&self, version: i16) -> bool {
        version >= self.nullable_since
    }
}

impl Kind {
    /// The fewest bytes that a value takes on the wire.
    fn min_wire_len(self, version: i16, flexible: bool) -> usize {
        match self {
            Kind::Fixed(len) => len,
            Kind::Bool => 1,
            Kind::String if flexible => 1,
            Kind::String => 2,
            Kind::Bytes | Kind::Array(_) if flexible => 1,
            Kind::Bytes | Kind::Array(_) => 4,
            Kind::Struct(fields) => {
                let plain = fields
                    .iter()
                    .filter(|f| f.exists_in(version) && f.tag.is_none());
                plain
                    .map(|f| f.kind.min_wire_len(version, flexible))
                    .sum::<usize>()
                    + usize::from(flexible)
            }
        }
    }

    /// About the size of a value in memory, what it points to not counted; rather too much than too little.
    fn size_in_memory(self) -> usize {
        match self {
            Kind::Fixed(len) => len,
            Kind::Bool => 1,
            Kind::String | Kind::Bytes => 32,
            Kind::Array(_) => 24,
            // Every struct has a map of the tagged fields it does not know, some padding,
            // and perhaps a field of a version beyond the table.
            Kind::Struct(fields) => {
                48 + fields
                    .iter()
                    .map(|f| f.kind.size_in_memory())
                    .sum::<usize>()
            }
        }
    }
}

/// What is wrong with a body, and in which field.
#[derive(Debug)]
struct Problem {
    /// Field names, the innermost first.
    path: Vec<&'static str>,
    reason: String,
}

impl Problem {
    fn new(reason: impl ToString) -> Problem {
        Problem {
            path: Vec::new(),
            reason: reason.to_string(),
        }
    }

    fn within(mut self, name: &'static str) -> Problem {
        self.path.push(name);
        self
    }
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Problem {
        Problem::new(error)
    }
}

/// Holds the body of a request against the shape of `api` in `version`. The error names the field.
pub(crate) fn check(api: Api, version: i16, body: &[u8]) -> Result<(), String> {
    if !api.versions().contains(&version) {
        return Err("version is not supported".to_owned());
    }
    // Bytes after the end are no harm: see `request::decode`.
    hold(shape(api), version, body, Budget::for_request(body.len())).map(drop)
}

/// Holds the body of an answer against the shape of `api` in `version`, which is one that `kafka-protocol` knows.
pub(crate) fn check_answer(api: Api, version: i16, body: &[u8]) -> Result<(), String> {
    let budget = Budget::for_answer(body.len());
    match hold(answers::shape(api), version, body, budget)? {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left over")),
    }
}

/// Holds a member's subscription, without its version, against the shape of `version`. Bytes after the end are those of
/// versions to come.
pub(crate) fn check_subscription(version: i16, bytes: &[u8]) -> Result<(), String> {
    let budget = Budget::for_answer(bytes.len());
    hold(&members::SUBSCRIPTION, version, bytes, budget).map(drop)
}

/// The same for an assignment.
pub(crate) fn check_assignment(version: i16, bytes: &[u8]) -> Result<(), String> {
    let budget = Budget::for_answer(bytes.len());
    hold(&members::ASSIGNMENT, version, bytes, budget).map(drop)
}

/// Walks over `body`; how many bytes are left behind its last field.
fn hold(shape: &'static Shape, version: i16, body: &[u8], budget: Budget) -> Result<usize, String> {
    let mut walk = Walk {
        reader: Reader::new(body),
        version,
        flexible: version >= shape.flexible_since,
        budget,
    };
    walk.fields(shape.fields).map_err(|problem| {
        let path: Vec<&str> = problem.path.into_iter().rev().collect();
        format!("{}: {}", path.join("."), problem.reason)
    })?;
    Ok(walk.reader.remaining())
}

/// A map's first entry allocates a node for several.
const MAP_NODE: usize = 400;

/// A walk over one body.
struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    budget: Budget,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), Problem> {
        for field in fields {
            if field.tag.is_none() && field.exists_in(self.version) {
                self.field(field).map_err(|p| p.within(field.name))?;
                if field.newer.is_some() {
                    self.charge(MAP_NODE)?;
                }
            }
        }
        if self.flexible {
            self.tagged_fields(fields)
                .map_err(|p| p.within("tagged fields"))?;
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Problem> {
        let nullable = field.is_nullable_in(self.version);
        if let Kind::Struct(fields) = field.kind
            && nullable
        {
            // A struct that may be null has a byte before it: -1 for null, 1 else.
            return match self.reader.u8()? as i8 {
                ..0 => Ok(()),
                _ => self.fields(fields),
            };
        }
        self.value(&field.kind, nullable)
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) -> Result<(), Problem> {
        match kind {
            Kind::Fixed(len) => {
                self.reader.take(*len)?;
                Ok(())
            }
            Kind::Bool => {
                self.reader.u8()?;
                Ok(())
            }
            Kind::String => {
                let len = self.reader.string_len(self.flexible)?;
                self.skip(len, nullable)
            }
            Kind::Bytes => {
                let len = self.reader.long_len(self.flexible)?;
                self.skip(len, nullable)
            }
            Kind::Array(element) => self.array(element, nullable),
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn skip(&mut self, len: Option<usize>, nullable: bool) -> Result<(), Problem> {
        match len {
            Some(len) => {
                self.reader.take(len)?;
                Ok(())
            }
            None if nullable => Ok(()),
            None => Err(Problem::new("is null")),
        }
    }

    fn array(&mut self, element: &'static Kind, nullable: bool) -> Result<(), Problem> {
        let Some(count) = self.reader.long_len(self.flexible)? else {
            return self.skip(None, nullable);
        };
        let min = element.min_wire_len(self.version, self.flexible).max(1);
        let have = self.reader.remaining();
        if count > have / min {
            return Err(Problem::new(format_args!(
                "claims {count} elements of at least {min} bytes, {have} bytes are left"
            )));
        }
        self.charge(count.saturating_mul(element.size_in_memory()))?;
        for _ in 0..count {
            self.value(element, false)?;
        }
        Ok(())
    }

    fn tagged_fields(&mut self, known: &'static [Field]) -> Result<(), Problem> {
        const MAP_ENTRY: usize = 80;
        let count = self.reader.uvarint()?;
        let mut map_is_empty = true;
        for _ in 0..count {
            let tag = self.reader.uvarint()?;
            let size = self.reader.uvarint()? as usize;
            let known = known
                .iter()
                .find(|f| f.tag == Some(tag) && f.exists_in(self.version));
            let Some(field) = known else {
                self.charge(if map_is_empty { MAP_NODE } else { MAP_ENTRY })?;
                map_is_empty = false;
                self.reader.take(size)?;
                continue;
            };
            let before = self.reader.remaining();
            self.field(field).map_err(|p| p.within(field.name))?;
            let taken = before - self.reader.remaining();
            if taken != size {
                return Err(
                    Problem::new(format_args!("claims {size} bytes and has {taken}"))
                        .within(field.name),
                );
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Problem> {
        self.budget.charge(bytes).map_err(Problem::new)
    }
}

/// A request's body of version `from` as one of version `to`; `None` if they are the same.
pub(crate) fn rewrite_request(
    api: Api,
    from: i16,
    to: i16,
    body: &[u8],
) -> Result<Option<Vec<u8>>, String> {
    rewrite(shape(api), from, to, body)
}

/// The same for an answer's.
pub(crate) fn rewrite_answer(
    api: Api,
    from: i16,
    to: i16,
    body: &[u8],
) -> Result<Option<Vec<u8>>, String> {
    rewrite(answers::shape(api), from, to, body)
}

fn rewrite(shape: &Shape, from: i16, to: i16, body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    match newer::differ(shape, from, to) {
        false => Ok(None),
        true => newer::rewrite(shape, from, to, body)
            .map(Some)
            .map_err(|error| error.to_string()),
    }
}

/// A request's shape.
fn shape(api: Api) -> &'static Shape {
    shape_of!(api)
}

#[cfg(test)]
mod tests;
