//! `ottla dlq export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use http_body_util::BodyExt;

use super::selection::SelectionArgs;
use super::views::records;
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: ExportArgs) -> anyhow::Result<()> {
    let mut parameters = args.selection.parameters();
    parameters.push(("format", "ndjson".to_owned()));
    let http = Http::new(&args.client);
    let mut body = http
        .stream(&path(&["v1", "dlq", &args.topic, "records"], &parameters))
        .await?;
    let mut out: Box<dyn Write> = match &args.output {
        None => Box::new(BufWriter::new(io::stdout())),
        Some(file) => Box::new(BufWriter::new(
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?,
        )),
    };
    let mut lines = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the broker broke the export off: it is not complete")?;
        if let Some(bytes) = frame.data_ref() {
            lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            out.write_all(bytes)?;
        }
    }
    out.flush()?;
    if let Some(file) = &args.output {
        say!("Wrote {} to {}.", records(lines), file.display());
    }
    Ok(())
}
