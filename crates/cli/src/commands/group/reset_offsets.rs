//! `ottla group reset-offsets`.

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context, bail};
use clap::Args;
use ottla_client::Client;
use serde_json::json;

use super::target::{Place, TargetArgs};
use crate::args::ClientArgs;
use crate::output::{self, or_dash};
use crate::talk::say;

/// Moves a group.
#[derive(Debug, Args)]
#[command(
    after_help = "Shows what it would do; --execute does it. An offset out of range becomes the nearest one that is there."
)]
pub struct ResetOffsetsArgs {
    /// The group
    group: String,
    /// A topic, or partitions of it, as in orders:0,1; repeatable
    #[arg(
        short,
        long = "topic",
        value_name = "TOPIC[:N,...]",
        required_unless_present = "all_topics"
    )]
    topics: Vec<String>,
    /// All partitions that the group has offsets of
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Only show what would be done; the default
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    execute: bool,
    /// Print JSON, a line for each partition
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

type Offsets = BTreeMap<(String, i32), i64>;

pub async fn run(args: ResetOffsetsArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let committed: Offsets = client
        .committed_offsets(&args.group)
        .await?
        .into_iter()
        .map(|(key, committed)| (key, committed.offset))
        .collect();
    let partitions = match args.all_topics {
        true => committed.keys().cloned().collect(),
        false => partitions(&mut client, &args.topics).await?,
    };
    if partitions.is_empty() {
        bail!(
            "group {} has no committed offsets: name the topics with --topic",
            args.group
        );
    }
    let places = args
        .target
        .places(&mut client, &partitions, &committed)
        .await?;
    let mut offsets = Offsets::new();
    for (key, place) in &places {
        match args.target.resolve(*place) {
            Some(offset) => drop(offsets.insert(key.clone(), offset)),
            None => say!(
                "{}-{} has no committed offset and stays as it is.",
                key.0,
                key.1
            ),
        }
    }
    if args.execute {
        client.commit_offsets(&args.group, &offsets).await?;
    }
    print(&mut io::stdout().lock(), &args, &places, &offsets)?;
    if !args.execute {
        say!("Nothing was changed; add --execute to do it.");
    }
    Ok(())
}

fn print(
    out: &mut impl io::Write,
    args: &ResetOffsetsArgs,
    places: &BTreeMap<(String, i32), Place>,
    offsets: &Offsets,
) -> io::Result<()> {
    let before = |key| places.get(key).and_then(|place: &Place| place.committed);
    if args.json {
        for (key, offset) in offsets {
            let line = json!({
                "topic": key.0,
                "partition": key.1,
                "from": before(key),
                "to": offset,
                "executed": args.execute,
            });
            output::json(out, &line)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = offsets
        .iter()
        .map(|(key, offset)| {
            vec![
                key.0.clone(),
                key.1.to_string(),
                or_dash(before(key)),
                offset.to_string(),
            ]
        })
        .collect();
    output::table(out, &["TOPIC", "PARTITION", "FROM", "TO"], &rows)
}

async fn partitions(client: &mut Client, topics: &[String]) -> anyhow::Result<Vec<(String, i32)>> {
    let mut partitions = Vec::new();
    for text in topics {
        let (name, only) = parse_topic(text)?;
        let topic = client.topic(&name, false).await?;
        let all: Vec<i32> = topic.partitions.iter().map(|p| p.index).collect();
        if let Some(unknown) = only.iter().find(|index| !all.contains(index)) {
            bail!(
                "topic {name} has no partition {unknown}: it has {}, from 0 on",
                all.len()
            );
        }
        let chosen = if only.is_empty() { all } else { only };
        partitions.extend(chosen.into_iter().map(|index| (name.clone(), index)));
    }
    Ok(partitions)
}

/// `orders` or `orders:0,1`.
fn parse_topic(text: &str) -> anyhow::Result<(String, Vec<i32>)> {
    let Some((name, list)) = text.split_once(':') else {
        return Ok((text.to_owned(), Vec::new()));
    };
    let partitions = list
        .split(',')
        .map(|index| index.trim().parse::<i32>())
        .collect::<Result<_, _>>()
        .with_context(|| format!("`{text}` is not a topic with partitions, as in orders:0,1"))?;
    Ok((name.to_owned(), partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_name_partitions() {
        assert_eq!(parse_topic("a").unwrap(), ("a".to_owned(), vec![]));
        assert_eq!(parse_topic("a:0,2").unwrap(), ("a".to_owned(), vec![0, 2]));
        assert!(parse_topic("a:x").is_err());
    }
}
