//! `kafka-console-consumer`: prints records.

mod deserializer;
mod formatter;
mod source;

use std::io::{Write, stdout};
use std::time::Duration;

use ottla_client::consumer::{
    ConsumedRecord, ConsumerOptions, Isolation, OffsetSpec, PartitionConsumer,
};
use tokio::time::Instant;

use crate::Tool;
use crate::cluster::{self, Properties, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::properties;
use crate::signals;
use crate::stop::Stop;
use crate::talk::{log, print_line, say};
use crate::topic_filter::TopicFilter;
use formatter::{Formatter, Kind};
use source::{Member, Source, Start, Wanted};

pub(super) const TOOL: Tool = Tool {
    name: "console-consumer",
    classes: &[
        "kafka.tools.ConsoleConsumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ],
    run,
};

/// How long a broker is waited for that does not answer, in milliseconds: for as long as the consumer runs.
const PATIENCE: u32 = u32::MAX;
/// The pause after an error that may pass.
const BACKOFF: Duration = Duration::from_millis(500);

fn options() -> Options {
    Options::new()
        .bootstrap_server()
        .value("topic", "topic", "The topic.")
        .aliases(
            &["include", "whitelist"],
            "regex",
            "Read all topics whose names match; --whitelist is the name of old versions.",
        )
        .value("partition", "number", "Read this partition alone.")
        .value(
            "offset",
            "offset",
            "With --partition, where to start: an offset, earliest or latest, which is the default.",
        )
        .flag(
            "from-beginning",
            "Start at the beginning, unless the group has committed an offset.",
        )
        .value("group", "id", "Read as a member of this group.")
        .value("max-messages", "number", "Stop after so many records.")
        .value(
            "timeout-ms",
            "ms",
            "Stop when there was nothing to read for so long.",
        )
        .value(
            "isolation-level",
            "level",
            "read_committed leaves out records of open and aborted transactions; read_uncommitted, the default, does not.",
        )
        .value(
            "formatter",
            "class",
            "Kafka's DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter.",
        )
        .value(
            "formatter-property",
            "name=value",
            "A property of the formatter: print.key, print.value, print.timestamp, print.offset, print.partition, print.headers, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.",
        )
        .value("formatter-config", "file", "Properties of the formatter.")
        .value(
            "property",
            "name=value",
            "(DEPRECATED) The same as --formatter-property.",
        )
        .value("key-deserializer", "class", "Kafka's deserializer for keys.")
        .value("value-deserializer", "class", "Kafka's deserializer for values.")
        .flag(
            "skip-message-on-error",
            "Go on behind a record that cannot be shown.",
        )
        .value("command-property", "name=value", "A property of the consumer.")
        .value("command-config", "file", "Properties of the consumer.")
        .value(
            "consumer-property",
            "name=value",
            "(DEPRECATED) The same as --command-property.",
        )
        .value(
            "consumer.config",
            "file",
            "(DEPRECATED) The same as --command-config.",
        )
        .flag("enable-systest-events", "Say when it has ended.")
}

fn run(args: &[String]) -> Result<(), Stop> {
    let options = options();
    let parsed = options.parse(args).map_err(|stop| match stop {
        Stop::Failed(message) => options.usage(message),
        stop => stop,
    })?;
    parsed.help_or_version(
        "This tool helps to read data from Kafka topics and outputs it to standard output.",
    )?;
    check(&parsed)?;
    together(&parsed, "consumer-property", "command-property")?;
    together(&parsed, "consumer.config", "command-config")?;
    let command = preferred(&parsed, "command-property", "consumer-property");
    let config = preferred(&parsed, "command-config", "consumer.config");
    let settings = properties::gather(parsed.value(config)?, parsed.values(command))?;
    let group = group(&parsed, &settings)?;
    let reset = reset_policy(&parsed, &settings)?;
    let start = start(&parsed)?;
    let formatter = formatter(&parsed)?;
    let plan = Plan {
        bootstrap: parsed.value("bootstrap-server")?.unwrap_or_default(),
        partition: parsed.number("partition")?,
        start,
        group,
        reset,
        settings: &settings,
    };
    let mut printer = Printer {
        formatter,
        began: false,
        count: 0,
        skips: parsed.has("skip-message-on-error"),
    };
    let ended = block_on(consume(&parsed, plan, &mut printer));
    if printer.began {
        say!("Processed a total of {} messages", printer.count);
    }
    if parsed.has("enable-systest-events") {
        print_line!("shutdown_complete");
    }
    match ended {
        Ok(0) => Ok(()),
        Ok(code) => Err(Stop::Exit(code)),
        Err(reason) => {
            log!("ERROR", "Unknown error when running consumer: \n{reason}");
            Err(Stop::Exit(1))
        }
    }
}

fn check(parsed: &Parsed) -> Result<(), Stop> {
    if parsed.given(&["topic", "include"]).len() != 1 {
        return Err(
            parsed.usage("Exactly one of the following arguments is required: [topic], [include]")
        );
    }
    if parsed.has("partition") {
        if !parsed.has("topic") {
            return Err(parsed.usage("The topic is required when partition is specified."));
        }
        if parsed.given(&["from-beginning", "offset"]).len() == 2 {
            return Err(
                parsed.usage("Options from-beginning and offset cannot be specified together.")
            );
        }
    } else if parsed.has("offset") {
        return Err(parsed.usage("The partition is required when offset is specified."));
    }
    parsed.require(&["bootstrap-server"])
}

fn together(parsed: &Parsed, deprecated: &str, name: &str) -> Result<(), Stop> {
    match parsed.given(&[deprecated, name]).len() {
        2 => Err(parsed.usage(format!(
            "Options --{deprecated} and --{name} cannot be specified together."
        ))),
        _ => Ok(()),
    }
}

/// The name of an option, or the deprecated one if that was given.
fn preferred<'a>(parsed: &Parsed, name: &'a str, deprecated: &'a str) -> &'a str {
    if !parsed.has(deprecated) {
        return name;
    }
    print_line!(
        "Option --{deprecated} is deprecated and will be removed in a future version. Use --{name} instead."
    );
    deprecated
}

/// The group that is named, wherever it is; the places must agree.
fn group(parsed: &Parsed, settings: &Properties) -> Result<Option<String>, Stop> {
    let mut ids: Vec<&str> = Vec::new();
    ids.extend(parsed.value("group")?);
    ids.extend(settings.get("group.id").map(|id| &**id));
    ids.dedup();
    if ids.len() > 1 {
        return Err(parsed.usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '{}'",
            ids.join("', '")
        )));
    }
    if !ids.is_empty() && parsed.has("partition") {
        return Err(parsed.usage("Options group and partition cannot be specified together."));
    }
    Ok(ids.first().map(|id| (*id).to_owned()))
}

