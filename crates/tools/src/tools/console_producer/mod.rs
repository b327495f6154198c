//! `kafka-console-producer`: sends lines as records.

mod reader;

use std::io::{BufReader, IsTerminal, Write};
use std::time::Duration;

use ottla_client::ClientError;
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::producer::{Acks, Producer, ProducerOptions, ProducerRecord};
use ottla_codec::compression::Compression;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Tool;
use crate::cluster::{self, Properties, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::properties;
use crate::signals;
use crate::stop::Stop;
use crate::talk::{log, print_line, say};
use reader::LineReader;

pub(super) const TOOL: Tool = Tool {
    name: "console-producer",
    classes: &[
        "kafka.tools.ConsoleProducer",
        "org.apache.kafka.tools.ConsoleProducer",
    ],
    run,
};

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];
const READERS: [&str; 3] = [
    "org.apache.kafka.tools.LineMessageReader",
    "kafka.tools.ConsoleProducer$LineMessageReader",
    "kafka.tools.LineMessageReader",
];
/// How many lines are read ahead.
const AHEAD: usize = 1000;

fn options() -> Options {
    Options::new()
        .aliases(
            &["bootstrap-server", "broker-list"],
            "host:port,...",
            "REQUIRED. Where the brokers are; --broker-list is the name of old versions.",
        )
        .value("topic", "topic", "REQUIRED. The topic.")
        .flag("sync", "Wait for each record's acknowledgement.")
        .optional_value(
            "compression-codec",
            "codec",
            "none, gzip, snappy, lz4 or zstd; gzip if none is named.",
        )
        .value("request-required-acks", "acks", "all, -1, 0 or 1; -1 by default.")
        .value("batch-size", "bytes", "How large a batch becomes.")
        .value(
            "max-partition-memory-bytes",
            "bytes",
            "(DEPRECATED) The same as --batch-size.",
        )
        .value(
            "timeout",
            "ms",
            "How long a record waits for others of its batch; 1000 by default.",
        )
        .value(
            "max-block-ms",
            "ms",
            "How long a record waits for the topic's metadata; 60000 by default.",
        )
        .value("request-timeout-ms", "ms", "How long an answer may take.")
        .value("line-reader", "class", "The reader: Kafka's LineMessageReader.")
        .value(
            "reader-property",
            "name=value",
            "A property of the reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.",
        )
        .value("reader-config", "file", "Properties of the reader.")
        .value(
            "property",
            "name=value",
            "(DEPRECATED) The same as --reader-property.",
        )
        .value("command-property", "name=value", "A property of the producer.")
        .value("command-config", "file", "Properties of the producer.")
        .value(
            "producer-property",
            "name=value",
            "(DEPRECATED) The same as --command-property.",
        )
        .value(
            "producer.config",
            "file",
            "(DEPRECATED) The same as --command-config.",
        )
        .value("max-memory-bytes", "bytes", "Taken, and of no effect.")
        .value("message-send-max-retries", "number", "Taken, and of no effect.")
        .value("metadata-expiry-ms", "ms", "Taken, and of no effect.")
        .value("retry-backoff-ms", "ms", "Taken, and of no effect.")
        .value("socket-buffer-size", "bytes", "Taken, and of no effect.")
}

fn run(args: &[String]) -> Result<(), Stop> {
    let options = options();
    let parsed = options.parse(args).map_err(|stop| match stop {
        Stop::Failed(message) => options.usage(message),
        stop => stop,
    })?;
    parsed.help_or_version(
        "This tool helps to read data from standard input and publish it to Kafka.",
    )?;
    parsed.require(&["topic"])?;
    let command = preferred(&parsed, "command-property", "producer-property")?;
    let config = preferred(&parsed, "command-config", "producer.config")?;
    let reading = preferred(&parsed, "reader-property", "property")?;
    if parsed.has("max-partition-memory-bytes") {
        print_line!(
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead."
        );
    }
    check_bootstrap(&parsed)?;
    let topic = parsed.value("topic")?.unwrap_or_default();
    let class = parsed.value("line-reader")?.unwrap_or(READERS[0]);
    if !READERS.contains(&class) {
        return Err(Stop::Failed(format!(
            "java.lang.ClassNotFoundException: {class}"
        )));
    }
    let reader = properties::gather(parsed.value("reader-config")?, parsed.values(reading))?;
    let reader = LineReader::new(topic, &reader).map_err(kafka_exception)?;
    let settings = properties::gather(parsed.value(config)?, parsed.values(command))?;
    let settings = Settings::new(&parsed, settings)?;
    let code = block_on(produce(&settings, topic, reader, parsed.has("sync")))?;
    match code {
        0 => Ok(()),
        code => Err(Stop::Exit(code)),
    }
}

/// The name of an option, or the deprecated one if that was given; not both.
fn preferred<'a>(parsed: &Parsed, name: &'a str, deprecated: &'a str) -> Result<&'a str, Stop> {
    if !parsed.has(deprecated) {
        return Ok(name);
    }
    if parsed.has(name) {
        return Err(parsed.usage(format!(
            "Options --{name} and --{deprecated} cannot be specified together."
        )));
    }
    print_line!(
        "Warning: --{deprecated} is deprecated and will be removed in a future version. Use --{name} instead."
    );
    Ok(deprecated)
}

