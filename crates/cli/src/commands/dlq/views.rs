//! The broker's answers, as far as they are shown here. With `--json` they are printed as they came.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::output::or_dash;

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub source: String,
    pub source_exists: bool,
    pub queue: String,
    pub records: u64,
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
    pub groups: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueueDetail {
    #[serde(flatten)]
    pub queue: Queue,
    pub partitions: Vec<Partition>,
    pub reasons: Vec<Reason>,
    pub redrives: Vec<Task>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Partition {
    pub partition: i32,
    pub records: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub reason: String,
    pub records: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Blob>,
    pub value: Option<Blob>,
    pub headers: Vec<Header>,
    pub source: Option<Source>,
    pub group: Option<String>,
    pub attempts: Option<u32>,
    pub reason: Option<String>,
    pub dead_lettered: Option<i64>,
    pub client: Option<String>,
    pub redrives: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub key: Blob,
    pub value: Option<Blob>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub topic: String,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
}

/// Text, or base64 of what is none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Blob {
    Text(String),
    Base64(String),
}

impl Blob {
    /// For people, in one line.
    pub fn shown(&self) -> String {
        match self {
            Blob::Text(text) => text
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'"),
            Blob::Base64(text) => format!("base64:{text}"),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub id: u64,
    pub source: String,
    pub target: String,
    pub for_group: Option<String>,
    pub state: String,
    pub error: Option<String>,
    pub waiting: Option<String>,
    pub looked_at: u64,
    pub to_look_at: u64,
    pub moved: u64,
    pub kept: u64,
    pub kept_records: Vec<Kept>,
    pub notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Kept {
    pub partition: i32,
    pub offset: i64,
    pub why: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct DryRun {
    pub queue: String,
    pub target: Option<String>,
    pub records: u64,
    pub kept: u64,
    pub kept_records: Vec<Kept>,
    pub older_than_retention: u64,
    pub first: Vec<Record>,
    pub notes: Vec<String>,
}

/// A typed view, and the JSON that it was read from.
pub(super) fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> anyhow::Result<T> {
    use anyhow::Context;
    T::deserialize(value).context("the broker's answer is none that this version knows")
}

/// A time for people; a dash without one.
pub(super) fn time(ms: Option<i64>) -> String {
    or_dash(ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()))
}

/// `1 record`, `2 records`.
pub(super) fn records(count: u64) -> String {
    match count {
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_stays_on_its_line() {
        let text = Blob::Text("{\"a\": 'b'}\n\u{1b}[31m".to_owned());
        assert_eq!(text.shown(), "{\"a\": 'b'}\\n\\u{1b}[31m");
        assert_eq!(Blob::Base64("AP8=".to_owned()).shown(), "base64:AP8=");
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time(Some(1_769_860_800_000)), "2026-01-31T12:00:00Z");
        assert_eq!(time(None), "-");
    }
}
