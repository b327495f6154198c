//! Answers as trees: the `Debug` text of a message, parsed into JSON.
//!
//! The messages of `kafka-protocol` have no serde, but every one derives `Debug`. Parsing that text gives all of its fields,
//! also those that a later version of the crate adds, without a line of code per message.

use serde_json::{Map, Value};

/// Parses the single-line `Debug` text of a message. Newtypes and `Some` vanish, `None` is null, byte strings become
/// `Value::String` with a `b:` prefix and two hex digits a byte.
pub fn tree(message: &impl std::fmt::Debug) -> Value {
    let text = format!("{message:?}");
    let mut parser = Parser { rest: &text };
    let value = parser.value();
    assert!(parser.rest.trim().is_empty(), "not a Debug text: {text}");
    value
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> char {
        self.rest = self.rest.trim_start();
        self.rest.chars().next().unwrap_or('\0')
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == c;
        if found {
            self.rest = &self.rest[c.len_utf8()..];
        }
        found
    }

    fn value(&mut self) -> Value {
        match self.peek() {
            '"' => Value::String(self.quoted()),
            '[' => self.list(),
            '{' => self.map(),
            _ if self.rest.starts_with("b\"") => self.byte_string(),
            _ => self.named(),
        }
    }

    fn list(&mut self) -> Value {
        self.take('[');
        let mut items = Vec::new();
        while !self.take(']') {
            items.push(self.value());
            self.take(',');
        }
        Value::Array(items)
    }

    /// `{k: v}` of a map, or the fields of a struct after its name.
    fn map(&mut self) -> Value {
        self.take('{');
        let mut fields = Map::new();
        while !self.take('}') {
            let key = match self.peek() {
                '"' => self.quoted(),
                _ => self.word().to_owned(),
            };
            self.take(':');
            fields.insert(key, self.value());
            self.take(',');
        }
        Value::Object(fields)
    }

    /// A number, a UUID, `None`, `Name { .. }`, `Name(value)`.
    fn named(&mut self) -> Value {
        let word = self.word();
        match self.peek() {
            '{' => self.map(),
            '(' => {
                self.take('(');
                let inner = self.value();
                self.take(')');
                inner
            }
            _ if word == "None" => Value::Null,
            _ if word == "true" || word == "false" => Value::Bool(word == "true"),
            _ => word
                .parse::<i64>()
                .map_or_else(|_| Value::String(word.to_owned()), Value::from),
        }
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '#')))
            .unwrap_or(self.rest.len());
        assert!(end > 0, "unexpected text in a Debug output: {}", self.rest);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The text between quotes, escapes of `str`'s Debug resolved.
    fn quoted(&mut self) -> String {
        self.take('"');
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return out;
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('r') => out.push('\r'),
                    Some('t') => out.push('\t'),
                    Some('0') => out.push('\0'),
                    Some('u') => {
                        let hex: String = chars
                            .by_ref()
                            .map(|(_, c)| c)
                            .skip(1)
                            .take_while(|c| *c != '}')
                            .collect();
                        out.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        panic!("a string without an end in a Debug output");
    }

    /// `b"..."` of `bytes::Bytes`: printable ASCII as it is, the rest escaped.
    fn byte_string(&mut self) -> Value {
        let bytes = self.rest.as_bytes();
        let mut out = String::from("b:");
        let mut at = 2;
        loop {
            let byte = match bytes[at] {
                b'"' => break,
                b'\\' => {
                    at += 1;
                    match bytes[at] {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'0' => 0,
                        b'x' => {
                            at += 2;
                            let hex = &self.rest[at - 1..=at];
                            u8::from_str_radix(hex, 16).expect("two hex digits after \\x")
                        }
                        other => other,
                    }
                }
                other => other,
            };
            out.push_str(&format!("{byte:02x}"));
            at += 1;
        }
        self.rest = &self.rest[at + 1..];
        Value::String(out)
    }
}

/// The bytes of a byte string in a tree.
pub fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let hex = value.as_str()?.strip_prefix("b:")?;
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug)]
    #[allow(dead_code)]
    struct Name(&'static str);
    #[derive(Debug)]
    #[allow(dead_code)]
    struct Answer {
        name: Name,
        code: i16,
        id: uuid::Uuid,
        data: Option<Bytes>,
        none: Option<i32>,
        list: Vec<Name>,
        tags: BTreeMap<i32, Bytes>,
        yes: bool,
    }

    #[test]
    fn a_debug_text_becomes_a_tree_of_its_fields() {
        let answer = Answer {
            name: Name("a \"quoted\" näme\n"),
            code: -1,
            id: uuid::Uuid::nil(),
            data: Some(Bytes::from_static(b"\0\x01\xffa\"\\\n")),
            none: None,
            list: vec![Name("x"), Name("")],
            tags: BTreeMap::from([(7, Bytes::from_static(b"t"))]),
            yes: true,
        };
        assert_eq!(
            tree(&answer),
            json!({
                "name": "a \"quoted\" näme\n", "code": -1, "id": "00000000-0000-0000-0000-000000000000",
                "data": "b:0001ff61225c0a", "none": null, "list": ["x", ""], "tags": {"7": "b:74"}, "yes": true,
            })
        );
        assert_eq!(
            bytes_of(&json!("b:0001ff")),
            Some(vec![0, 1, 255]),
            "and byte strings can be read back"
        );
    }
}