fn check_bootstrap(parsed: &Parsed) -> Result<(), Stop> {
    let Some(bootstrap) = parsed.value("bootstrap-server")? else {
        return Err(parsed.usage("Error while validating the bootstrap address\n"));
    };
    let valid = |address: &str| {
        let port = address
            .trim()
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        matches!(port, Some(Ok(_)))
    };
    if !bootstrap.split(',').all(valid) {
        return Err(parsed.usage("Please provide valid host:port like host1:9091,host2:9092\n"));
    }
    Ok(())
}

fn kafka_exception(message: String) -> Stop {
    Stop::Failed(format!("org.apache.kafka.common.KafkaException: {message}"))
}

/// How to produce.
struct Settings {
    bootstrap: String,
    properties: Properties,
    options: ProducerOptions,
    linger: Duration,
    max_block: Duration,
}

impl Settings {
    fn new(parsed: &Parsed, mut given: Properties) -> Result<Settings, Stop> {
        let codec = match (
            parsed.has("compression-codec"),
            parsed.value("compression-codec")?,
        ) {
            (true, codec) => codec.filter(|codec| !codec.is_empty()).unwrap_or("gzip"),
            (false, _) => "none",
        };
        given.insert("compression.type".to_owned(), codec.to_owned());
        for (name, option, default) in [
            ("linger.ms", "timeout", "1000"),
            ("acks", "request-required-acks", "-1"),
            ("max.block.ms", "max-block-ms", "60000"),
            ("batch.size", "batch-size", "16384"),
        ] {
            numeric(parsed, option)?;
            properties::merge(&mut given, name, parsed, option, default)?;
        }
        if let Some(bytes) = parsed.value("max-partition-memory-bytes")? {
            given.insert("batch.size".to_owned(), bytes.to_owned());
        }
        // The original's 1500 ms are short for a busy machine, and of use to nobody.
        if let Some(ms) = parsed.value("request-timeout-ms")? {
            given.insert("request.timeout.ms".to_owned(), ms.to_owned());
        }
        let name = "console-producer".to_owned();
        given.entry("client.id".to_owned()).or_insert(name);
        Settings::read(parsed, given).map_err(|failure| Stop::Failed(failure.to_string()))
    }

    fn read(parsed: &Parsed, mut given: Properties) -> Result<Settings, Failure> {
        let acks = match properties::one_of(&given, "acks", &["all", "-1", "0", "1"])? {
            Some("0") => Acks::None,
            Some("1") => Acks::Leader,
            _ => Acks::All,
        };
        let codecs = CODECS.map(|(name, _)| name);
        let codec = properties::one_of(&given, "compression.type", &codecs)?;
        let codec = CODECS.iter().find(|(name, _)| Some(*name) == codec);
        let number = |name| properties::number::<u64>(&given, name, "LONG");
        let linger = number("linger.ms")?.unwrap_or(0);
        let max_block = Duration::from_millis(number("max.block.ms")?.unwrap_or(60_000));
        let batch: Option<usize> = properties::number(&given, "batch.size", "INT")?;
        let idempotent = given.get("enable.idempotence").is_none_or(|v| v != "false");
        let options = ProducerOptions {
            acks,
            idempotent,
            compression: codec.map_or(Compression::None, |(_, codec)| *codec),
            batch_bytes: batch.unwrap_or(16_384).max(1),
            ..ProducerOptions::default()
        };
        given.insert(
            "default.api.timeout.ms".to_owned(),
            max_block.as_millis().to_string(),
        );
        let bootstrap = parsed.values("bootstrap-server").concat();
        Ok(Settings {
            bootstrap,
            properties: given,
            options,
            linger: Duration::from_millis(linger),
            max_block,
        })
    }
}

/// An option whose value is a number, said before anything is done.
fn numeric(parsed: &Parsed, option: &str) -> Result<(), Stop> {
    match option {
        "request-required-acks" => Ok(()),
        option => parsed.number::<i64>(option).map(drop),
    }
}

type Line = Result<ProducerRecord, String>;

/// Reads lines on a thread of its own, since a read of standard input cannot be cancelled.
fn read_lines(mut reader: LineReader) -> mpsc::Receiver<Line> {
    let (send, lines) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let prompt = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let mut input = BufReader::new(std::io::stdin());
        loop {
            if prompt {
                let mut out = std::io::stdout();
                let _ = out.write_all(b">").and_then(|()| out.flush());
            }
            let line = reader.read(&mut input).transpose();
            let Some(line) = line else { break };
            let failed = line.is_err();
            if send.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    lines
}

/// Sends lines until they end; answers with the exit code.
async fn produce(
    settings: &Settings,
    topic: &str,
    reader: LineReader,
    sync: bool,
) -> Result<u8, Stop> {
    let mut lines = read_lines(reader);
    let stopped = signals::stopped();
    tokio::pin!(stopped);
    let mut sender = Sender {
        settings,
        topic,
        producer: None,
        waiting: Vec::new(),
        due: None,
    };
    loop {
        let due = sender.due;
        let linger = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            line = lines.recv() => match line {
                Some(Ok(record)) => sender.send(record, sync).await?,
                Some(Err(message)) => {
                    sender.flush().await;
                    return Err(kafka_exception(message));
                }
                None => {
                    sender.flush().await;
                    return Ok(0);
                }
            },
            () = linger => sender.flush().await,
            code = &mut stopped => {
                sender.flush().await;
                return Ok(code);
            }
        }
    }
}

