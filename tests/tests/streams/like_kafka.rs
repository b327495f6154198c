//! The same application against Ottla and against Apache Kafka: what it logs, what it leaves behind, what Kafka's tools say and
//! do then.

use std::collections::{BTreeMap, BTreeSet};

use ottla_tests::harness::{Broker, Target, original, try_await};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::application::{Application, TIMEOUT};
use super::feed::{Feed, Input};
use super::shop;
use super::topics::{client, make};
use super::view::{Record, View, read};
use super::word_count::{WORDS, lines};

const PARTITIONS: i32 = 2;
const LINES: usize = 200;
/// A store with settings of its own for its changelog, and repartition topics that are purged at once.
const SETTINGS: &[(&str, &str)] = &[
    ("topic.segment.bytes", "1048576"),
    ("topic.min.cleanable.dirty.ratio", "0.01"),
    ("repartition.purge.interval.ms", "100"),
    // Who is killed stays a member for as long as the tools look.
    ("session.timeout.ms", "300000"),
];

/// What a tool says, of which the address of the broker and random ids are no part.
fn tool(broker: &Broker, name: &str, args: &[&str]) -> String {
    let server = broker.bootstrap();
    let mut all = vec!["--bootstrap-server", &server];
    all.extend(args);
    let said = original(name, &all, "");
    let mut lines: Vec<_> = said
        .stdout
        .lines()
        .chain(said.stderr.lines())
        .map(|line| with_own_settings(&plain(line)))
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    format!("{:?}: {}", said.code, lines.join("\n"))
}

/// A line without what differs between any two runs: ids, numbers of requests, and the columns' widths.
fn plain(line: &str) -> String {
    let mut plain: Vec<&str> = Vec::new();
    for word in line.split_whitespace() {
        let mut parts = word.split(|c: char| c != '-' && !c.is_ascii_hexdigit());
        let is_id = parts.any(|part| part.len() >= 36 && part.matches('-').count() >= 4);
        plain.push(match plain[..] {
            [.., "TopicId:"] | [.., "correlation", "id"] => "ID",
            _ if is_id => "ID",
            _ => word,
        });
    }
    plain.join(" ")
}

/// A topic's description with its settings in order, but for the one that Kafka's cluster has from its format.
fn with_own_settings(line: &str) -> String {
    let Some((before, settings)) = line.split_once("Configs:") else {
        return line.to_owned();
    };
    let mut settings: Vec<_> = settings.trim().split(',').collect();
    settings.retain(|setting| *setting != "min.insync.replicas=1");
    settings.sort_unstable();
    format!("{before}Configs: {}", settings.join(","))
}

