//! How a record is printed: a format in kcat's spirit, or JSON.

use std::io::{self, Write};
use std::str::FromStr;

use ottla_client::consumer::ConsumedRecord;
use serde_json::{Value, json};

/// A parsed format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    KeyLength,
    ValueLength,
    Headers,
}

impl Default for Format {
    fn default() -> Self {
        Format::Parts(vec![Part::Value, Part::Text("\n".to_owned())])
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let part = match c {
                '%' => match chars.next() {
                    Some('%') => {
                        literal.push('%');
                        continue;
                    }
                    Some('t') => Part::Topic,
                    Some('p') => Part::Partition,
                    Some('o') => Part::Offset,
                    Some('T') => Part::Timestamp,
                    Some('k') => Part::Key,
                    Some('s') => Part::Value,
                    Some('K') => Part::KeyLength,
                    Some('S') => Part::ValueLength,
                    Some('h') => Part::Headers,
                    other => {
                        let other = other.map(String::from).unwrap_or_default();
                        return Err(format!(
                            "unknown %{other}: there are %t %p %o %T %k %s %K %S %h %%"
                        ));
                    }
                },
                '\\' => {
                    match chars.next() {
                        Some('n') => literal.push('\n'),
                        Some('t') => literal.push('\t'),
                        Some('r') => literal.push('\r'),
                        Some('0') => literal.push('\0'),
                        Some('\\') | None => literal.push('\\'),
                        Some(other) => literal.extend(['\\', other]),
                    }
                    continue;
                }
                other => {
                    literal.push(other);
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Format::Parts(parts))
    }
}

impl Format {
    pub(super) fn write(&self, out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
        match self {
            Format::Json => writeln!(out, "{}", as_json(record)),
            Format::Parts(parts) => parts.iter().try_for_each(|part| part.write(out, record)),
        }
    }
}

impl Part {
    fn write(&self, out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
        let length = |bytes: &Option<bytes::Bytes>| {
            bytes
                .as_ref()
                .map_or(-1, |b| i64::try_from(b.len()).unwrap_or(i64::MAX))
        };
        match self {
            Part::Text(text) => out.write_all(text.as_bytes()),
            Part::Topic => out.write_all(record.topic.as_bytes()),
            Part::Partition => write!(out, "{}", record.partition),
            Part::Offset => write!(out, "{}", record.offset),
            Part::Timestamp => write!(out, "{}", record.timestamp),
            Part::Key => out.write_all(record.key.as_deref().unwrap_or_default()),
            Part::Value => out.write_all(record.value.as_deref().unwrap_or_default()),
            Part::KeyLength => write!(out, "{}", length(&record.key)),
            Part::ValueLength => write!(out, "{}", length(&record.value)),
            Part::Headers => write_headers(out, record),
        }
    }
}

fn write_headers(out: &mut impl Write, record: &ConsumedRecord) -> io::Result<()> {
    for (index, header) in record.headers.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(&header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.as_deref().unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// What `produce --input json` takes. Bytes that are not UTF-8 are shown with replacement characters.
fn as_json(record: &ConsumedRecord) -> Value {
    let text = |bytes: &Option<bytes::Bytes>| {
        bytes
            .as_deref()
            .map(|b| String::from_utf8_lossy(b).into_owned())
    };
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| json!([String::from_utf8_lossy(&header.key), text(&header.value)]))
        .collect();
    json!({
        "topic": &*record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": text(&record.key),
        "value": text(&record.value),
        "headers": headers,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ottla_codec::records::RecordHeader;

    use super::*;

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            topic: "orders".into(),
            partition: 2,
            offset: 17,
            timestamp: 1000,
            timestamp_type: ottla_codec::batch::TimestampType::CreateTime,
            key: None,
            value: Some(Bytes::from_static(b"v\xff")),
            headers: vec![
                RecordHeader {
                    key: Bytes::from_static(b"a"),
                    value: Some(Bytes::from_static(b"1")),
                },
                RecordHeader {
                    key: Bytes::from_static(b"b"),
                    value: None,
                },
            ],
        }
    }

    fn print(format: &Format) -> Vec<u8> {
        let mut out = Vec::new();
        format.write(&mut out, &record()).unwrap();
        out
    }

    #[test]
    fn every_part_of_a_format_is_printed() {
        let format = r"%t[%p]@%o %T k=%k(%K) %h %S%%\t%s\n".parse().unwrap();
        assert_eq!(
            print(&format),
            b"orders[2]@17 1000 k=(-1) a=1,b=NULL 2%\tv\xff\n"
        );
        assert_eq!(print(&Format::default()), b"v\xff\n");
        assert!("%x".parse::<Format>().is_err());
        assert!("%".parse::<Format>().is_err());
    }

    #[test]
    fn json_is_one_line() {
        assert_eq!(
            String::from_utf8(print(&Format::Json)).unwrap(),
            "{\"topic\":\"orders\",\"partition\":2,\"offset\":17,\"timestamp\":1000,\"key\":null,\
             \"value\":\"v\u{fffd}\",\"headers\":[[\"a\",\"1\"],[\"b\",null]]}\n"
        );
    }
}
