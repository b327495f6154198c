//! The two brokers side by side: one request to each, one comparison of the answers.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::Context;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, MetadataRequest};
use kafka_protocol::protocol::Request;
use ottla_client::{Connection, ConnectionOptions};
use serde_json::Value;
use uuid::Uuid;

use super::debug_tree::tree;
use super::diff::diff;
use super::normalise::{Names, normalise};
use super::words::{list_offsets, s, topic_name};

/// How long changes may take to reach what a broker answers: Kafka applies its metadata log a moment after it confirms.
const SETTLE: Duration = Duration::from_secs(5);

/// The versions that both brokers offer, by API key.
pub type SharedVersions = HashMap<i16, RangeInclusive<i16>>;

/// A request whose answer can be compared.
pub trait Ask: Request<Response: std::fmt::Debug + Send> + Send + Sync {}
impl<R: Request<Response: std::fmt::Debug + Send> + Send + Sync> Ask for R {}

/// One broker as a scenario sees it.
pub struct Side {
    address: String,
    connections: HashMap<u8, Connection>,
    /// Random ids by the names they are compared under.
    pub names: Names,
    topic_ids: HashMap<String, Uuid>,
    notes: HashMap<String, String>,
}

impl Side {
    fn new(address: &str) -> Side {
        Side {
            address: address.into(),
            connections: HashMap::new(),
            names: Names::default(),
            topic_ids: HashMap::new(),
            notes: HashMap::new(),
        }
    }

    /// The id of a topic that [`Both::topic`] made; nil for another.
    pub fn topic_id(&self, topic: &str) -> Uuid {
        self.topic_ids.get(topic).copied().unwrap_or_default()
    }

    /// What was noted from an earlier answer (a member id, a session id); empty when nothing was.
    pub fn note(&self, name: &str) -> String {
        self.notes.get(name).cloned().unwrap_or_default()
    }

    /// A note that is a number; 0 when there is none.
    pub fn number<N: std::str::FromStr + Default>(&self, name: &str) -> N {
        self.note(name).parse().unwrap_or_default()
    }

    /// Keeps something of an answer for later requests.
    pub fn keep(&mut self, name: &str, value: impl ToString) {
        self.notes.insert(name.into(), value.to_string());
    }

    async fn connection(&mut self, number: u8) -> anyhow::Result<&mut Connection> {
        if !self.connections.contains_key(&number) {
            let options = ConnectionOptions {
                client_id: "parity".into(),
                request_timeout: Duration::from_secs(20),
                ..ConnectionOptions::default()
            };
            let connection = Connection::connect_with(self.address.clone(), options).await?;
            self.connections.insert(number, connection);
        }
        Ok(self
            .connections
            .get_mut(&number)
            .expect("inserted just above"))
    }

    async fn send<R: Request>(&mut self, on: u8, version: i16, request: R) -> anyhow::Result<()> {
        let sent = self.connection(on).await?.send(version, &request).await;
        sent.map(drop).context("the request could not be sent")
    }

    /// The answer, or why there is none. A connection that failed is forgotten: the next request makes a new one.
    async fn receive<R: Request>(&mut self, on: u8, version: i16) -> Result<R::Response, String> {
        let connection = self.connection(on).await.map_err(|e| e.to_string())?;
        let answer = connection.receive::<R>(version).await;
        answer.map_err(|error| {
            self.connections.remove(&on);
            let text = format!("{error:?}");
            let kind = text.split([' ', '{', '(']).next().unwrap_or_default();
            match kind {
                // A reset is how a close looks when unread bytes were left.
                "Closed" | "Io" => "(connection closed)".into(),
                _ => format!("({text})"),
            }
        })
    }

    fn normalised<T: std::fmt::Debug>(&mut self, answer: &Result<T, String>) -> Value {
        match answer {
            Ok(answer) => {
                let mut tree = tree(answer);
                normalise(&mut tree, &mut self.names);
                tree
            }
            Err(why) => Value::from(why.as_str()),
        }
    }
}

/// The answers of both brokers to one request; `None` where a broker closed the connection instead.
#[derive(Debug)]
pub struct Pair<T> {
    /// Ottla's.
    pub ottla: Option<T>,
    /// Apache Kafka's.
    pub kafka: Option<T>,
}

/// A field that the two brokers answered differently.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The scenario's name.
    pub scenario: String,
    /// What was asked.
    pub step: String,
    /// The API's name, as in `Produce`.
    pub api: String,
    /// The version it was asked in.
    pub version: i16,
    /// The field (see [`super::diff::Difference::path`]).
    pub path: String,
    /// What Ottla said.
    pub ottla: Value,
    /// What Kafka said.
    pub kafka: Value,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding {
            scenario,
            step,
            api,
            version,
            path,
            ottla,
            kafka,
        } = self;
        write!(
            f,
            "{scenario}: {step}: {api} v{version}: {path}: ottla {ottla}, kafka {kafka}"
        )
    }
}

