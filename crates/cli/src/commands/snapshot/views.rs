//! Snapshots as they are shown.

use std::path::Path;

use anyhow::Context;
use ottla_storage::snapshot::Snapshot;
use serde_json::{Value, json};

/// What the broker tells of a snapshot, told of one that this program found.
pub fn as_json(snapshot: &Snapshot) -> Value {
    json!({
        "name": snapshot.name,
        "path": absolute(&snapshot.path),
        "created": snapshot.created_ms,
        "topics": snapshot.topics,
        "partitions": snapshot.partitions,
        "bytes": snapshot.bytes,
    })
}

/// A path that means the same elsewhere.
pub fn absolute(path: &Path) -> String {
    let found = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    found.display().to_string()
}

/// `3 topics, 12 partitions, 4711 bytes of records`
pub fn contents(snapshot: &Value) -> anyhow::Result<String> {
    let number = |name: &str| {
        let value = snapshot[name].as_u64();
        value.with_context(|| format!("the broker's answer has no {name}"))
    };
    Ok(format!(
        "{}, {}, {}",
        count(number("topics")?, "topic"),
        count(number("partitions")?, "partition"),
        count(number("bytes")?, "byte"),
    ))
}

fn count(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}