/// `auto.offset.reset`
fn reset_policy(parsed: &Parsed, settings: &Properties) -> Result<String, Stop> {
    let from_beginning = parsed.has("from-beginning");
    match settings.get("auto.offset.reset") {
        Some(policy) if from_beginning && policy != "earliest" => Err(Stop::Failed(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={policy}', please remove one option"
        ))),
        Some(policy) => Ok(policy.clone()),
        None if from_beginning => Ok("earliest".to_owned()),
        None => Ok("latest".to_owned()),
    }
}

fn start(parsed: &Parsed) -> Result<Start, Stop> {
    let offset = parsed.value("offset")?;
    match offset.map(str::to_lowercase).as_deref() {
        Some("earliest") => Ok(Start::At(OffsetSpec::Earliest)),
        Some("latest") => Ok(Start::At(OffsetSpec::Latest)),
        Some(text) => match text.parse() {
            Ok(offset @ 0..) => Ok(Start::Offset(offset)),
            _ => Err(parsed.usage(format!(
                "The provided offset value '{}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.",
                offset.unwrap_or_default()
            ))),
        },
        None if parsed.has("from-beginning") => Ok(Start::At(OffsetSpec::Earliest)),
        None => Ok(Start::At(OffsetSpec::Latest)),
    }
}