/// Both brokers, for the length of one scenario.
pub struct Both {
    scenario: String,
    run: String,
    shared: SharedVersions,
    /// Ottla.
    pub ottla: Side,
    /// Apache Kafka.
    pub kafka: Side,
    /// What differed.
    pub findings: Vec<Finding>,
    /// Which API was asked in which version.
    pub asked: BTreeSet<(i16, i16)>,
    /// Everything that was asked and answered, for reading.
    pub transcript: Vec<String>,
}

impl Both {
    /// The brokers at these addresses. `run` makes the names of topics and groups unique.
    pub fn new(
        scenario: &str,
        run: &str,
        ottla: &str,
        kafka: &str,
        shared: SharedVersions,
    ) -> Both {
        Both {
            scenario: scenario.into(),
            run: run.into(),
            shared,
            ottla: Side::new(ottla),
            kafka: Side::new(kafka),
            findings: Vec::new(),
            asked: BTreeSet::new(),
            transcript: Vec::new(),
        }
    }

    /// A name that no other scenario and no earlier run has used.
    pub fn name(&self, suffix: &str) -> String {
        format!(
            "{}.{suffix}.{}",
            self.scenario.replace(' ', "-").replace("::", "-"),
            self.run
        )
    }

    /// The versions of `R` that both brokers offer.
    pub fn versions<R: Request>(&self) -> RangeInclusive<i16> {
        // An empty range when one of them does not know the API: the coverage check reports it.
        #[allow(clippy::reversed_empty_ranges)]
        self.shared.get(&R::KEY).cloned().unwrap_or(1..=0)
    }

    /// The highest of [`Both::versions`].
    pub fn latest<R: Request>(&self) -> i16 {
        *self.versions::<R>().end()
    }

    /// Asks both on their first connection and compares.
    pub async fn call<R: Ask>(
        &mut self,
        step: &str,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
    ) -> Pair<R::Response> {
        self.call_on(0, step, version, make).await
    }

    /// Asks both on their connection `on` and compares.
    pub async fn call_on<R: Ask>(
        &mut self,
        on: u8,
        step: &str,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
    ) -> Pair<R::Response> {
        self.send(on, version, make).await;
        self.receive::<R>(on, step, version).await
    }

    /// Asks both in every shared version and compares.
    pub async fn call_in_each_version<R: Ask>(
        &mut self,
        step: &str,
        make: impl Fn(&Side, i16) -> R + Send + Sync,
    ) {
        for version in self.versions::<R>() {
            self.call(step, version, |side| make(side, version)).await;
        }
    }

    /// Sends to both without waiting for answers; [`Both::receive`] takes them.
    pub async fn send<R: Ask>(
        &mut self,
        on: u8,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
    ) {
        let (to_ottla, to_kafka) = (make(&self.ottla), make(&self.kafka));
        let sent = tokio::join!(
            self.ottla.send(on, version, to_ottla),
            self.kafka.send(on, version, to_kafka)
        );
        for (side, sent) in [("ottla", sent.0), ("kafka", sent.1)] {
            if let Err(error) = sent {
                self.transcript.push(format!("{side}: {error:#}"));
            }
        }
    }

    /// Waits for the answers to what [`Both::send`] sent on connection `on`, and compares them.
    pub async fn receive<R: Ask>(&mut self, on: u8, step: &str, version: i16) -> Pair<R::Response> {
        let (ottla, kafka) = tokio::join!(
            self.ottla.receive::<R>(on, version),
            self.kafka.receive::<R>(on, version)
        );
        let trees = (self.ottla.normalised(&ottla), self.kafka.normalised(&kafka));
        self.compare(step, R::KEY, version, &trees.0, &trees.1);
        Pair {
            ottla: ottla.ok(),
            kafka: kafka.ok(),
        }
    }

    /// Asks until both answer alike, for as long as a change may take to show; then compares.
    pub async fn eventually<R: Ask>(
        &mut self,
        step: &str,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
    ) -> Pair<R::Response> {
        // A difference that a list of accepted ones explains would be waited for in vain, so not for long.
        self.repeat(step, version, make, |_, alike| alike).await
    }

    /// Asks until both answers are what is waited for, or for as long as a change may take to show; then compares.
    pub async fn until<R: Ask>(
        &mut self,
        step: &str,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
        is_there: impl Fn(&R::Response) -> bool,
    ) -> Pair<R::Response> {
        self.repeat(step, version, make, |pair, _| {
            let mut answers = [&pair.ottla, &pair.kafka].into_iter();
            answers.all(|answer| answer.as_ref().is_some_and(&is_there))
        })
        .await
    }

