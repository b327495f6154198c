//! Kafka's command line tools over Ottla's client: the same options, the same output, the same exit codes as Kafka 4.3's.
//!
//! A tool is one file in `tools/`. It parses its arguments ([`options`]), reaches the cluster ([`cluster`]), prints what the
//! original prints, and ends with `Ok` (exit code 0) or with a [`Stop`]. The texts that scripts look for are the originals';
//! help and hints are our own.
#![forbid(unsafe_code)]

mod cluster;
mod errors;
mod java;
mod options;
mod properties;
mod signals;
mod stop;
mod table;
mod talk;
mod tools;
mod topic_filter;

pub use stop::Stop;

/// What `--version` answers: the version of Kafka whose tools these stand in for.
pub const KAFKA_VERSION: &str = "4.3.1";

/// A tool as Kafka names it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// The script's name without `kafka-` and `.sh`.
    pub name: &'static str,
    /// The Java classes that `kafka-run-class` knows it by.
    pub classes: &'static [&'static str],
    /// Runs it on its arguments.
    run: fn(&[String]) -> Result<(), Stop>,
}

/// The tool of this name: `topics`, `kafka-topics` or `kafka-topics.sh`.
pub fn find(name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").unwrap_or(name);
    let name = name.strip_prefix("kafka-").unwrap_or(name);
    tools::TOOLS.iter().find(|tool| tool.name == name)
}

/// All tools by name.
pub fn all() -> &'static [Tool] {
    tools::TOOLS
}

/// The tool that this Java class is: `org.apache.kafka.tools.TopicCommand`.
pub fn find_class(class: &str) -> Option<&'static Tool> {
    tools::TOOLS
        .iter()
        .find(|tool| tool.classes.contains(&class))
}

/// The class that `kafka-run-class` is asked to run, and that class's arguments. What is for the Java machine is left out.
pub fn class_and_args(args: &[String]) -> Option<(&str, &[String])> {
    match args {
        [option, rest @ ..] if option == "-daemon" || option == "-loggc" => class_and_args(rest),
        [option, _, rest @ ..] if option == "-name" => class_and_args(rest),
        [class, rest @ ..] => Some((class, rest)),
        [] => None,
    }
}

impl Tool {
    /// Runs the tool; answers with its exit code.
    pub fn run(&self, args: &[String]) -> u8 {
        match (self.run)(args) {
            Ok(()) => 0,
            Err(stop) => stop.tell(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_its_own_name_and_by_that_of_its_script() {
        for name in ["topics", "kafka-topics", "kafka-topics.sh"] {
            assert_eq!(find(name).map(|tool| tool.name), Some("topics"));
        }
        assert!(find("ottla").is_none());
        assert!(find("kafka-").is_none());
    }

    #[test]
    fn a_tool_is_found_by_its_class() {
        let tool = find_class("org.apache.kafka.tools.TopicCommand");
        assert_eq!(tool.map(|tool| tool.name), Some("topics"));
        assert!(find_class("TopicCommand").is_none());
    }

    #[test]
    fn what_is_for_the_java_machine_stands_before_a_class_and_does_not_count() {
        let args = ["-name", "x", "-loggc", "kafka.Kafka", "server.properties"].map(str::to_owned);
        let (class, rest) = class_and_args(&args).unwrap();
        assert_eq!((class, rest), ("kafka.Kafka", &args[4..]));
        assert!(class_and_args(&args[..2]).is_none());
    }

    #[test]
    fn names_and_classes_are_those_of_one_tool_each() {
        let mut seen = std::collections::HashSet::new();
        for tool in all() {
            assert!(seen.insert(tool.name), "{}", tool.name);
            for class in tool.classes {
                assert!(seen.insert(class), "{class}");
            }
        }
    }
}
