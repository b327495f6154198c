//! What people and programs are shown of queues and redrives, and what they ask for. The JSON of HTTP and of the command line.

use std::collections::BTreeMap;

use ottla_dlq::redrive::{Blob, Edit, Kept, Selection};
use serde::{Deserialize, Serialize};

/// A queue at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueSummary {
    /// The topic whose dead letters they are.
    pub source: String,
    /// Whether that topic exists (still).
    pub source_exists: bool,
    /// The queue topic.
    pub queue: String,
    /// Records in it that came from this source and were neither moved back nor purged.
    pub records: u64,
    /// When the oldest of them was dead-lettered, milliseconds since the Unix epoch.
    pub oldest: Option<i64>,
    /// When the newest of them was.
    pub newest: Option<i64>,
    /// How many of each group. Those that nobody dead-lettered are not in here.
    pub groups: BTreeMap<String, u64>,
}

/// A queue in detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueDetail {
    /// At a glance.
    #[serde(flatten)]
    pub summary: QueueSummary,
    /// By partition.
    pub partitions: Vec<PartitionDetail>,
    /// By reason, most frequent first; at most [`MAX_REASONS`].
    pub reasons: Vec<ReasonCount>,
    /// Redrives of this queue that are running or paused.
    pub redrives: Vec<TaskView>,
}

/// Reasons that [`QueueDetail::reasons`] names.
pub const MAX_REASONS: usize = 100;

/// A partition of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionDetail {
    /// Its number.
    pub partition: i32,
    /// As [`QueueSummary::records`].
    pub records: u64,
    /// The first offset of the queue's log.
    pub start: i64,
    /// The offset after the last one.
    pub end: i64,
}

/// How often a reason is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ReasonCount {
    pub reason: String,
    pub records: u64,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadRecord {
    /// In the queue.
    pub partition: i32,
    /// In the queue.
    pub offset: i64,
    /// The record's own time, milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Blob>,
    /// The value; null is a tombstone.
    pub value: Option<Blob>,
    /// The record's own headers, under their own names.
    pub headers: Vec<HeaderView>,
    /// Where it came from. Null if nobody dead-lettered it.
    pub source: Option<SourceView>,
    /// The group that failed on it.
    pub group: Option<String>,
    /// How often it failed.
    pub attempts: Option<u32>,
    /// Why.
    pub reason: Option<String>,
    /// When it was dead-lettered, milliseconds since the Unix epoch.
    pub dead_lettered: Option<i64>,
    /// Who failed on it last.
    pub client: Option<String>,
    /// How often it was redriven before.
    pub redrives: u32,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct HeaderView {
    pub key: Blob,
    pub value: Option<Blob>,
}

/// Where a dead letter came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct SourceView {
    pub topic: String,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
}

/// A part of a queue's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordPage {
    /// In the order of partition and offset.
    pub records: Vec<DeadRecord>,
    /// Where to go on; null: there are no more.
    pub next: Option<String>,
}

/// What to move back, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedriveRequest {
    /// Which records; all by default.
    pub selection: Selection,
    /// Another topic than the one that they came from.
    pub target: Option<String>,
    /// For this group alone: into its retry topic.
    pub for_group: Option<String>,
    /// Records a second; as fast as it goes by default.
    pub rate: Option<u32>,
    /// Only say what would move.
    pub dry_run: bool,
    /// A new value, of one record.
    pub edit: Option<Edit>,
}

/// What came of a [`RedriveRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Redrive {
    /// It runs.
    Started(Box<TaskView>),
    /// It would do this.
    DryRun(Box<DryRun>),
}

/// What a redrive or a purge would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// True, so that it is not taken for the deed.
    pub dry_run: bool,
    /// The topic whose dead letters they are.
    pub source: String,
    /// The queue.
    pub queue: String,
    /// Where they would go; null: nowhere.
    pub target: Option<String>,
    /// How many would go.
    pub records: u64,
    /// How many of them each group has dead-lettered.
    pub groups: BTreeMap<String, u64>,
    /// How many are meant and would stay.
    pub kept: u64,
    /// The first of those.
    pub kept_records: Vec<KeptView>,
    /// How many are older than what the target keeps: its retention may delete them soon after.
    pub older_than_retention: u64,
    /// The first records that would go.
    pub first: Vec<DeadRecord>,
    /// What to know before.
    pub notes: Vec<String>,
}

/// A record that was meant and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptView {
    /// In the queue.
    pub partition: i32,
    /// In the queue.
    pub offset: i64,
    /// Why, for people.
    pub why: String,
}

impl KeptView {
    pub(crate) fn new(partition: i32, offset: i64, why: &Kept) -> KeptView {
        KeptView {
            partition,
            offset,
            why: why.to_string(),
        }
    }
}

/// A redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskView {
    /// Its number.
    pub id: u64,
    /// The topic whose dead letters it moves.
    pub source: String,
    /// The queue.
    pub queue: String,
    /// Where they go.
    pub target: String,
    /// The group that alone is to see them.
    pub for_group: Option<String>,
    /// Which.
    pub selection: Selection,
    /// Whether the record gets a new value.
    pub edited: bool,
    /// Records a second.
    pub rate: Option<u32>,
    /// `running`, `paused`, `done`, `cancelled` or `failed`.
    pub state: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// It runs, and waits for this.
    pub waiting: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub started: i64,
    /// Milliseconds since the Unix epoch.
    pub ended: Option<i64>,
    /// Offsets of the queue that it has looked at ...
    pub looked_at: u64,
    /// ... of so many. Records that were moved before count.
    pub to_look_at: u64,
    /// Records that it moved.
    pub moved: u64,
    /// Records that were not meant.
    pub passed: u64,
    /// Records that were meant and stay in the queue.
    pub kept: u64,
    /// The first of those.
    pub kept_records: Vec<KeptView>,
    /// What to know.
    pub notes: Vec<String>,
}

/// What a purge did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// False.
    pub dry_run: bool,
    /// The topic whose dead letters they were.
    pub source: String,
    /// The queue.
    pub queue: String,
    /// How many are gone.
    pub records: u64,
}

/// What came of a request to purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Purge {
    /// They are gone.
    Done(Purged),
    /// They would be.
    DryRun(Box<DryRun>),
}

/// Which records to delete for good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeRequest {
    /// Which records; all by default.
    pub selection: Selection,
    /// Only say what would go.
    pub dry_run: bool,
}
