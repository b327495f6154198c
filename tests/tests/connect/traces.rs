//! What Connect leaves in topics, settings, groups and its own log is what it leaves with Apache Kafka; and its topics must be
//! compacted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ottla_tests::harness::connect::{Worker, complaints};
use ottla_tests::harness::{Broker, Reader, Target, unique};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use std::time::Duration;

use crate::files::{line, lines, sink, source};

const TIMEOUT: Duration = Duration::from_secs(60);

/// What is there when all is over, without what differs from run to run.
#[derive(Debug, PartialEq)]
struct Traces {
    /// Partitions and settings of each topic.
    topics: BTreeMap<String, (usize, BTreeMap<String, String>)>,
    groups: BTreeSet<(String, String)>,
    /// Keys of the records in each internal topic, as far as they follow from what was done.
    keys: BTreeMap<String, BTreeSet<String>>,
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

async fn topics(bootstrap: &str) -> BTreeMap<String, (usize, BTreeMap<String, String>)> {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let names: Vec<(String, usize)> = {
        let metadata = admin.inner().fetch_metadata(None, TIMEOUT).unwrap();
        let topics = metadata.topics().iter();
        topics
            .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
            // Ottla keeps groups and transactions elsewhere.
            .filter(|(name, _)| !name.starts_with("__"))
            .collect()
    };
    let mut found = BTreeMap::new();
    for (name, partitions) in names {
        let asked = [ResourceSpecifier::Topic(&name)];
        let mut described = admin
            .describe_configs(&asked, &AdminOptions::new())
            .await
            .unwrap();
        let resource = described.remove(0).unwrap();
        let settings = resource
            .entries
            .into_iter()
            .filter(|entry| matches!(entry.source, ConfigSource::DynamicTopic))
            .map(|entry| (entry.name, entry.value.unwrap_or_default()))
            .collect();
        found.insert(name, (partitions, settings));
    }
    found
}

fn groups(bootstrap: &str) -> BTreeSet<(String, String)> {
    let consumer: BaseConsumer = client(bootstrap).create().unwrap();
    let list = consumer.fetch_group_list(None, TIMEOUT).unwrap();
    let groups = list.groups().iter();
    groups
        .map(|group| (group.name().to_owned(), group.protocol_type().to_owned()))
        .filter(|(name, _)| !name.starts_with("reader-"))
        .collect()
}

fn keys(bootstrap: &str, topic: &str) -> BTreeSet<String> {
    let records = Reader::all(bootstrap, topic).found;
    let keys = records.iter().map(|record| record.key().unwrap());
    keys.map(|key| String::from_utf8_lossy(key).into_owned())
        .collect()
}

/// A life in which nothing bad happens: what it leaves, and the warnings and errors of the worker.
async fn live(target: Target, files: &std::path::Path, group: &str) -> (Traces, BTreeSet<String>) {
    let broker = Broker::start_target(target, &[]);
    let bootstrap = broker.bootstrap();
    let settings = ["exactly.once.source.support=enabled"];
    let mut worker = Worker::launch(&bootstrap, group, &settings);
    let original = files.join("original");
    let copy = files.join(format!("{target:?}"));
    let written: Vec<String> = (0..50).map(line).collect();
    worker.await_ready();
    // Settings of a topic that Connect creates for a source (KIP-158).
    let mut config = source(&original, "lines");
    config["topic.creation.default.replication.factor"] = "1".into();
    config["topic.creation.default.partitions"] = "1".into();
    config["topic.creation.default.retention.ms"] = "123456789".into();
    worker.put_connector("source", &config);
    worker.await_that("the source has created its topic", || {
        let used = worker.ask("GET", "/connectors/source/topics", None).body;
        let there = used["source"]["topics"][0] == "lines";
        there.then_some(()).ok_or(used.to_string())
    });
    worker.put_connector("sink", &sink(&copy, "lines"));
    worker.await_that("the copy is there", || {
        let copied = lines(&copy);
        (copied == written)
            .then_some(())
            .ok_or(copied.len().to_string())
    });
    for name in ["source", "sink"] {
        let path = format!("/connectors/{name}");
        worker
            .ask("POST", &format!("{path}/restart?includeTasks=true"), None)
            .success();
        // Its state may be that of before. A task that is stopped while it starts waits for its worker, and the worker for
        // the task, until it complains.
        worker.await_that("the task has started again", || {
            let log = worker.log();
            let of_task = format!("{{id={name}-0}}");
            let starts = log.lines().filter(|line| {
                line.contains(&of_task) && line.contains("finished initialization and start")
            });
            let starts = starts.count();
            (starts == 2).then_some(()).ok_or(starts.to_string())
        });
        worker.await_state(name, "RUNNING", 1);
        worker.ask("PUT", &format!("{path}/stop"), None).success();
        worker.await_state(name, "STOPPED", 0);
        worker.ask("DELETE", &path, None).success();
    }
    worker.kill();
    let internal = ["configs", "offsets", "status"].map(|name| format!("{group}-{name}"));
    let traces = Traces {
        topics: topics(&bootstrap).await,
        groups: groups(&bootstrap),
        keys: internal
            .map(|topic| (topic.clone(), keys(&bootstrap, &topic)))
            .into(),
    };
    (traces, complaints(&worker.log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calm_life_leaves_what_it_leaves_with_apache_kafka() {
    let files = tempfile::tempdir().unwrap();
    let text: String = (0..50).map(|number| line(number) + "\n").collect();
    fs::write(files.path().join("original"), text).unwrap();
    let group = unique("connect");
    let (path, name) = (files.path().to_owned(), group.clone());
    let kafka = tokio::spawn(async move { live(Target::Kafka, &path, &name).await });
    let (traces, complaints) = live(Target::Ottla, files.path(), &group).await;
    let (expected, known) = kafka.await.unwrap();
    for topic in ["configs", "offsets", "status"].map(|name| format!("{group}-{name}")) {
        let policy = traces.topics[&topic].1.get("cleanup.policy");
        assert_eq!(policy.map(String::as_str), Some("compact"), "{topic}");
    }
    assert_eq!(traces, expected);
    // Apache Kafka's own come and go with what is slow; no other is right.
    let more: Vec<_> = complaints.difference(&known).collect();
    assert!(more.is_empty(), "{more:#?}");
}

#[tokio::test]
async fn a_worker_refuses_a_topic_of_its_own_that_is_not_compacted() {
    let broker = Broker::start();
    let group = unique("connect");
    let topic = format!("{group}-offsets");
    let admin: AdminClient<DefaultClientContext> = client(&broker.bootstrap()).create().unwrap();
    let new = NewTopic::new(&topic, 5, TopicReplication::Fixed(1)).set("cleanup.policy", "delete");
    let made = admin
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    let mut worker = Worker::launch(&broker.bootstrap(), &group, &[]);
    let status = worker.await_end();
    assert!(!status.success());
    let expected = format!(
        "Topic '{topic}' supplied via the 'offset.storage.topic' property is required to have 'cleanup.policy=compact'"
    );
    assert!(worker.log().contains(&expected), "{}", worker.log());
}
