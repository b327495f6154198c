//! How records are printed.

use bytes::Bytes;
use ottla_client::consumer::ConsumedRecord;
use ottla_codec::batch::TimestampType;

use super::deserializer::Deserializer;
use crate::cluster::Properties;
use crate::talk::log;

/// Kafka's formatters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Default,
    /// The same, and a line in the log.
    Logging,
    NoOp,
}

impl Kind {
    /// By its class, of this or an older version.
    pub fn of_class(class: &str) -> Option<Kind> {
        let name = class
            .strip_prefix("org.apache.kafka.tools.consumer.")
            .or_else(|| class.strip_prefix("kafka.tools."))?;
        match name {
            "DefaultMessageFormatter" => Some(Kind::Default),
            "LoggingMessageFormatter" => Some(Kind::Logging),
            "NoOpMessageFormatter" => Some(Kind::NoOp),
            _ => None,
        }
    }
}

/// Prints records.
#[derive(Debug)]
pub(super) struct Formatter {
    kind: Kind,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Option<Deserializer>,
    value_deserializer: Option<Deserializer>,
    headers_deserializer: Option<Deserializer>,
}

impl Formatter {
    /// A formatter with the properties of `--formatter-property`. A deserializer that is not Kafka's is left out, with a
    /// line in the log.
    pub fn new(kind: Kind, properties: &Properties) -> Formatter {
        let flag = |name: &str, default: bool| {
            let given = properties.get(name);
            given.map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |name: &str, default: &str| {
            let given = properties.get(name).map_or(default, |value| value);
            given.as_bytes().to_vec()
        };
        let deserializer = |name: &str| {
            let class = properties.get(name).filter(|_| kind != Kind::NoOp)?;
            let known = Deserializer::of_class(class);
            if known.is_none() {
                log!("ERROR", "Unable to instantiate a deserializer from {class}");
            }
            known
        };
        Formatter {
            kind,
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer"),
            value_deserializer: deserializer("value.deserializer"),
            headers_deserializer: deserializer("headers.deserializer"),
        }
    }

    /// The text of a record, at the end of `out`. On an error, that of a deserializer, what came before it is there, as with
    /// the original.
    pub fn write(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        if self.kind == Kind::NoOp {
            return Ok(());
        }
        let mut columns = Columns {
            out,
            separator: &self.key_separator,
            first: true,
        };
        let timestamp = timestamp(record);
        for (shown, text) in [
            (self.timestamp, timestamp.clone()),
            (self.partition, format!("Partition:{}", record.partition)),
            (self.offset, format!("Offset:{}", record.offset)),
            (self.delivery, "Delivery:NOT_PRESENT".to_owned()),
            (self.epoch, "Epoch:NOT_PRESENT".to_owned()),
        ] {
            if shown {
                columns.next().extend_from_slice(text.as_bytes());
            }
        }
        if self.headers {
            let out = columns.next();
            self.write_headers(record, out)?;
        }
        if self.key {
            let out = columns.next();
            self.write_bytes(record.key.as_ref(), self.key_deserializer, out)?;
        }
        if self.value {
            let out = columns.next();
            self.write_bytes(record.value.as_ref(), self.value_deserializer, out)?;
        }
        if !columns.first {
            out.extend_from_slice(&self.line_separator);
        }
        if self.kind == Kind::Logging {
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            let key = record
                .key
                .as_ref()
                .map_or("null ".to_owned(), |k| text(k) + ", ");
            let value = record.value.as_ref().map_or("null".to_owned(), text);
            log!("INFO", "{timestamp}, key:{key}value:{value}");
        }
        Ok(())
    }

    fn write_headers(&self, record: &ConsumedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        if record.headers.is_empty() {
            out.extend_from_slice(b"NO_HEADERS");
        }
        for (at, header) in record.headers.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(&self.headers_separator);
            }
            out.extend_from_slice(&header.key);
            out.push(b':');
            self.write_bytes(header.value.as_ref(), self.headers_deserializer, out)?;
        }
        Ok(())
    }

    fn write_bytes(
        &self,
        bytes: Option<&Bytes>,
        deserializer: Option<Deserializer>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        match (bytes, deserializer) {
            (None, _) => out.extend_from_slice(&self.null_literal),
            (Some(bytes), None) => out.extend_from_slice(bytes),
            (Some(bytes), Some(deserializer)) => {
                out.extend_from_slice(&deserializer.show(bytes)?);
            }
        }
        Ok(())
    }
}

/// Columns with separators between them.
struct Columns<'a> {
    out: &'a mut Vec<u8>,
    separator: &'a [u8],
    first: bool,
}

impl Columns<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.first) {
            self.out.extend_from_slice(self.separator);
        }
        self.out
    }
}

fn timestamp(record: &ConsumedRecord) -> String {
    match (record.timestamp, record.timestamp_type) {
        (..0, _) => "NO_TIMESTAMP".to_owned(),
        (ms, TimestampType::CreateTime) => format!("CreateTime:{ms}"),
        (ms, TimestampType::LogAppendTime) => format!("LogAppendTime:{ms}"),
    }
}

#[cfg(test)]
mod tests {
    use ottla_codec::records::RecordHeader;

    use super::*;

    fn format(kind: Kind, properties: &[(&str, &str)]) -> Result<String, String> {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let header = |key: &'static str, value| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value,
        };
        let record = ConsumedRecord {
            topic: "t".into(),
            partition: 2,
            offset: 7,
            timestamp: 1500,
            timestamp_type: TimestampType::LogAppendTime,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![
                header("a", Some(Bytes::from_static(b"1"))),
                header("b", None),
            ],
        };
        let mut out = Vec::new();
        Formatter::new(kind, &properties).write(&record, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_value_is_shown_and_what_else_is_asked_for() {
        for (properties, expected) in [
            (&[][..], "v\n"),
            (&[("print.key", "true")], "null\tv\n"),
            (
                &[("print.key", "TRUE "), ("print.value", "false")],
                "null\n",
            ),
            (&[("print.value", "false")], ""),
            (
                &[
                    ("print.key", "true"),
                    ("print.timestamp", "true"),
                    ("print.offset", "true"),
                    ("print.partition", "true"),
                    ("print.headers", "true"),
                    ("key.separator", "|"),
                    ("headers.separator", ";"),
                    ("line.separator", "$"),
                    ("null.literal", "-"),
                ],
                "LogAppendTime:1500|Partition:2|Offset:7|a:1;b:-|-|v$",
            ),
        ] {
            assert_eq!(format(Kind::Default, properties).as_deref(), Ok(expected));
        }
        assert_eq!(format(Kind::NoOp, &[]).as_deref(), Ok(""));
    }

    #[test]
    fn a_value_that_cannot_be_deserialized_is_an_error() {
        let class = "org.apache.kafka.common.serialization.IntegerDeserializer";
        let error = format(Kind::Default, &[("value.deserializer", class)]).unwrap_err();
        assert!(error.contains("IntegerDeserializer is not 4"), "{error}");
    }

    #[test]
    fn classes_of_old_versions_are_known() {
        for (class, kind) in [
            (
                "org.apache.kafka.tools.consumer.DefaultMessageFormatter",
                Some(Kind::Default),
            ),
            ("kafka.tools.DefaultMessageFormatter", Some(Kind::Default)),
            (
                "org.apache.kafka.tools.consumer.NoOpMessageFormatter",
                Some(Kind::NoOp),
            ),
            ("foo.Bar", None),
        ] {
            assert_eq!(Kind::of_class(class), kind, "{class}");
        }
    }
}
