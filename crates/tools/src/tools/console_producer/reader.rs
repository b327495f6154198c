//! Lines as records: headers, key and value, with separators between them.

use std::io::BufRead;

use ottla_client::producer::ProducerRecord;
use ottla_codec::records::RecordHeader;
use regex::Regex;

use crate::cluster::Properties;

/// Reads records from lines.
#[derive(Debug)]
pub(super) struct LineReader {
    topic: String,
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    /// Whether a line without its separators is a value as a whole.
    ignore_error: bool,
    /// What stands for null.
    null_marker: Option<String>,
    line: u64,
}

impl LineReader {
    /// A reader with the properties of `--reader-property`.
    pub fn new(topic: &str, properties: &Properties) -> Result<LineReader, String> {
        let text = |name: &str, default: &str| {
            let given = properties.get(name);
            given.map_or_else(|| default.to_owned(), Clone::clone)
        };
        let flag = |name: &str| text(name, "").trim().eq_ignore_ascii_case("true");
        let separators = [
            ("headers.delimiter", text("headers.delimiter", "\t")),
            ("headers.separator", text("headers.separator", ",")),
            ("headers.key.separator", text("headers.key.separator", ":")),
        ];
        let key_separator = text("key.separator", "\t");
        for (at, (name, value)) in separators.iter().enumerate() {
            for (other, same) in &separators[at + 1..] {
                if value == same {
                    return Err(format!("{name} and {other} may not be equal"));
                }
            }
        }
        let null_marker = properties.get("null.marker").cloned();
        let keys = ("key.separator", key_separator.clone());
        for (name, value) in [&keys].into_iter().chain(&separators) {
            if null_marker.as_ref() == Some(value) {
                return Err(format!("null.marker and {name} may not be equal"));
            }
        }
        let [
            (_, headers_delimiter),
            (_, separator),
            (_, headers_key_separator),
        ] = separators;
        let headers_separator = Regex::new(&separator)
            .map_err(|_| format!("headers.separator is no regular expression: {separator}"))?;
        Ok(LineReader {
            topic: topic.to_owned(),
            parse_key: flag("parse.key"),
            key_separator,
            parse_headers: flag("parse.headers"),
            headers_delimiter,
            headers_separator,
            headers_key_separator,
            ignore_error: flag("ignore.error"),
            null_marker,
            line: 0,
        })
    }

    /// The next line's record; `None` at the end.
    pub fn read(&mut self, input: &mut impl BufRead) -> Result<Option<ProducerRecord>, String> {
        self.line += 1;
        let mut bytes = Vec::new();
        let read = input.read_until(b'\n', &mut bytes);
        if read.map_err(|error| format!("cannot read standard input: {error}"))? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        self.record(line).map(Some)
    }

    fn record(&self, line: &str) -> Result<ProducerRecord, String> {
        let (headers, rest) = self.split(
            self.parse_headers,
            line,
            line,
            &self.headers_delimiter,
            "headers delimiter",
        )?;
        let (key, value) = self.split(
            self.parse_key,
            line,
            rest,
            &self.key_separator,
            "key separator",
        )?;
        let bytes = |text: &str| self.non_null(text).map(|text| text.to_owned().into());
        Ok(ProducerRecord {
            topic: self.topic.clone(),
            key: key.and_then(bytes),
            value: bytes(value),
            headers: match headers.and_then(|headers| self.non_null(headers)) {
                Some(headers) => self.headers(headers)?,
                None => Vec::new(),
            },
            ..ProducerRecord::default()
        })
    }

