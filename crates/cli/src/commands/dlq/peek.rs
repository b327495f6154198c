//! `ottla dlq peek`.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::selection::SelectionArgs;
use super::show::one_line;
use super::views::{self, Record};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct PeekArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON, a line for each record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Page {
    records: Vec<Value>,
    next: Option<String>,
}

pub async fn run(args: PeekArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let mut shown = 0;
    let mut cursor = None;
    let mut out = std::io::stdout().lock();
    loop {
        let mut parameters = args.selection.parameters();
        parameters.push(("limit", (args.limit - shown).to_string()));
        parameters.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Page = http
            .get(&path(&["v1", "dlq", &args.topic, "records"], &parameters))
            .await?;
        for record in &page.records {
            match args.json {
                true => output::json(&mut out, record)?,
                false => print(&mut out, &views::typed(record)?)?,
            }
            shown += 1;
        }
        match page.next {
            None => break,
            Some(_) if shown >= args.limit => {
                say!("There are more: --limit shows up to 1000, ottla dlq export all.");
                break;
            }
            // A page holds so many bytes at most.
            Some(next) => cursor = Some(next),
        }
    }
    if shown == 0 {
        say!(
            "No record is meant by that. See what there is with: ottla dlq show {}",
            args.topic
        );
    }
    Ok(())
}

/// One record: where it is, where it came from, why it is here, what it is.
pub(super) fn print(out: &mut impl Write, record: &Record) -> std::io::Result<()> {
    let from = record.source.as_ref().map(|source| {
        let number = |n: Option<i64>| output::or_dash(n);
        format!(
            "  from {}-{}@{}",
            source.topic,
            number(source.partition.map(i64::from)),
            number(source.offset)
        )
    });
    let mut facts = Vec::new();
    facts.extend(
        record
            .group
            .as_ref()
            .map(|group| format!("group {}", one_line(group))),
    );
    facts.extend(record.attempts.map(|n| match n {
        1 => "failed once".to_owned(),
        n => format!("failed {n} times"),
    }));
    facts.extend(
        record
            .client
            .as_ref()
            .map(|client| format!("by {}", one_line(client))),
    );
    if record.redrives > 0 {
        facts.push(format!("redriven {} before", times(record.redrives)));
    }
    writeln!(
        out,
        "{}@{}{}  {}",
        record.partition,
        record.offset,
        from.unwrap_or_default(),
        views::time(record.dead_lettered)
    )?;
    if !facts.is_empty() {
        writeln!(out, "  {}", facts.join(", "))?;
    }
    if let Some(reason) = record.reason.as_ref().filter(|reason| !reason.is_empty()) {
        writeln!(out, "  reason  {}", one_line(reason))?;
    }
    let shown = |blob: &Option<views::Blob>| {
        blob.as_ref()
            .map_or_else(|| "null".to_owned(), views::Blob::shown)
    };
    writeln!(out, "  key     {}", shown(&record.key))?;
    writeln!(out, "  value   {}", shown(&record.value))?;
    for header in &record.headers {
        writeln!(
            out,
            "  header  {}={}",
            header.key.shown(),
            shown(&header.value)
        )?;
    }
    Ok(())
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_shown_with_where_it_came_from_and_why() {
        let record = json!({
            "partition": 0, "offset": 3, "timestamp": 1_769_860_800_000_i64,
            "key": {"text": "k"}, "value": {"base64": "AP8="},
            "headers": [{"key": {"text": "trace"}, "value": null}],
            "source": {"topic": "orders", "partition": 0, "offset": 17},
            "group": "billing", "attempts": 5, "reason": "no such\ncustomer",
            "dead_lettered": 1_769_860_800_000_i64, "client": "worker-1/127.0.0.1", "redrives": 1,
        });
        let mut out = Vec::new();
        print(&mut out, &views::typed(&record).unwrap()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        0@3  from orders-0@17  2026-01-31T12:00:00Z
          group billing, failed 5 times, by worker-1/127.0.0.1, redriven once before
          reason  no such\ncustomer
          key     k
          value   base64:AP8=
          header  trace=null
        ");
    }
}
