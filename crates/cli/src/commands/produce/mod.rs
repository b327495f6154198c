//! `ottla produce`: sends lines as records.

pub(crate) mod input;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ottla_client::producer::{Acks, Delivery, Producer, ProducerOptions};
use ottla_codec::compression::Compression;
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::{ClientArgs, name_value};
use crate::output;
use crate::talk::say;
use input::LineFormat;

/// How long a record waits for others before it goes out.
const LINGER: Duration = Duration::from_millis(5);
/// Lines that may be read ahead.
const READ_AHEAD: usize = 10_000;

const HELP: &str = r#"Records are lines, or with --input json one JSON object a line, as in
  {"key": "k", "value": "v", "headers": {"h": "x"}, "partition": 0, "timestamp": 1700000000000}
where all may be left out, and what is not a string is sent as JSON text. Lines of `ottla consume --json` can be sent
again.

Examples:
  echo hello | ottla produce greetings
  printf 'alice:1\nbob:2\n' | ottla produce accounts -K : -z zstd"#;

/// Sends records, one a line.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ProduceArgs {
    #[command(flatten)]
    topic: TopicArg,
    /// Read from a file instead of stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What a line holds
    #[arg(short, long, value_enum, default_value = "lines")]
    input: Input,
    /// What stands between key and value, as in : or \t; a line without it has no key
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// The key of every record that brings none
    #[arg(short, long)]
    key: Option<String>,
    /// A header of every record; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = name_value)]
    headers: Vec<(String, String)>,
    /// A key or value with this text is sent as null; without =TEXT an empty one
    #[arg(short = 'Z', long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    null: Option<String>,
    /// The partition [default: by key; in turn without one]
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,
    /// The codec
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Codec,
    /// When a record counts as sent
    #[arg(short, long, value_enum, default_value = "all")]
    acks: AcksArg,
    /// Say nothing at the end
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON, a line for each batch that the broker has acknowledged: its partition, first offset and records
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// The topic, by place or by flag as other tools have it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TopicArg {
    /// The topic
    #[arg(value_name = "TOPIC")]
    by_place: Option<String>,
    /// The topic, as a flag
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    by_flag: Option<String>,
}

impl TopicArg {
    fn name(&self) -> String {
        let given = self.by_place.as_ref().or(self.by_flag.as_ref());
        given.expect("clap requires one of the two").clone()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Input {
    /// A value, or key and value
    Lines,
    /// A JSON object
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AcksArg {
    /// When every in-sync replica has it
    #[value(alias = "-1")]
    All,
    /// When the leader has it
    #[value(name = "1")]
    Leader,
    /// When it is out of the door
    #[value(name = "0")]
    None,
}

impl From<AcksArg> for Acks {
    fn from(acks: AcksArg) -> Acks {
        match acks {
            AcksArg::All => Acks::All,
            AcksArg::Leader => Acks::Leader,
            AcksArg::None => Acks::None,
        }
    }
}

pub async fn run(args: ProduceArgs) -> anyhow::Result<()> {
    let topic = args.topic.name();
    let source: Box<dyn BufRead + Send> = match &args.file {
        Some(path) => {
            let file =
                File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(BufReader::new(io::stdin())),
    };
    let format = LineFormat {
        topic: topic.clone(),
        json: args.input == Input::Json,
        key_separator: args.key_separator.as_deref().map(input::unescape),
        key: args.key.clone(),
        headers: args.headers.clone(),
        null: args.null.clone(),
        partition: args.partition,
    };
    let client = args.client.connect().await?;
    let options = ProducerOptions {
        acks: args.acks.into(),
        compression: args.compression.into(),
        ..ProducerOptions::default()
    };
    let mut producer = Producer::new(client, options).await?;
    // The topic's own troubles are told before the first line is read.
    producer.client().topic(&topic, true).await?;
    if args.file.is_none() && io::stdin().is_terminal() && !args.quiet {
        say!("Type records, one a line; Ctrl-D ends.");
    }
    let mut sent = Sent::new(args.json);
    send_lines(&mut producer, &format, read_lines(source), &mut sent).await?;
    if !args.quiet && !args.json {
        let sent = sent.records;
        let plural = if sent == 1 { "" } else { "s" };
        say!("Sent {sent} record{plural} to {topic}.");
    }
    Ok(())
}

/// Sends until the input ends. Records that wait go out after a moment without a further line.
async fn send_lines(
    producer: &mut Producer,
    format: &LineFormat,
    mut lines: mpsc::Receiver<io::Result<Vec<u8>>>,
    sent: &mut Sent,
) -> anyhow::Result<()> {
    let mut number = 0_u64;
    loop {
        let line = if producer.is_flushed() {
            lines.recv().await
        } else {
            match tokio::time::timeout(LINGER, lines.recv()).await {
                Ok(line) => line,
                Err(_) => {
                    sent.add(&producer.flush().await?)?;
                    continue;
                }
            }
        };
        let Some(line) = line else { break };
        number += 1;
        let line = line.context("cannot read the input")?;
        let record = format
            .parse(line)
            .with_context(|| format!("line {number} of the input"))?;
        sent.add(&producer.send(record).await?)?;
    }
    sent.add(&producer.flush().await?)?;
    Ok(())
}

/// What the broker has acknowledged: counted, and told to scripts as it comes.
struct Sent {
    json: bool,
    records: usize,
}

impl Sent {
    fn new(json: bool) -> Sent {
        Sent { json, records: 0 }
    }

    fn add(&mut self, deliveries: &[Delivery]) -> io::Result<()> {
        for delivery in deliveries {
            self.records += delivery.count;
            if self.json {
                let line = json!({
                    "topic": delivery.topic,
                    "partition": delivery.partition,
                    // Without acknowledgements nobody says it.
                    "offset": (delivery.base_offset >= 0).then_some(delivery.base_offset),
                    "records": delivery.count,
                });
                output::json(&mut io::stdout(), &line)?;
            }
        }
        Ok(())
    }
}

/// Reads lines on a thread of their own: a read of stdin blocks, and cannot be cancelled.
fn read_lines(mut source: Box<dyn BufRead + Send>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let read = match source.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => Ok(strip_newline(line)),
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

fn strip_newline(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    line
}