/// Sends records, and logs those that could not be sent.
struct Sender<'a> {
    settings: &'a Settings,
    topic: &'a str,
    producer: Option<Producer>,
    /// Sizes of keys and values that wait to be acknowledged.
    waiting: Vec<(Option<usize>, Option<usize>)>,
    /// When what waits goes out.
    due: Option<Instant>,
}

impl Sender<'_> {
    async fn send(&mut self, record: ProducerRecord, sync: bool) -> Result<(), Stop> {
        let size = |bytes: Option<&bytes::Bytes>| bytes.map(|bytes| bytes.len());
        self.waiting
            .push((size(record.key.as_ref()), size(record.value.as_ref())));
        let result = self.try_send(record, sync).await;
        match result {
            Err(Refused::Setup(failure)) => {
                say!("org.apache.kafka.common.KafkaException: Failed to construct kafka producer");
                say!("Caused by: org.apache.kafka.common.config.ConfigException: {failure}");
                Err(Stop::Exit(1))
            }
            Err(Refused::Record(failure)) if sync => Err(Stop::Failed(format!(
                "java.util.concurrent.ExecutionException: {}: {failure}",
                failure.class()
            ))),
            Err(Refused::Record(failure)) => {
                self.log(&failure);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn try_send(&mut self, record: ProducerRecord, sync: bool) -> Result<(), Refused> {
        if self.producer.is_none() {
            self.producer = Some(self.connect().await?);
        }
        let producer = self.producer.as_mut().expect("it was just made");
        let delivered = producer.send(record).await.map_err(record_error)?;
        if sync {
            producer.flush().await.map_err(record_error)?;
        }
        // A full batch has taken with it what waited.
        if producer.is_flushed() || !delivered.is_empty() {
            self.waiting.clear();
            self.due = None;
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + self.settings.linger);
        }
        Ok(())
    }

    /// A producer, once the topic is there.
    async fn connect(&self) -> Result<Producer, Refused> {
        let deadline = Instant::now() + self.settings.max_block;
        let properties = &self.settings.properties;
        let client = cluster::connect(&self.settings.bootstrap, properties, "metadata").await;
        let client = client.map_err(|failure| match failure.error {
            None => Refused::Setup(failure),
            Some(_) => self.absent(),
        })?;
        let mut producer = Producer::new(client, self.settings.options.clone())
            .await
            .map_err(record_error)?;
        loop {
            let found = producer.client().topic(self.topic, true).await;
            match found.map_err(|error| (error.is_retriable(), Failure::from(error))) {
                Ok(_) => return Ok(producer),
                Err((_, failure))
                    if failure.error == Some(ResponseError::InvalidTopicException) =>
                {
                    let mut failure = Failure::new(format!("Invalid topics: [{}]", self.topic));
                    failure.error = Some(ResponseError::InvalidTopicException);
                    return Err(Refused::Record(failure));
                }
                Err((true, _)) if Instant::now() < deadline => {}
                Err((true, _)) => return Err(self.absent()),
                Err((false, failure)) => return Err(Refused::Record(failure)),
            }
        }
    }

    fn absent(&self) -> Refused {
        let mut failure = Failure::new(format!(
            "Topic {} not present in metadata after {} ms.",
            self.topic,
            self.settings.max_block.as_millis()
        ));
        failure.error = Some(ResponseError::RequestTimedOut);
        Refused::Record(failure)
    }

    async fn flush(&mut self) {
        self.due = None;
        if let Some(producer) = &mut self.producer {
            match producer.flush().await {
                Ok(_) => self.waiting.clear(),
                Err(error) => self.log(&error.into()),
            }
        }
    }

    /// Says which records are lost.
    fn log(&mut self, failure: &Failure) {
        let shown = |size: Option<usize>| {
            size.map_or_else(|| "null".to_owned(), |size| format!("{size} bytes"))
        };
        for (key, value) in self.waiting.drain(..) {
            log!(
                "ERROR",
                "Error when sending message to topic {} with key: {}, value: {} with error:\n{}: {failure}",
                self.topic,
                shown(key),
                shown(value),
                failure.class()
            );
        }
        self.due = None;
        // What failed has left gaps in the sequences of an idempotent producer: the next record gets a new one.
        self.producer = None;
    }
}

/// Why a record was not sent.
enum Refused {
    /// The client cannot be made.
    Setup(Failure),
    /// This record, and those of its batch.
    Record(Failure),
}

fn record_error(error: ClientError) -> Refused {
    Refused::Record(error.into())
}
