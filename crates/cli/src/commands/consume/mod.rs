//! `ottla consume`: prints records, or runs a command for each.

mod command;
mod exec;
mod format;
mod group;
mod partitions;
mod start;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::time::Duration;

use clap::Args;
use ottla_client::consumer::{ConsumedRecord, Isolation};

use crate::args::ClientArgs;
use crate::talk::say;
use format::Format;
use start::Start;

/// How long a poll waits for records.
const POLL: Duration = Duration::from_millis(500);

const HELP: &str = r#"A format is text with these in it: %t topic, %p partition, %o offset, %T timestamp (milliseconds), %k key, %s value,
%h headers (name=value,...), %K and %S lengths of key and value in bytes (-1 for null), %% a percent sign, \n \t \r \0.

A place to start is beginning, end, an offset, -N for the last N of each partition, or @TIME as in @2026-01-31T12:00:00Z
or @1769860800000. With --group it is beginning or end and counts for partitions without a committed offset.

--exec hands the record's value to the standard input of `sh -c COMMAND`. OTTLA_TOPIC, OTTLA_PARTITION, OTTLA_OFFSET,
OTTLA_TIMESTAMP (milliseconds) and OTTLA_KEY are in its environment; OTTLA_KEY is not set for a key that is null, has a zero byte or
is longer than 64 KiB. Exit status 0: the record is processed, and committed. Any other: it failed. The broker is told so, with the
last line of the command's standard error as the reason, and the group goes on where the broker says: with this record again, or, when
it was moved to the dead letter queue, with the next one. Only processed records count for --max-messages. At Ctrl-C the
command that runs may end first; a second Ctrl-C ends it.

Examples:
  ottla consume orders --offset beginning --exit-eof
  ottla consume orders -o -10 -f '%p@%o %k=%s\n'
  ottla consume orders --group billing
  ottla consume orders --group billing --exec ./bill.sh"#;

/// Reads records.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ConsumeArgs {
    /// The topics
    #[arg(required_unless_present = "by_flag", value_name = "TOPIC")]
    topics: Vec<String>,
    /// The topic, as a flag; repeatable
    #[arg(
        short = 't',
        long = "topic",
        value_name = "TOPIC",
        conflicts_with = "topics"
    )]
    by_flag: Vec<String>,
    /// Read this partition alone; repeatable
    #[arg(short, long = "partition", value_name = "N", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Where to start [default: end; beginning with --exit-eof]
    #[arg(short, long, allow_hyphen_values = true)]
    offset: Option<Start>,
    /// Read as a member of this group, and commit what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// The static member's id (group.instance.id)
    #[arg(long, value_name = "ID", requires = "group")]
    instance_id: Option<String>,
    /// Stop after N records
    #[arg(short = 'c', long, value_name = "N")]
    max_messages: Option<u64>,
    /// Stop when everything there was is read
    #[arg(short, long)]
    exit_eof: bool,
    /// Print records in this form [default: %s\n]
    #[arg(short, long, conflicts_with = "json")]
    format: Option<Format>,
    /// Print JSON, a line for each record
    #[arg(long)]
    json: bool,
    /// Run this shell command for each record, and commit those for which it exits with 0 (see below)
    #[arg(
        long,
        value_name = "COMMAND",
        requires = "group",
        conflicts_with_all = ["format", "json"]
    )]
    exec: Option<String>,
    /// Leave out records of open and aborted transactions
    #[arg(long)]
    read_committed: bool,
    #[command(flatten)]
    client: ClientArgs,
}

impl ConsumeArgs {
    fn isolation(&self) -> Isolation {
        match self.read_committed {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        }
    }

    fn start(&self) -> Start {
        self.offset.unwrap_or(match self.exit_eof {
            true => Start::Beginning,
            false => Start::End,
        })
    }
}

pub async fn run(mut args: ConsumeArgs) -> anyhow::Result<()> {
    let by_flag = std::mem::take(&mut args.by_flag);
    args.topics.extend(by_flag);
    if args.offset.is_none() && args.group.is_none() && !args.exit_eof && io::stderr().is_terminal()
    {
        say!("Waiting for new records; --offset beginning shows those that are there.");
    }
    let mut printer = Printer::new(&args);
    match &args.group {
        Some(group) if args.exec.is_some() => exec::run(&args, group).await,
        Some(group) => group::run(&args, group, &mut printer).await,
        None => partitions::run(&args, &mut printer).await,
    }
}

/// Prints records until there are as many as asked for.
struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    left: Option<u64>,
}

impl Printer {
    fn new(args: &ConsumeArgs) -> Printer {
        let format = match (&args.format, args.json) {
            (Some(format), _) => format.clone(),
            (None, true) => Format::Json,
            (None, false) => Format::default(),
        };
        Printer {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            format,
            left: args.max_messages,
        }
    }

    /// Prints as many of `records` as are wanted and returns how many those were.
    fn print(&mut self, records: &[ConsumedRecord]) -> io::Result<usize> {
        let wanted = self.left.map_or(records.len(), |left| {
            records
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        for record in &records[..wanted] {
            self.format.write(&mut self.out, record)?;
        }
        if let Some(left) = &mut self.left {
            *left -= u64::try_from(wanted).expect("a count in memory fits");
        }
        self.out.flush()?;
        Ok(wanted)
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}
