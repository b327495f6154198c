//! What may differ between two brokers by nature is replaced by a name: ids, ports, times, texts. The rest is compared.

use std::collections::HashMap;

use kafka_protocol::ResponseError;
use serde_json::{Map, Value, json};

use super::debug_tree::bytes_of;

/// The names that a side's random ids have been given, so that "the same member" stays visible after normalising.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<String, String>,
    members: usize,
}

impl Names {
    /// Calls `id` by `name` from now on.
    pub fn learn(&mut self, id: impl ToString, name: impl ToString) {
        self.known.insert(id.to_string(), name.to_string());
    }

    /// A member id's name: the one it has, or the next.
    fn member(&mut self, id: &str) -> String {
        if let Some(name) = self.known.get(id) {
            return name.clone();
        }
        // A client may invent an id; brokers append a UUID to the client's name.
        let tail = id.get(id.len().saturating_sub(36)..).unwrap_or_default();
        if uuid::Uuid::parse_str(tail).is_err() {
            return id.to_owned();
        }
        self.members += 1;
        let name = format!("<member {}>", self.members);
        self.learn(id, &name);
        name
    }

    fn uuid(&self, id: &str) -> String {
        if id == "00000000-0000-0000-0000-000000000000" {
            return "<nil>".into();
        }
        self.known.get(id).cloned().unwrap_or("<uuid>".into())
    }
}

/// Normalises a tree: ids, times and texts replaced, lists of structures in one order (the protocol promises none).
pub fn normalise(value: &mut Value, names: &mut Names) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields.iter_mut() {
                normalise(value, names);
                mask(field, value, names);
            }
            // Tagged fields that nobody sent.
            fields.retain(|_, v| *v != json!({}));
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                normalise(item, names);
            }
            if items.iter().any(Value::is_object) {
                items.sort_by_cached_key(Value::to_string);
            } else if items.iter().all(Value::is_number) {
                items.sort_by_key(Value::as_i64);
            }
        }
        _ => {}
    }
}

fn mask(field: &str, value: &mut Value, names: &mut Names) {
    let masked = match (field, &*value) {
        ("error_code", Value::Number(code)) => error_name(code.as_i64().unwrap_or_default()),
        ("host", Value::String(host)) if !host.is_empty() => "<host>".into(),
        ("port", Value::Number(port)) if port.as_i64() > Some(0) => "<port>".into(),
        ("cluster_id", Value::String(_)) => "<cluster>".into(),
        ("error_message" | "batch_index_error_message" | "documentation", Value::String(_)) => {
            "<text>".into()
        }
        ("log_dir", Value::String(dir)) if !dir.is_empty() => "<directory>".into(),
        ("total_bytes" | "usable_bytes", Value::Number(n)) if n.as_i64() > Some(0) => {
            "<bytes>".into()
        }
        ("finalized_features_epoch", Value::Number(_)) => "<epoch>".into(),
        ("transaction_start_time_ms", Value::Number(t)) if t.as_i64() > Some(0) => "<time>".into(),
        ("log_append_time_ms", Value::Number(t)) if t.as_i64() > Some(0) => "<time>".into(),
        ("producer_id", Value::Number(id)) if id.as_i64() > Some(-1) => "<producer>".into(),
        ("session_id", Value::Number(id)) if id.as_i64() > Some(0) => "<session>".into(),
        ("member_id" | "leader", Value::String(id)) => names.member(id),
        ("topic_id" | "client_instance_id", Value::String(id)) => names.uuid(id),
        ("subscription_id", Value::Number(id)) if id.as_i64() != Some(0) => "<subscription>".into(),
        ("records", records) => match bytes_of(records) {
            Some(bytes) => {
                *value = batches(&bytes);
                return;
            }
            None => return,
        },
        _ => return,
    };
    *value = Value::String(masked);
}

fn error_name(code: i64) -> String {
    let name = match code {
        0 => "none".to_owned(),
        _ => ResponseError::try_from_code(code as i16)
            .map_or("unknown".into(), |error| format!("{error:?}")),
    };
    format!("{code} {name}")
}

/// Record batches as trees: each header field by name, the records' bytes as one value.
fn batches(mut bytes: &[u8]) -> Value {
    let mut list = Vec::new();
    while bytes.len() >= 61 {
        let int = |at: usize, len: usize| {
            let field = &bytes[at..at + len];
            let negative = field[0] & 0x80 != 0;
            field.iter().fold(if negative { -1i64 } else { 0 }, |n, b| {
                (n << 8) | i64::from(*b)
            })
        };
        let end = (12 + int(8, 4)) as usize;
        let log_append_time = int(21, 2) & 8 != 0;
        let is_control = int(21, 2) & 0x20 != 0;
        let mut batch = Map::new();
        for (name, at, len) in [
            ("base_offset", 0, 8),
            ("length", 8, 4),
            ("leader_epoch", 12, 4),
            ("magic", 16, 1),
            ("attributes", 21, 2),
            ("last_offset_delta", 23, 4),
            ("base_timestamp", 27, 8),
            ("max_timestamp", 35, 8),
            ("producer_epoch", 51, 2),
            ("base_sequence", 53, 4),
            ("record_count", 57, 4),
        ] {
            batch.insert(name.into(), int(at, len).into());
        }
        if log_append_time || is_control {
            batch.insert("max_timestamp".into(), "<time>".into());
        }
        if is_control {
            batch.insert("base_timestamp".into(), "<time>".into());
        }
        batch.insert("has_producer".into(), (int(43, 8) >= 0).into());
        let whole = bytes.len() >= end;
        batch.insert("whole".into(), whole.into());
        let body = &bytes[61..end.min(bytes.len())];
        batch.insert("records".into(), format!("{body:02x?}").into());
        list.push(Value::Object(batch));
        bytes = if whole { &bytes[end..] } else { &[] };
    }
    if !bytes.is_empty() {
        list.push(json!({ "trailing_bytes": bytes.len() }));
    }
    Value::Array(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_become_names_and_the_same_id_the_same_name() {
        let mut names = Names::default();
        let id = "client-11111111-2222-3333-4444-555555555555";
        let mut tree = json!({"leader": id, "member_id": id, "error_code": 79, "port": 9092,
            "members": [{"member_id": "b"}, {"member_id": ""}]});
        normalise(&mut tree, &mut names);
        assert_eq!(
            tree,
            json!({"leader": "<member 1>", "member_id": "<member 1>", "error_code": "79 MemberIdRequired",
                "port": "<port>", "members": [{"member_id": ""}, {"member_id": "b"}]})
        );
    }
}
