//! The first topics and records: from flags, variables and files, made before anybody is served.

mod directory;
mod make;
mod records;
mod spec;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use ottla_broker::FirstTopic;

pub(super) use make::make;
use records::RecordsFile;

/// What to make, as it is asked for.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Topic to make before serving, unless it is there: name[:partitions[:config=value...]]; repeatable
    #[arg(long = "topic", value_name = "SPEC")]
    topics: Vec<String>,
    /// Directory of files with topics (*.topics) and their first records (TOPIC.jsonl, TOPIC.tsv, TOPIC.txt)
    #[arg(long, value_name = "DIR", env = "OTTLA_INIT_DIR")]
    init_dir: Option<PathBuf>,
}

/// A topic, who asks for it, and its records.
#[derive(Debug)]
struct Wanted {
    topic: FirstTopic,
    source: String,
    records: Vec<RecordsFile>,
}

/// All that is to be made, in the order in which it was asked for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    wanted: Vec<Wanted>,
    /// Place by name, with what Kafka does not tell apart.
    places: BTreeMap<String, usize>,
}

impl Plan {
    /// Reads everything that asks for topics; what is in the files is looked at before anything is made.
    ///
    /// Errors: what cannot be understood, with the place where it is.
    pub(super) fn gather(
        args: &InitArgs,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Plan> {
        let mut plan = Plan::default();
        for text in &args.topics {
            plan.add(spec::one(text, "--topic")?, "--topic")?;
        }
        if let Some(text) = variable("OTTLA_TOPICS") {
            for topic in spec::list(&text, "OTTLA_TOPICS")? {
                plan.add(topic, "OTTLA_TOPICS")?;
            }
        }
        if let Some(text) = variable("KAFKA_CREATE_TOPICS") {
            let separator = variable("KAFKA_CREATE_TOPICS_SEPARATOR");
            for topic in spec::with_replicas(&text, separator.as_deref())? {
                plan.add(topic, "KAFKA_CREATE_TOPICS")?;
            }
        }
        // An empty variable is one that is not set.
        let dir = args.init_dir.as_ref();
        if let Some(dir) = dir.filter(|dir| !dir.as_os_str().is_empty()) {
            let found = directory::read(dir)?;
            for (topic, source) in found.topics {
                plan.add(topic, &source)?;
            }
            for file in found.records {
                plan.add_records(file)?;
            }
        }
        Ok(plan)
    }

    fn add(&mut self, topic: FirstTopic, source: &str) -> anyhow::Result<()> {
        let Some(&place) = self.places.get(&kafkas(&topic.name)) else {
            self.places.insert(kafkas(&topic.name), self.wanted.len());
            self.wanted.push(Wanted {
                topic,
                source: source.to_owned(),
                records: Vec::new(),
            });
            return Ok(());
        };
        let there = &self.wanted[place];
        if there.topic.name != topic.name {
            bail!(
                "{source}: topic {} cannot be beside {} of {}: names that differ only in . and _ collide",
                topic.name,
                there.topic.name,
                there.source
            );
        }
        if there.topic != topic {
            bail!(
                "{source}: topic {} is given otherwise by {}; leave one of them out",
                topic.name,
                there.source
            );
        }
        Ok(())
    }

    /// A topic that only has records gets the broker's default number of partitions.
    fn add_records(&mut self, file: RecordsFile) -> anyhow::Result<()> {
        let known = self.places.get(&kafkas(&file.topic));
        if known.is_none_or(|&place| self.wanted[place].topic.name != file.topic) {
            let topic = FirstTopic {
                name: file.topic.clone(),
                ..FirstTopic::default()
            };
            self.add(topic, &file.path.display().to_string())?;
        }
        let place = self.places[&kafkas(&file.topic)];
        self.wanted[place].records.push(file);
        Ok(())
    }
}

/// Kafka's metrics do not tell `.` from `_`, so it refuses topics that differ in that alone.
fn kafkas(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(topics: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Plan> {
        let args = InitArgs {
            topics: topics.iter().map(|t| (*t).to_owned()).collect(),
            init_dir: None,
        };
        Plan::gather(&args, |name| {
            let found = variables.iter().find(|(n, _)| *n == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn all_sources_come_together_and_may_agree() {
        let variables = [
            ("OTTLA_TOPICS", "b:2,a:3"),
            ("KAFKA_CREATE_TOPICS", "c:1:1:compact"),
        ];
        let plan = gather(&["a:3"], &variables).unwrap();
        let names: Vec<_> = plan.wanted.iter().map(|w| &*w.topic.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(plan.wanted[2].topic.configs["cleanup.policy"], "compact");
    }

    #[test]
    fn contradictions_name_both_sources() {
        for (variable, words) in [("a.b:4", "otherwise"), ("a_b:3", "collide")] {
            let refused = gather(&["a.b:3"], &[("OTTLA_TOPICS", variable)]).unwrap_err();
            let refused = refused.to_string();
            for part in ["--topic", "OTTLA_TOPICS", words] {
                assert!(refused.contains(part), "{refused}");
            }
        }
    }
}
