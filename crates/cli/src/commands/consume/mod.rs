//! `ottla consume`: prints records.

mod format;
mod group;
mod partitions;
mod start;

use std::io::{self, BufWriter, Stdout, Write};
use std::time::Duration;

use clap::Args;
use ottla_client::consumer::{ConsumedRecord, Isolation};

use crate::args::ClientArgs;
use format::Format;
use start::Start;

/// How long a poll waits for records.
const POLL: Duration = Duration::from_millis(500);

/// A format is text with these in it: %t topic, %p partition, %o offset, %T timestamp (ms), %k key, %s value,
/// %h headers (name=value,...), %K and %S lengths of key and value in bytes (-1 for null), %% a percent sign,
/// \n \t \r \0 \\.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topic; with --group there may be several
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Read this partition alone; repeatable
    #[arg(short, long = "partition", value_name = "N", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Where to start: beginning, end, an offset, -N for the last N of each partition, @TIME; with --group beginning or end,
    /// for partitions without a committed offset [default: end; beginning with --exit-eof]
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

pub async fn run(args: ConsumeArgs) -> anyhow::Result<()> {
    let mut printer = Printer::new(&args)?;
    let work = async {
        match &args.group {
            Some(group) => group::run(&args, group, &mut printer).await,
            None => partitions::run(&args, &mut printer).await,
        }
    };
    work.await
}

/// Prints records until there are as many as asked for.
struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    left: Option<u64>,
}

impl Printer {
    fn new(args: &ConsumeArgs) -> anyhow::Result<Printer> {
        let format = match (&args.format, args.json) {
            (Some(format), _) => format.clone(),
            (None, true) => Format::Json,
            (None, false) => Format::default(),
        };
        Ok(Printer {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            format,
            left: args.max_messages,
        })
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
