//! Kafka's own tools on Ottla beside Kafka's own tools on Apache Kafka: the same arguments, on brokers in the same state, give
//! the same output and exit code. One file per subject.

mod groups;
mod offsets;
mod replicas;

use std::io::Write;
use std::time::{Duration, SystemTime};

use ottla_tests::harness::{Broker, Finished, Target, original};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::NamedTempFile;

use super::consumer_groups::consume;
use super::normal::{self, Order};
use super::with_server;

/// Client settings of a tool that waits for what is not there: until a time-out of its own, 60 s by default.
const IMPATIENT: &str = "default.api.timeout.ms=2000\nrequest.timeout.ms=1000\n";

struct Brokers {
    ottla: Broker,
    kafka: Broker,
    /// The timestamp of the first records, a while ago.
    t0: i64,
}

impl Brokers {
    /// `ga` with two partitions, 5 records in the first, the fourth the youngest, and `gb` with 2 records.
    fn start() -> Brokers {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("it is later than 1970").as_millis();
        let brokers = Brokers {
            t0: i64::try_from(now).expect("milliseconds of this age") - 100_000,
            ottla: Broker::start_target(Target::Ottla, &["num.partitions=1"]),
            kafka: Broker::start_target(Target::Kafka, &["num.partitions=1"]),
        };
        let create = ["--create", "--topic", "ga", "--partitions", "2"];
        brokers.same("topics", &create).success();
        for broker in [&brokers.ottla, &brokers.kafka] {
            produce(
                broker,
                "ga",
                &[0, 1000, 500, 9000, 8000].map(|t| brokers.t0 + t),
            );
            produce(broker, "gb", &[0, 1000].map(|t| brokers.t0 + t));
        }
        brokers
    }

    /// The same, and the group `grp` has read 3 records of `ga` and all of `gb`, `other` 1 of `ga`.
    fn with_groups() -> Brokers {
        let brokers = Brokers::start();
        for broker in [&brokers.ottla, &brokers.kafka] {
            consume(broker, "grp", "ga", 3);
            consume(broker, "grp", "gb", 2);
            consume(broker, "other", "ga", 1);
        }
        brokers
    }

    #[track_caller]
    fn same(&self, tool: &str, args: &[&str]) -> Finished {
        self.compare(tool, args, Order::Kept, str::to_owned)
    }

    /// The same where the tool's order of lines is that of a hash table.
    #[track_caller]
    fn same_in_any_order(&self, tool: &str, args: &[&str]) -> Finished {
        self.compare(tool, args, Order::Any, str::to_owned)
    }

    /// The same but for what `shape` makes alike. Returns what the tool said of Ottla.
    #[track_caller]
    fn compare(
        &self,
        tool: &str,
        args: &[&str],
        order: Order,
        shape: impl Fn(&str) -> String,
    ) -> Finished {
        let run = |broker: &Broker| {
            let server = broker.bootstrap();
            let said = original(tool, &with_server(&server, args), "");
            let log_dir = match broker.target() {
                Target::Ottla => broker.data_dir(),
                Target::Kafka => broker.data_dir().join("logs"),
            };
            let alike = |text: &str| shape(&text.replace(&*log_dir.to_string_lossy(), "LOG_DIR"));
            let compared = Finished {
                code: said.code,
                stdout: alike(&said.stdout),
                stderr: alike(&said.stderr),
            };
            (normal::of(&compared, &server, order), said)
        };
        let (ottla, said) = run(&self.ottla);
        let (kafka, expected) = run(&self.kafka);
        assert_eq!(
            kafka, ottla,
            "kafka-{tool} {args:?}: Apache Kafka is on the left; it said:\n{}{}\nOttla:\n{}{}",
            expected.stdout, expected.stderr, said.stdout, said.stderr
        );
        said
    }
}

/// Writes a record of each timestamp to the first partition.
fn produce(broker: &Broker, topic: &str, timestamps: &[i64]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .expect("the settings are right");
    for timestamp in timestamps {
        let record = BaseRecord::<(), str>::to(topic)
            .partition(0)
            .payload("value")
            .timestamp(*timestamp);
        producer.send(record).map_err(|(e, _)| e).expect("room");
    }
    producer
        .flush(Duration::from_secs(60))
        .expect("all is acknowledged");
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes())
        .expect("the file can be written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path of text")
}

/// That a time-out came, without what the client was about then: it asks again and again.
fn timed_out(text: &str) -> String {
    const WHAT: &str = "TimeoutException";
    let line = |line: &str| match line.find(WHAT) {
        Some(at) => format!("{}\n", &line[..at + WHAT.len()]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