fn formatter(parsed: &Parsed) -> Result<Formatter, Stop> {
    let class = parsed.value("formatter")?;
    let kind = match class {
        None => Kind::Default,
        Some(class) => Kind::of_class(class).ok_or_else(|| parsed.usage(class))?,
    };
    together(parsed, "property", "formatter-property")?;
    let option = preferred(parsed, "formatter-property", "property");
    let mut settings = Properties::new();
    for side in ["key", "value"] {
        if let Some(class) = parsed.value(&format!("{side}-deserializer"))? {
            settings.insert(format!("{side}.deserializer"), class.to_owned());
        }
    }
    let mut given = properties::gather(parsed.value("formatter-config")?, &[])?;
    given.extend(settings);
    given.extend(properties::gather(None, parsed.values(option))?);
    Ok(Formatter::new(kind, &given))
}

/// What to read.
struct Plan<'a> {
    bootstrap: &'a str,
    partition: Option<i32>,
    start: Start,
    group: Option<String>,
    reset: String,
    settings: &'a Properties,
}

/// Prints until an end is reached; answers with the exit code, or with why it cannot go on.
async fn consume(parsed: &Parsed, plan: Plan<'_>, printer: &mut Printer) -> Result<u8, String> {
    let words = |stop: Stop| match stop {
        Stop::Failed(message) => message,
        other => format!("{other:?}"),
    };
    let timeout: Option<i64> = parsed.number("timeout-ms").map_err(words)?;
    printer.began = true;
    let most: Option<i32> = parsed.number("max-messages").map_err(words)?;
    let most = most.and_then(|most| u64::try_from(most).ok());
    let timeout = timeout
        .and_then(|ms| u64::try_from(ms).ok())
        .map(Duration::from_millis);
    let mut deadline = Deadline::new(timeout);
    let stopped = signals::stopped();
    tokio::pin!(stopped);
    let mut source = tokio::select! {
        source = open(parsed, plan) => source.inspect_err(|_| printer.began = false)?,
        code = &mut stopped => return Ok(code),
        () = deadline.passed() => return Ok(timed_out()),
    };
    let ended = loop {
        if most.is_some_and(|most| printer.count >= most) {
            break Ok(0);
        }
        let polled = tokio::select! {
            polled = source.poll() => polled,
            code = &mut stopped => break Ok(code),
            () = deadline.passed() => break Ok(timed_out()),
        };
        let records = match polled {
            Ok(records) => records,
            Err(error) if error.is_retriable() => {
                log!("WARN", "{error}");
                tokio::time::sleep(BACKOFF).await;
                continue;
            }
            Err(error) => {
                let failure = Failure::from(error);
                log!(
                    "ERROR",
                    "Error processing message, terminating consumer process: \n{}: {failure}",
                    failure.class()
                );
                break Ok(0);
            }
        };
        if records.is_empty() {
            continue;
        }
        let left = most.map_or(u64::MAX, |most| most - printer.count);
        let left = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(records.len());
        match printer.print(&records[..left], &mut source) {
            Ok(true) => deadline = Deadline::new(timeout),
            Ok(false) => {
                say!("Unable to write to standard out, closing consumer.");
                break Ok(0);
            }
            Err(reason) => break Err(reason),
        }
    };
    if let Err(error) = source.close().await {
        log!("WARN", "{error}");
    }
    ended
}

/// What the original says when there is nothing to read.
fn timed_out() -> u8 {
    log!(
        "ERROR",
        "Error processing message, terminating consumer process: \norg.apache.kafka.common.errors.TimeoutException"
    );
    0
}

