//! Files of records: a line, a record.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use ottla_client::producer::ProducerRecord;

use crate::commands::produce::input::LineFormat;

/// The longest line, bytes: far beyond what a topic takes, so that a file that is something else does not fill the memory.
const MAX_LINE: u64 = 256 << 20;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An object, as `ottla consume --json` prints it.
    Json,
    /// A key, a tab, a value.
    KeysAndValues,
    /// A value.
    Values,
}

impl Form {
    /// By a file's ending.
    pub(super) fn of(ending: &str) -> Option<Form> {
        match ending {
            "jsonl" | "ndjson" => Some(Form::Json),
            "tsv" => Some(Form::KeysAndValues),
            "txt" => Some(Form::Values),
            _ => None,
        }
    }
}

/// A file of records of one topic.
#[derive(Debug, Clone)]
pub(super) struct RecordsFile {
    pub path: PathBuf,
    pub topic: String,
    pub form: Form,
}

/// A record and its line, from 1.
pub(super) type Numbered = (u64, ProducerRecord);

impl RecordsFile {
    /// Errors: the first line that is not a record.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.read()?.try_for_each(|record| record.map(drop))
    }

    /// The records, each read when it is asked for.
    pub(super) fn read(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Numbered>> + use<>> {
        let path = self.path.display().to_string();
        let file = File::open(&self.path).with_context(|| format!("cannot read {path}"))?;
        let mut lines = BufReader::new(file);
        let (form, format) = (self.form, self.format());
        let mut number = 0;
        let next = move || -> anyhow::Result<Option<Numbered>> {
            loop {
                number += 1;
                let Some(line) = next_line(&mut lines)? else {
                    return Ok(None);
                };
                // Where an empty line cannot be a record, it is nothing.
                if line.trim_ascii().is_empty() && form != Form::Values {
                    continue;
                }
                if form == Form::KeysAndValues && !line.contains(&b'\t') {
                    bail!("line {number}: there is no tab between a key and a value");
                }
                let record = format
                    .parse(line)
                    .with_context(|| format!("line {number}"))?;
                return Ok(Some((number, record)));
            }
        };
        let place = self.path.display().to_string();
        Ok(iter(next).map(move |record| record.map_err(|error| located(&place, &error))))
    }

    fn format(&self) -> LineFormat {
        LineFormat {
            topic: self.topic.clone(),
            json: self.form == Form::Json,
            key_separator: (self.form == Form::KeysAndValues).then(|| "\t".to_owned()),
            ..LineFormat::default()
        }
    }
}

/// `FILE:LINE: what`, which editors find; an error that is not a line's goes with the file alone.
fn located(path: &str, error: &anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    match text.strip_prefix("line ") {
        Some(rest) => anyhow::anyhow!("{path}:{rest}"),
        None => anyhow::anyhow!("{path}: {text}"),
    }
}

/// Ends with the first error.
fn iter<T>(
    mut next: impl FnMut() -> anyhow::Result<Option<T>>,
) -> impl Iterator<Item = anyhow::Result<T>> {
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let item = next().transpose();
        failed = matches!(item, Some(Err(_)));
        item
    })
}

fn next_line(lines: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = lines.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() as u64 == MAX_LINE {
        bail!("a line has more than {MAX_LINE} bytes");
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, form: Form, text: &str) -> Vec<(u64, Option<String>, Option<String>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let file = RecordsFile {
            path,
            topic: "t".to_owned(),
            form,
        };
        let text =
            |bytes: Option<bytes::Bytes>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
        file.read()
            .unwrap()
            .map(|record| {
                let (number, record) = record.unwrap();
                (number, text(record.key), text(record.value))
            })
            .collect()
    }

    #[test]
    fn each_form_is_read_by_lines() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(
            read("t.txt", Form::Values, "a\r\n\nb"),
            [
                (1, None, some("a")),
                (2, None, some("")),
                (3, None, some("b"))
            ]
        );
        assert_eq!(
            read("t.tsv", Form::KeysAndValues, "k\tv\tw\n\nl\t\n"),
            [(1, some("k"), some("v\tw")), (3, some("l"), some(""))]
        );
        let json = "{\"key\":\"k\",\"value\":null,\"offset\":7}\n\n{}\n";
        assert_eq!(
            read("t.jsonl", Form::Json, json),
            [(1, some("k"), None), (3, None, None)]
        );
    }
}
