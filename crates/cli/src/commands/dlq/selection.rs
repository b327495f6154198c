//! Which records of a queue are meant.

use clap::Args;
use serde_json::{Map, Value};

use crate::time::parse_time;

/// Without any of these all records are meant; with several those to which all of them apply.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which records")]
pub(super) struct SelectionArgs {
    /// Of this partition
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// The one at this offset of the queue
    #[arg(short, long, value_name = "OFFSET", requires = "partition", conflicts_with_all = ["from", "to"],
          value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// From this offset of the queue on
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Before this offset of the queue
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// Dead-lettered for this group
    #[arg(short, long)]
    group: Option<String>,
    /// Whose reason has this text in it
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
    /// With this key
    #[arg(short, long)]
    key: Option<String>,
    /// Dead-lettered at this time or later, as in 2026-01-31T12:00:00Z, or milliseconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Dead-lettered before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
}

impl SelectionArgs {
    /// As the body of a request has it.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("partition", self.partition.map(Into::into));
        put("offset", self.offset.map(Into::into));
        put("from", self.from.map(Into::into));
        put("to", self.to.map(Into::into));
        put("group", self.group.clone().map(Into::into));
        put("reason", self.reason.clone().map(Into::into));
        put("key", self.key.clone().map(Into::into));
        put("since", self.since.map(Into::into));
        put("until", self.until.map(Into::into));
        Value::Object(object)
    }

    /// As parameters of a path.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        const NAMES: [&str; 9] = [
            "partition",
            "offset",
            "from",
            "to",
            "group",
            "reason",
            "key",
            "since",
            "until",
        ];
        let json = self.json();
        NAMES
            .into_iter()
            .filter_map(|name| match &json[name] {
                Value::Null => None,
                Value::String(text) => Some((name, text.clone())),
                other => Some((name, other.to_string())),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        selection: SelectionArgs,
    }

    fn read(args: &[&str]) -> Result<SelectionArgs, clap::Error> {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(args));
        line.map(|line| line.selection)
    }

    #[test]
    fn flags_become_fields_and_parameters() {
        let selection = read(&[
            "-p",
            "1",
            "--since",
            "1970-01-01T00:00:01Z",
            "-r",
            "no & such",
        ])
        .unwrap();
        assert_eq!(
            selection.json(),
            json!({"partition": 1, "reason": "no & such", "since": 1000})
        );
        let parameters = selection.parameters();
        let expected = [
            ("partition", "1"),
            ("reason", "no & such"),
            ("since", "1000"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| (*n, (*v).to_owned()))
            .collect();
        assert_eq!(parameters, expected);
        assert_eq!(read(&[]).unwrap().json(), json!({}));
    }

    #[test]
    fn an_offset_needs_its_partition_and_no_range() {
        assert!(read(&["-o", "3"]).is_err());
        assert!(read(&["-o", "3", "-p", "0", "--from", "1"]).is_err());
        assert!(read(&["-o", "-3", "-p", "0"]).is_err());
        assert!(read(&["-o", "3", "-p", "0"]).is_ok());
    }
}
