//! Where two trees differ.

use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Names from the root, as in `responses[].partitions[].error_code`. Indices are left out: lists have no order here.
    pub path: String,
    /// What Ottla said.
    pub ottla: Value,
    /// What Kafka said.
    pub kafka: Value,
}

/// All fields of `ottla` and `kafka` that differ. Lists of one length are compared element by element;
/// of named elements (`name`, `index`, ...) those of the same name are compared, and the rest reported as missing.
pub fn diff(ottla: &Value, kafka: &Value) -> Vec<Difference> {
    let mut out = Vec::new();
    walk(String::new(), ottla, kafka, &mut out);
    out
}

/// The field that names an element among its neighbours.
const KEYS: &[&str] = &[
    "name",
    "partition_index",
    "partition",
    "group_id",
    "resource_name",
    "node_id",
    "api_key",
    "index",
    "topic",
];

fn key_of(value: &Value) -> Option<(&'static str, &Value)> {
    KEYS.iter()
        .find_map(|key| value.get(*key).map(|name| (*key, name)))
        .filter(|(_, name)| name.as_str() != Some(""))
}

fn walk(path: String, ottla: &Value, kafka: &Value, out: &mut Vec<Difference>) {
    match (ottla, kafka) {
        (Value::Object(a), Value::Object(b)) => {
            for (field, in_a) in a {
                let in_b = b.get(field).unwrap_or(&Value::Null);
                walk(join(&path, field), in_a, in_b, out);
            }
            for (field, in_b) in b.iter().filter(|(field, _)| !a.contains_key(*field)) {
                walk(join(&path, field), &Value::Null, in_b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) => lists(format!("{path}[]"), a, b, out),
        _ if ottla == kafka => {}
        _ => out.push(Difference {
            path,
            ottla: ottla.clone(),
            kafka: kafka.clone(),
        }),
    }
}

fn lists(path: String, a: &[Value], b: &[Value], out: &mut Vec<Difference>) {
    let unique = |list: &[Value]| {
        list.iter().all(|item| {
            key_of(item).is_some() && list.iter().filter(|i| key_of(i) == key_of(item)).count() == 1
        })
    };
    let missing = |side: &Value| (side.clone(), Value::from("(missing)"));
    if unique(a) && unique(b) {
        for item in a {
            let (key, name) = key_of(item).expect("each element has a key: `unique` has said so");
            let path = match name {
                Value::String(name) if key == "name" => format!("{path}<{name}>"),
                _ => path.clone(),
            };
            match b.iter().find(|other| key_of(other) == key_of(item)) {
                Some(other) => walk(path, item, other, out),
                None => {
                    let (ottla, kafka) = missing(item);
                    out.push(Difference { path, ottla, kafka });
                }
            }
        }
        for item in b
            .iter()
            .filter(|item| !a.iter().any(|other| key_of(other) == key_of(item)))
        {
            let path = match key_of(item) {
                Some(("name", Value::String(name))) => format!("{path}<{name}>"),
                _ => path.clone(),
            };
            let (kafka, ottla) = missing(item);
            out.push(Difference { path, ottla, kafka });
        }
    } else if a.len() == b.len() {
        for (a, b) in a.iter().zip(b) {
            walk(path.clone(), a, b, out);
        }
    } else {
        out.push(Difference {
            path,
            ottla: Value::Array(a.to_vec()),
            kafka: Value::Array(b.to_vec()),
        });
    }
}

fn join(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differing_fields_and_missing_elements_are_named_by_path() {
        let ottla = json!({"code": 1, "topics": [{"name": "a", "error_code": 3}, {"name": "b"}]});
        let kafka = json!({"code": 1, "topics": [{"name": "a", "error_code": 0}, {"name": "c"}]});
        let paths: Vec<_> = diff(&ottla, &kafka).into_iter().map(|d| d.path).collect();
        assert_eq!(
            paths,
            ["topics[]<a>.error_code", "topics[]<b>", "topics[]<c>"]
        );
        assert!(diff(&kafka, &kafka).is_empty());
    }
}
