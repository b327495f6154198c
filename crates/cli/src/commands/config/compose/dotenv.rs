//! Files of variables, as `.env` and `env_file` of Compose.

use std::path::Path;

use anyhow::{Context, bail};

/// A variable, its value if it has one, and its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub value: Option<String>,
    pub line: usize,
}

/// Reads a file of `NAME=value` lines.
pub fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let failed = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    parse(&text).with_context(failed)
}

/// `#` begins a comment, `export` may stand before a name, quotes around a value. A name alone is a variable of the shell.
fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (index, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = index + 1;
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let text = text.strip_prefix("export ").unwrap_or(text);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquote(value.trim()))),
            None => (text, None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            bail!("line {line}: '{name}' is not the name of a variable: NAME=value is one");
        }
        lines.push(Line {
            name: name.to_owned(),
            value,
            line,
        });
    }
    Ok(lines)
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inner, _)) = rest.split_once(quote)
        {
            return inner.to_owned();
        }
    }
    let comment = value.find(" #").unwrap_or(value.len());
    value[..comment].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let text =
            "# a comment\n\nA=1\nexport B = two words # why\nC=\"x # y\" # z\nD='q'\nE=\nF\n";
        let lines = parse(text).unwrap();
        let read: Vec<_> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.value.as_deref(), line.line))
            .collect();
        assert_eq!(
            read,
            [
                ("A", Some("1"), 3),
                ("B", Some("two words"), 4),
                ("C", Some("x # y"), 5),
                ("D", Some("q"), 6),
                ("E", Some(""), 7),
                ("F", None, 8),
            ]
        );
    }

    #[test]
    fn what_is_no_variable_is_told_with_its_line() {
        for text in ["A=1\n=2", "A=1\nnot a name=2", "A=1\nnot one"] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains("line 2"), "{told}");
        }
    }
}