/// The positions of a group, as far as they do not depend on how many transactions there were.
fn without_markers(positions: &str) -> String {
    let lines = positions.lines().map(|line| {
        let mut words: Vec<_> = line.split(' ').collect();
        if line.contains("-repartition ") && words[3] == words[4] {
            words[3] = "END";
            words[4] = "END";
        }
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What an application leaves behind.
struct Traces {
    /// Every warning and error that it logged.
    log: BTreeSet<String>,
    said: BTreeMap<&'static str, String>,
    counts: Vec<Record>,
}

const INTERNAL: [&str; 2] = ["word-count-seen-changelog", "word-count-words-repartition"];

/// What the tools say of topics and groups.
fn look(broker: &Broker, when: [&'static str; 3], said: &mut BTreeMap<&'static str, String>) {
    said.insert(
        when[0],
        tool(broker, "topics", &["--describe", "--exclude-internal"]),
    );
    let settings = INTERNAL.map(|topic| {
        let of_topic = ["--describe", "--entity-type", "topics", "--entity-name"];
        tool(broker, "configs", &[&of_topic[..], &[topic]].concat())
    });
    said.insert(when[1], settings.join("\n"));
    let group = ["--describe", "--group", "word-count", "--offsets"];
    // Apache Kafka forgets positions in deleted topics a little later, and its tool fails until then.
    let positions = try_await(TIMEOUT, || {
        let positions = tool(broker, "consumer-groups", &group);
        if positions.contains("UnknownTopicOrPartitionException") {
            return Err(positions);
        }
        Ok(positions)
    });
    let positions = positions.expect("the group is described");
    said.insert(when[2], without_markers(&positions));
}

fn traces(target: Target) -> Traces {
    let broker = Broker::start_target(target, &[]);
    make(&broker, &["lines", "counts"], PARTITIONS);
    let bootstrap = broker.bootstrap();
    let mut line = lines(3);
    let input = (0..LINES).map(|number| Input {
        partition: Some(number as i32 % PARTITIONS),
        ..line(number)
    });
    let input: Vec<_> = input.collect();
    let words = LINES * WORDS;
    Feed::new(&bootstrap).send(&input);
    let counts = View::of(&bootstrap, "counts", PARTITIONS);
    let application = Application::new(&broker, "word-count", SETTINGS);
    let mut said = BTreeMap::new();

    let instance = application.start("one");
    let took = instance.await_running();
    println!("{target:?}: RUNNING after {took} ms");
    counts.await_that("all words", |seen| seen.len() >= words);
    await_purge(&bootstrap);
    instance.kill();
    look(&broker, ["topics", "settings", "group"], &mut said);

    // Killed, it is still a member: a reset is refused unless it is forced.
    let reset = ["--application-id", "word-count", "--input-topics", "lines"];
    let refused = tool(&broker, "streams-application-reset", &reset);
    let (refused, _) = refused.split_once("members:").unwrap_or((&refused, ""));
    said.insert("refused", refused.to_owned());
    let dry = [&reset[..], &["--force", "--dry-run"]].concat();
    said.insert("dry", tool(&broker, "streams-application-reset", &dry));
    said.insert("reset", tool(&broker, "streams-application-reset", &reset));
    look(
        &broker,
        ["topics reset", "settings reset", "group reset"],
        &mut said,
    );

    // From the beginning.
    application.forget("one");
    let instance = application.start("one");
    counts.await_that("all words again", |seen| seen.len() >= 2 * words);
    instance.close();
    let mut counts = read(&bootstrap, "counts");
    // Words of two lines may come in any order.
    counts.iter_mut().for_each(|record| record.offset = 0);
    counts.sort();

    let shop = shop::once(&broker);
    said.insert(
        "shop",
        tool(&broker, "topics", &["--describe", "--exclude-internal"]),
    );
    let log = application.log("one") + &shop.log("one");
    Traces {
        log: log.lines().map(plain).collect::<BTreeSet<_>>(),
        said,
        counts,
    }
}

/// Waits until records that were processed are deleted from the repartition topic.
fn await_purge(bootstrap: &str) {
    let asks: BaseConsumer = client(bootstrap)
        .create()
        .expect("the client's settings are right");
    let purged = try_await(TIMEOUT, || {
        let starts = (0..PARTITIONS).map(|partition| {
            let ends = asks.fetch_watermarks(INTERNAL[1], partition, TIMEOUT);
            ends.map_or(0, |(start, _)| start)
        });
        let starts: Vec<_> = starts.collect();
        if starts.iter().all(|start| *start > 0) {
            Ok(())
        } else {
            Err(starts)
        }
    });
    purged.expect("what was processed is deleted");
}

#[test]
fn an_application_finds_and_leaves_what_it_would_with_apache_kafka() {
    let [ottla, kafka] = [Target::Ottla, Target::Kafka].map(traces);
    // Kafka's own may be more: it lets a producer wait in places where Ottla has no need to.
    let more: Vec<_> = ottla.log.difference(&kafka.log).collect();
    assert!(more.is_empty(), "{more:#?} beside {:#?}", kafka.log);
    for (what, said) in &kafka.said {
        assert_eq!(&ottla.said[what], said, "{what}");
    }
    assert!(ottla.counts == kafka.counts, "other counts");
}