/// Connects, and finds out where to read.
async fn open(parsed: &Parsed, plan: Plan<'_>) -> Result<Source, String> {
    let mut settings = plan.settings.clone();
    let id = settings.entry("client.id".to_owned());
    id.or_insert_with(|| "console-consumer".to_owned());
    settings.insert("default.api.timeout.ms".to_owned(), PATIENCE.to_string());
    let level = parsed.values("isolation-level").last();
    if let Some(level) = level {
        settings.insert("isolation.level".to_owned(), level.clone());
    }
    let levels = ["read_committed", "read_uncommitted"];
    let text = |failure: Failure| failure.to_string();
    let isolation = properties::one_of(&settings, "isolation.level", &levels).map_err(text)?;
    let resets = ["latest", "earliest", "none"];
    let mut checked = settings.clone();
    checked.insert("auto.offset.reset".to_owned(), plan.reset.clone());
    properties::one_of(&checked, "auto.offset.reset", &resets).map_err(text)?;
    let options = ConsumerOptions {
        isolation: match isolation {
            Some("read_committed") => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        },
        reset: source::reset(Some(&plan.reset)),
        ..ConsumerOptions::default()
    };
    let wanted = match (parsed.values("topic"), parsed.values("include")) {
        ([topic, ..], _) => Wanted::Topic(topic.clone()),
        (_, patterns) => {
            let pattern = patterns.concat();
            Wanted::Matching(TopicFilter::new(&pattern).map_err(text)?)
        }
    };
    let client = cluster::connect(plan.bootstrap, &settings, "metadata")
        .await
        .map_err(|failure| {
            format!(
                "org.apache.kafka.common.KafkaException: Failed to construct kafka consumer\nCaused by: org.apache.kafka.common.config.ConfigException: {failure}"
            )
        })?;
    if let (Some(partition), Wanted::Topic(topic)) = (plan.partition, &wanted) {
        return Ok(Source::Partition {
            consumer: Box::new(PartitionConsumer::new(client, options)),
            topic: topic.clone(),
            partition,
            start: Some(plan.start),
        });
    }
    let commits = match settings.get("enable.auto.commit") {
        Some(given) => given.eq_ignore_ascii_case("true"),
        None => plan.group.is_some(),
    };
    let group = plan.group.unwrap_or_else(own_group);
    let instance = settings.get("group.instance.id").cloned();
    let member = Member::new(client, &group, instance, wanted, options, commits);
    Ok(Source::Member(Box::new(member)))
}

/// A group of one's own, which keeps no offsets.
fn own_group() -> String {
    let number = uuid::Uuid::new_v4().as_u128() % 100_000;
    format!("console-consumer-{number}")
}

/// When there was nothing to read for too long.
struct Deadline(Option<Instant>);

impl Deadline {
    fn new(timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    async fn passed(&self) {
        match self.0 {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// Prints records, and counts them.
struct Printer {
    formatter: Formatter,
    /// Whether it came to reading at all.
    began: bool,
    count: u64,
    /// Whether what cannot be shown is skipped.
    skips: bool,
}

impl Printer {
    /// `Ok(false)` if nobody reads any more; the error is that of a record that cannot be shown.
    fn print(&mut self, records: &[ConsumedRecord], source: &mut Source) -> Result<bool, String> {
        let mut out = Vec::new();
        let mut failed = None;
        for record in records {
            self.count += 1;
            source.done(record);
            if let Err(reason) = self.formatter.write(record, &mut out) {
                let reason =
                    format!("org.apache.kafka.common.errors.SerializationException: {reason}");
                if !self.skips {
                    failed = Some(reason);
                    break;
                }
                log!(
                    "ERROR",
                    "Error processing message, skipping this message: \n{reason}"
                );
            }
        }
        let mut stdout = stdout().lock();
        let written = stdout.write_all(&out).and_then(|()| stdout.flush());
        match failed {
            Some(reason) => Err(reason),
            None => Ok(written.is_ok()),
        }
    }
}
