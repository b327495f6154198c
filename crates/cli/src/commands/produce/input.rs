//! From a line to a record.

use anyhow::{Context, bail};
use bytes::Bytes;
use ottla_client::producer::ProducerRecord;
use ottla_codec::records::RecordHeader;
use serde_json::{Map, Value};

/// How a line becomes a record.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineFormat {
    pub topic: String,
    pub json: bool,
    pub key_separator: Option<String>,
    pub key: Option<String>,
    pub headers: Vec<(String, String)>,
    pub null: Option<String>,
    pub partition: Option<i32>,
}

impl LineFormat {
    pub(crate) fn parse(&self, line: Vec<u8>) -> anyhow::Result<ProducerRecord> {
        let mut record = ProducerRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| header(name, value))
                .collect(),
            ..ProducerRecord::default()
        };
        if self.json {
            self.fill_from_json(&mut record, &line)?;
        } else {
            self.fill_from_line(&mut record, line);
        }
        if record.key.is_none() {
            record.key = self.key.clone().map(Bytes::from);
        }
        Ok(record)
    }

    fn fill_from_line(&self, record: &mut ProducerRecord, line: Vec<u8>) {
        let line = Bytes::from(line);
        let split = self
            .key_separator
            .as_deref()
            .filter(|separator| !separator.is_empty())
            .and_then(|separator| {
                find(&line, separator.as_bytes()).map(|at| (at, separator.len()))
            });
        match split {
            Some((at, length)) => {
                record.key = self.unless_null(line.slice(..at));
                record.value = self.unless_null(line.slice(at + length..));
            }
            None => record.value = self.unless_null(line),
        }
    }

    fn unless_null(&self, bytes: Bytes) -> Option<Bytes> {
        let null = self
            .null
            .as_ref()
            .is_some_and(|null| bytes == null.as_bytes());
        (!null).then_some(bytes)
    }

    fn fill_from_json(&self, record: &mut ProducerRecord, line: &[u8]) -> anyhow::Result<()> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).context("expected a JSON object")?;
        for (name, value) in object {
            match name.as_str() {
                "key" => record.key = text(value),
                "value" => record.value = text(value),
                "partition" => {
                    let number = value.as_i64().and_then(|n| i32::try_from(n).ok());
                    record.partition = Some(number.context("\"partition\" is not a partition")?);
                }
                "timestamp" => {
                    let ms = value
                        .as_i64()
                        .context("\"timestamp\" is not milliseconds")?;
                    record.timestamp = Some(ms);
                }
                "headers" => record.headers.extend(json_headers(value)?),
                // What `consume --json` prints beside, so that its lines can be sent again.
                "topic" | "offset" => {}
                other => bail!("unknown field {other:?}"),
            }
        }
        Ok(())
    }
}

/// Headers as an object, or, where names repeat, as a list of name and value.
fn json_headers(value: Value) -> anyhow::Result<Vec<RecordHeader>> {
    let make = |name: String, value| RecordHeader {
        key: Bytes::from(name),
        value: text(value),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => Ok(map
            .into_iter()
            .map(|(name, value)| make(name, value))
            .collect()),
        Value::Array(list) => list
            .into_iter()
            .map(|pair| match pair {
                Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([Value::String(name), value]) => Ok(make(name, value)),
                    _ => bail!("a header in a list is [name, value]"),
                },
                _ => bail!("a header in a list is [name, value]"),
            })
            .collect(),
        _ => bail!("\"headers\" is neither an object nor a list"),
    }
}

fn text(value: Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::from(text)),
        other => Some(Bytes::from(other.to_string())),
    }
}

fn header(name: &str, value: &str) -> RecordHeader {
    RecordHeader {
        key: Bytes::copy_from_slice(name.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    bytes
        .windows(separator.len())
        .position(|window| window == separator)
}

/// Reads `\t`, `\n`, `\0` and `\\`, which a shell does not.
pub(super) fn unescape(text: &str) -> String {
    text.replace("\\\\", "\u{1a}")
        .replace("\\t", "\t")
        .replace("\\n", "\n")
        .replace("\\0", "\0")
        .replace('\u{1a}', "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: &LineFormat, line: &str) -> (Option<String>, Option<String>) {
        let record = format.parse(line.as_bytes().to_vec()).unwrap();
        let text = |bytes: Option<Bytes>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
        (text(record.key), text(record.value))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_line_is_a_value_or_a_key_and_a_value() {
        let mut format = LineFormat::default();
        assert_eq!(parse(&format, "a:b"), (None, some("a:b")));
        format.key_separator = some(":");
        assert_eq!(parse(&format, "a:b:c"), (some("a"), some("b:c")));
        assert_eq!(parse(&format, "plain"), (None, some("plain")));
        format.key = some("k");
        assert_eq!(parse(&format, "plain"), (some("k"), some("plain")));
        format.null = some("");
        assert_eq!(parse(&format, "a:"), (some("a"), None));
    }

    #[test]
    fn a_json_line_brings_everything() {
        let format = LineFormat {
            json: true,
            ..LineFormat::default()
        };
        let line = r#"{"key":"k","value":{"n":1},"partition":2,"timestamp":5,"headers":[["h","1"],["h",null]]}"#;
        let record = format.parse(line.as_bytes().to_vec()).unwrap();
        assert_eq!(record.value.unwrap(), r#"{"n":1}"#);
        assert_eq!((record.partition, record.timestamp), (Some(2), Some(5)));
        assert_eq!(record.headers.len(), 2);
        assert_eq!(record.headers[1].value, None);
        for bad in [
            "1",
            "{",
            r#"{"valu":1}"#,
            r#"{"partition":"x"}"#,
            r#"{"headers":1}"#,
        ] {
            assert!(format.parse(bad.as_bytes().to_vec()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_separator_may_be_escaped() {
        assert_eq!(unescape(r"\t"), "\t");
        assert_eq!(unescape(r"\\t"), r"\t");
    }
}