    /// Asks until the answers are `enough`, which is told whether they are alike; of all that were asked the last ones count.
    async fn repeat<R: Ask>(
        &mut self,
        step: &str,
        version: i16,
        make: impl Fn(&Side) -> R + Send + Sync,
        enough: impl Fn(&Pair<R::Response>, bool) -> bool,
    ) -> Pair<R::Response> {
        let started = Instant::now();
        loop {
            let before = (self.findings.len(), self.transcript.len());
            let pair = self.call(step, version, &make).await;
            let alike = self.findings.len() == before.0;
            if enough(&pair, alike) || started.elapsed() > SETTLE {
                return pair;
            }
            self.findings.truncate(before.0);
            self.transcript.truncate(before.1);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a frame's body as it is and compares what comes back: a frame, or the end of the connection.
    pub async fn raw(&mut self, step: &str, body: &[u8]) {
        let mut answers = Vec::new();
        for side in [&mut self.ottla, &mut self.kafka] {
            let answer = async {
                let connection = side.connection(9).await?;
                connection.send_raw(body).await?;
                anyhow::Ok(connection.read_frame().await?)
            };
            let answer = answer.await;
            if answer.is_err() {
                side.connections.remove(&9);
            }
            answers.push(match answer {
                Ok(frame) => Value::from(format!("{:02x?}", &frame[..frame.len().min(10)])),
                Err(_) => Value::from("(connection closed)"),
            });
        }
        self.compare(step, -1, 0, &answers[0], &answers[1]);
    }

    /// Takes something from each broker's answer.
    pub fn keep<T>(&mut self, pair: &Pair<T>, take: impl Fn(&mut Side, &T)) {
        for (side, answer) in [
            (&mut self.ottla, &pair.ottla),
            (&mut self.kafka, &pair.kafka),
        ] {
            if let Some(answer) = answer {
                take(side, answer);
            }
        }
    }

    fn compare(&mut self, step: &str, key: i16, version: i16, ottla: &Value, kafka: &Value) {
        let api = ApiKey::try_from(key).map_or("raw".into(), |key| format!("{key:?}"));
        let api = api.trim_end_matches("Key").to_owned();
        self.asked.insert((key, version));
        self.transcript.push(format!(
            "{}: {step}: {api} v{version}\n  ottla {ottla}\n  kafka {kafka}",
            self.scenario
        ));
        for difference in diff(ottla, kafka) {
            self.findings.push(Finding {
                scenario: self.scenario.clone(),
                step: step.into(),
                api: api.clone(),
                version,
                path: difference.path,
                ottla: difference.ottla,
                kafka: difference.kafka,
            });
        }
    }

    /// Makes a topic on both, waits until it can be used, and returns its name.
    pub async fn topic(
        &mut self,
        suffix: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let name = self.name(suffix);
        let topic = CreatableTopic::default()
            .with_name(topic_name(&name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(
                configs
                    .iter()
                    .map(|(name, value)| {
                        CreatableTopicConfig::default()
                            .with_name(s(name))
                            .with_value(Some(s(value)))
                    })
                    .collect(),
            );
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000);
        for side in [&mut self.ottla, &mut self.kafka] {
            let answer = side.connection(0).await?.call(7, &request).await?;
            let created = answer.topics.first().context("no topic in the answer")?;
            anyhow::ensure!(
                created.error_code == 0,
                "{name} could not be made: {created:?}"
            );
            side.topic_ids.insert(name.clone(), created.topic_id);
            side.names
                .learn(created.topic_id, format!("<id of {suffix}>"));
            side.wait_for_topic(&name, partitions).await?;
        }
        Ok(name)
    }
}

impl Side {
    async fn wait_for_topic(&mut self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let request = MetadataRequest::default().with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(topic_name(name))),
        ]));
        let started = Instant::now();
        loop {
            let answer = self.connection(0).await?.call(9, &request).await?;
            let usable = answer.topics.iter().all(|t| {
                t.error_code == 0
                    && t.partitions.len() == partitions as usize
                    && t.partitions.iter().all(|p| p.error_code == 0)
            });
            // Kafka shows a leader a moment before that leader takes requests.
            if usable && self.leads_all(name, partitions).await? {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < SETTLE,
                "{name} is not usable: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn leads_all(&mut self, name: &str, partitions: i32) -> anyhow::Result<bool> {
        for partition in 0..partitions {
            let request = list_offsets(name, partition, -1);
            let answer = self.connection(0).await?.call(6, &request).await?;
            let mut partitions = answer.topics.iter().flat_map(|t| &t.partitions);
            if partitions.any(|p| p.error_code != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
