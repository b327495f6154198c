//! A directory of files with topics and records, read in the order of their names.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ottla_broker::FirstTopic;

use super::records::{Form, RecordsFile};
use super::spec;

/// What a directory asks for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each with its file and line.
    pub topics: Vec<(FirstTopic, String)>,
    pub records: Vec<RecordsFile>,
}

/// Reads the topics, and checks the lines of the records' files. Hidden files are left alone, unknown ones warned of.
pub(super) fn read(dir: &Path) -> anyhow::Result<Found> {
    let unreadable = || {
        format!(
            "cannot read the directory of first topics {}",
            dir.display()
        )
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(unreadable)? {
        paths.push(entry.with_context(unreadable)?.path());
    }
    paths.sort();
    let mut found = Found::default();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            bail!("{} has a name that is not UTF-8", path.display());
        };
        if name.starts_with('.') || !path.is_file() {
            continue;
        }
        match name.rsplit_once('.') {
            Some((_, "topics")) => read_topics(&path, &mut found.topics)?,
            Some((topic, ending)) if Form::of(ending).is_some() => {
                let form = Form::of(ending).expect("it was just looked at");
                let file = RecordsFile {
                    path: path.clone(),
                    topic: topic.to_owned(),
                    form,
                };
                file.check()?;
                found.records.push(file);
            }
            _ => tracing::warn!(
                "{} is left alone: topics are in *.topics, records in TOPIC.jsonl, TOPIC.tsv and TOPIC.txt",
                path.display()
            ),
        }
    }
    Ok(found)
}

/// A topic a line; what is empty or begins with # is for people.
fn read_topics(path: &Path, topics: &mut Vec<(FirstTopic, String)>) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let source = format!("{}:{number}", path.display());
        topics.push((spec::one(line, &source)?, source));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn files_are_read_in_the_order_of_their_names() {
        let dir = directory(&[
            ("20.topics", "c"),
            ("10.topics", "# the first\n\n a:2 \nb\n"),
            ("z.y.jsonl", "{\"value\":\"v\"}\n\n"),
            ("b.txt", ""),
            (".hidden.topics", ":"),
            ("README.md", "# hello"),
        ]);
        let found = read(dir.path()).unwrap();
        let names: Vec<_> = found.topics.iter().map(|(t, _)| &*t.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(found.topics[0].1.ends_with("10.topics:3"));
        let records: Vec<_> = found.records.iter().map(|r| (&*r.topic, r.form)).collect();
        assert_eq!(records, [("b", Form::Values), ("z.y", Form::Json)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        for (name, text, at) in [
            ("t.topics", "ok\nbad:x\n", "t.topics:2"),
            ("t.jsonl", "{\"value\":1}\n{\"valu\":1}\n", "t.jsonl:2"),
            ("t.tsv", "k\tv\nno tab\n", "t.tsv:2"),
        ] {
            let dir = directory(&[(name, text)]);
            let refused = format!("{:#}", read(dir.path()).unwrap_err());
            assert!(refused.contains(at), "{refused}");
        }
        let gone = read(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(gone.contains("/nowhere/at/all"), "{gone}");
    }
}
