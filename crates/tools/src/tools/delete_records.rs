//! `kafka-delete-records`: deletes the records before an offset of partitions, as a file of JSON lists them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::Options;
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "delete-records",
    classes: &[
        "kafka.admin.DeleteRecordsCommand",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ],
    run,
};

fn run(args: &[String]) -> Result<(), Stop> {
    let options = Options::new()
        .bootstrap_server()
        .value(
            "offset-json-file",
            "file",
            "REQUIRED. The partitions and offsets, as in {\"partitions\": [{\"topic\": \"a\", \"partition\": 0, \"offset\": 5}], \"version\": 1}; -1 is the end.",
        )
        .value("command-config", "file", "Properties of the client.");
    let parsed = options.parse(args)?;
    parsed.help_or_version("This tool deletes the records before an offset of partitions.")?;
    parsed.require(&["bootstrap-server", "offset-json-file"])?;
    let bootstrap = parsed.value("bootstrap-server")?.unwrap_or_default();
    let properties = cluster::read_properties(parsed.value("command-config")?)?;
    let file = parsed.value("offset-json-file")?.unwrap_or_default();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Stop::Failed(format!("Unable to read file {file}: {error}")))?;
    let offsets = parse(&text).map_err(Stop::Failed)?;
    block_on(async {
        let mut client = cluster::connect(bootstrap, &properties, "deleteRecords").await?;
        print_line!("Executing records delete operation");
        let results = client.delete_records_of(&offsets).await;
        print_line!("Records delete operation completed:");
        for ((topic, partition), result) in results {
            match result {
                Ok(start) => {
                    print_line!("partition: {topic}-{partition}\tlow_watermark: {start}");
                }
                Err(error) => {
                    let error = Failure::from(error).as_cause();
                    print_line!("partition: {topic}-{partition}\terror: {error}");
                }
            }
        }
        Ok(())
    })
    .map_err(|failure: Failure| Stop::Failed(failure.to_string()))
}

/// The offsets of a file; the error is a message.
fn parse(text: &str) -> Result<BTreeMap<(String, i32), i64>, String> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("The input string is not a valid JSON: {error}"))?;
    let version = json.get("version").map_or(Ok(1), |version| {
        version
            .as_i64()
            .ok_or_else(|| unexpected("Integer", version))
    })?;
    if version != 1 {
        return Err(format!("Not supported version field value {version}"));
    }
    let partitions = json
        .get("partitions")
        .ok_or_else(|| "Missing partitions field".to_owned())?;
    let partitions = partitions
        .as_array()
        .ok_or_else(|| unexpected("array", partitions))?;
    let mut offsets = BTreeMap::new();
    let mut twice: Vec<String> = Vec::new();
    for entry in partitions {
        let field = |name: &str| {
            entry
                .get(name)
                .ok_or_else(|| format!("No such field exists: `{name}` in {entry}"))
        };
        let topic = field("topic")?;
        let topic = topic.as_str().ok_or_else(|| unexpected("String", topic))?;
        let partition = field("partition")?;
        let partition = partition
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .ok_or_else(|| unexpected("Integer", partition))?;
        let offset = field("offset")?;
        let offset = offset.as_i64().ok_or_else(|| unexpected("Long", offset))?;
        if offsets
            .insert((topic.to_owned(), partition), offset)
            .is_some()
        {
            twice.push(format!("{topic}-{partition}"));
        }
    }
    if twice.is_empty() {
        return Ok(offsets);
    }
    twice.dedup();
    Err(format!(
        "Offset json file contains duplicate topic partitions: {}",
        twice.join(",")
    ))
}

fn unexpected(kind: &str, found: &Value) -> String {
    format!("Expected `{kind}` value, received {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_offsets_are_read_with_and_without_a_version() {
        let one = r#"{"partitions":[{"topic":"a","partition":1,"offset":5}]"#;
        let expected = BTreeMap::from([(("a".to_owned(), 1), 5)]);
        assert_eq!(parse(&format!("{one}}}")), Ok(expected.clone()));
        assert_eq!(parse(&format!("{one},\"version\":1}}")), Ok(expected));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let entry = r#"{"topic":"a","partition":1,"offset":5}"#;
        for (text, part) in [
            ("x", "not a valid JSON"),
            ("{}", "Missing partitions field"),
            (r#"{"partitions":1}"#, "Expected `array`"),
            (
                r#"{"version":2,"partitions":[]}"#,
                "Not supported version field value 2",
            ),
            (r#"{"partitions":[{"topic":"a"}]}"#, "`partition`"),
            (
                r#"{"partitions":[{"topic":"a","partition":"0","offset":1}]}"#,
                "Expected `Integer` value, received \"0\"",
            ),
            (
                r#"{"partitions":[{"topic":"a","partition":4294967296,"offset":1}]}"#,
                "Expected `Integer`",
            ),
            (
                &format!("{{\"partitions\":[{entry},{entry}]}}"),
                "duplicate topic partitions: a-1",
            ),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