    /// What stands before a separator, and what is left.
    fn split<'a>(
        &self,
        enabled: bool,
        line: &str,
        rest: &'a str,
        separator: &str,
        name: &str,
    ) -> Result<(Option<&'a str>, &'a str), String> {
        if !enabled {
            return Ok((None, rest));
        }
        match rest.split_once(separator) {
            Some((before, behind)) => Ok((Some(before), behind)),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(format!(
                "No {name} found on line number {}: '{line}'",
                self.line
            )),
        }
    }

    fn headers(&self, text: &str) -> Result<Vec<RecordHeader>, String> {
        let mut pairs: Vec<&str> = self.headers_separator.split(text).collect();
        // As Java's split, which leaves out what is empty at the end.
        while pairs.len() > 1 && pairs.last().is_some_and(|pair| pair.is_empty()) {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(pair)).collect()
    }

    fn header(&self, pair: &str) -> Result<RecordHeader, String> {
        let Some((key, value)) = pair.split_once(&*self.headers_key_separator) else {
            if self.ignore_error {
                return Ok(RecordHeader {
                    key: pair.to_owned().into(),
                    value: None,
                });
            }
            return Err(format!(
                "No header key separator found in pair '{pair}' on line number {}",
                self.line
            ));
        };
        if self.non_null(key).is_none() {
            return Err(format!(
                "Header keys should not be equal to the null marker '{key}' as they can't be null"
            ));
        }
        Ok(RecordHeader {
            key: key.to_owned().into(),
            value: self.non_null(value).map(|value| value.to_owned().into()),
        })
    }

    fn non_null<'a>(&self, text: &'a str) -> Option<&'a str> {
        (self.null_marker.as_deref() != Some(text)).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, String> {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        LineReader::new("t", &properties)
    }

    fn read(properties: &[(&str, &str)], line: &str) -> Result<ProducerRecord, String> {
        let mut reader = reader(properties).unwrap();
        Ok(reader.read(&mut line.as_bytes())?.expect("a line"))
    }

    fn text(bytes: Option<&bytes::Bytes>) -> Option<&str> {
        bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_line_is_a_value_unless_a_key_is_wanted() {
        for (properties, line, key, value) in [
            (&[][..], "a\tb\r\n", None, Some("a\tb")),
            (
                &[("parse.key", "true")],
                "a\tb\tc\n",
                Some("a"),
                Some("b\tc"),
            ),
            (
                &[("parse.key", " TRUE "), ("key.separator", "::")],
                "a::b",
                Some("a"),
                Some("b"),
            ),
            (
                &[("parse.key", "true"), ("ignore.error", "true")],
                "ab",
                None,
                Some("ab"),
            ),
            (
                &[("parse.key", "true"), ("null.marker", "NULL")],
                "NULL\tNULL",
                None,
                None,
            ),
        ] {
            let record = read(properties, line).unwrap();
            assert_eq!(text(record.key.as_ref()), key, "{line}");
            assert_eq!(text(record.value.as_ref()), value, "{line}");
        }
        let end = reader(&[]).unwrap().read(&mut &b""[..]);
        assert!(matches!(end, Ok(None)), "{end:?}");
    }

    #[test]
    fn headers_come_first() {
        let properties = [
            ("parse.headers", "true"),
            ("parse.key", "true"),
            ("null.marker", "-"),
        ];
        let record = read(&properties, "a:1,b:-\tk\tv").unwrap();
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|h| (text(Some(&h.key)).unwrap(), text(h.value.as_ref())))
            .collect();
        assert_eq!(headers, [("a", Some("1")), ("b", None)]);
        assert_eq!(text(record.key.as_ref()), Some("k"));
        assert_eq!(text(record.value.as_ref()), Some("v"));
        assert!(read(&properties, "-\tk\tv").unwrap().headers.is_empty());
    }

    #[test]
    fn what_lacks_a_separator_is_named_with_its_line() {
        for (properties, line, expected) in [
            (
                &[("parse.key", "true")][..],
                "a",
                "No key separator found on line number 1: 'a'",
            ),
            (
                &[("parse.headers", "true")],
                "a",
                "No headers delimiter found on line number 1: 'a'",
            ),
            (
                &[("parse.headers", "true")],
                "a:1,b\tv",
                "No header key separator found in pair 'b' on line number 1",
            ),
            (
                &[("parse.headers", "true"), ("null.marker", "-")],
                "-:1\tv",
                "Header keys should not be equal to the null marker '-' as they can't be null",
            ),
        ] {
            assert_eq!(read(properties, line).unwrap_err(), expected);
        }
    }

    #[test]
    fn separators_must_differ() {
        for (properties, expected) in [
            (
                &[("headers.delimiter", ",")][..],
                "headers.delimiter and headers.separator may not be equal",
            ),
            (
                &[("headers.separator", ":")],
                "headers.separator and headers.key.separator may not be equal",
            ),
            (
                &[("null.marker", "\t")],
                "null.marker and key.separator may not be equal",
            ),
        ] {
            assert_eq!(reader(properties).unwrap_err(), expected);
        }
    }
}
