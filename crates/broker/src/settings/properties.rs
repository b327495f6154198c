//! Java's properties format, as in `server.properties`.

use std::collections::BTreeMap;

/// Why a properties file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PropertiesError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// One `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Entry {
    /// The line it begins on, counted from 1.
    pub line: usize,
    pub name: String,
    pub value: String,
}

/// Reads `name=value` lines: comments with `#` or `!`, `=`, `:` or white space between name and value, lines continued
/// by a backslash, escapes `\t \n \r \f \uXXXX`. The last of several values of a name wins.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, PropertiesError> {
    entries(text)
        .map(|entry| entry.map(|entry| (entry.name, entry.value)))
        .collect()
}

/// The same line by line, with each that is malformed in its place.
pub fn entries(text: &str) -> impl Iterator<Item = Result<Entry, PropertiesError>> {
    logical_lines(text).into_iter().map(|(line, logical)| {
        let (name, value) = split(&logical);
        let unescape = |part| unescape(part).map_err(|reason| PropertiesError { line, reason });
        let name = unescape(name)?;
        if name.is_empty() {
            return Err(PropertiesError {
                line,
                reason: format!("there is no name before the value in `{logical}`"),
            });
        }
        let value = unescape(value)?.trim_end().to_owned();
        Ok(Entry { line, name, value })
    })
}

/// Lines without comments and blank ones, with those joined that end in a backslash; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut result: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if !continued && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let more = line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
        let content = if more { &line[..line.len() - 1] } else { line };
        match result.last_mut() {
            Some((_, last)) if continued => last.push_str(content),
            _ => result.push((index + 1, content.to_owned())),
        }
        continued = more;
    }
    result
}

/// Splits at the first `=`, `:` or white space that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let is_end = !escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}');
            escaped = !escaped && *c == '\\';
            is_end
        })
        .map_or(line.len(), |(index, _)| index);
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t', '\u{c}']);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, rest.trim_start_matches([' ', '\t', '\u{c}']))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = chars.next() {
        let literal = if c == '\\' {
            match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let unit = (digits.len() == 4)
                        .then(|| u16::from_str_radix(&digits, 16).ok())
                        .flatten()
                        .ok_or_else(|| format!("`\\u{digits}` is not an escape: four hexadecimal digits must follow `\\u`"))?;
                    units.push(unit);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => continue,
            }
        } else {
            c
        };
        units.extend_from_slice(literal.encode_utf16(&mut buffer));
    }
    String::from_utf16(&units).map_err(|_| format!("`{text}` holds half of a surrogate pair"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_properties_file_is_read_as_java_reads_it() {
        let text = "\u{feff}# comment\n! another\n\n a = 1\nb:2\nc 3\nd=\ne\n\
                    list=x,\\\n     y,\\\n     z\n\
                    path=C\\:\\\\data\nname\\ with\\=signs=v\nunicode=\\u00e9\\uD83D\\uDE00\ntab=\\tx\n\
                    a = 4 \r\n# not continued \\\nlast=1";
        let values = parse(text).expect("is valid");
        let expected = [
            ("a", "4"),
            ("b", "2"),
            ("c", "3"),
            ("d", ""),
            ("e", ""),
            ("last", "1"),
            ("list", "x,y,z"),
            ("name with=signs", "v"),
            ("path", "C:\\data"),
            ("tab", "\tx"),
            ("unicode", "é😀"),
        ];
        assert_eq!(
            values,
            expected
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect()
        );
    }

    #[test]
    fn an_error_names_its_line() {
        for (text, line) in [
            ("a=1\n=2", 2),
            ("a=\\u00g0", 1),
            ("# c\n\na=x\\\n y\nb=\\u12", 5),
            ("a=\\ud800", 1),
        ] {
            assert_eq!(parse(text).expect_err("is invalid").line, line, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|[\\\\u0-9a-f=: \\n#!]*") {
            let _ = parse(&text);
        }
    }
}
