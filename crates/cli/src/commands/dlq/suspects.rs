//! `ottla dlq suspects`.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::show::one_line;
use super::views;
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct SuspectsArgs {
    /// Of this group
    #[arg(short, long)]
    group: Option<String>,
    /// Of this topic
    #[arg(short, long)]
    topic: Option<String>,
    /// Print JSON, a line for each group
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub group: String,
    pub breaker: Option<Breaker>,
    pub suspects: Vec<Suspect>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Breaker {
    pub since: i64,
    pub reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Suspect {
    topic: String,
    partition: i32,
    offset: i64,
    attempts: u32,
    state: String,
    reason: String,
    deaths: Vec<Death>,
}

#[derive(Debug, Deserialize)]
struct Death {
    client: String,
    at: i64,
}

pub async fn run(args: SuspectsArgs) -> anyhow::Result<()> {
    let http = Http::new(&args.client);
    let groups = ask(&http, args.group.as_deref(), args.topic.as_deref()).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for group in groups.as_array().into_iter().flatten() {
            output::json(&mut out, group)?;
        }
        return Ok(());
    }
    let groups = typed(&groups)?;
    if groups.is_empty() {
        say!("No group fails on anything that is known.");
        return Ok(());
    }
    print(&mut out, &groups)?;
    Ok(())
}

/// What groups fail on.
pub(super) async fn ask(
    http: &Http,
    group: Option<&str>,
    topic: Option<&str>,
) -> anyhow::Result<Value> {
    let parameters: Vec<(&str, String)> = [("group", group), ("topic", topic)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect();
    let mut answer: Value = http.get(&path(&["v1", "suspects"], &parameters)).await?;
    Ok(answer["groups"].take())
}

pub(super) fn typed(groups: &Value) -> anyhow::Result<Vec<Group>> {
    views::typed(groups)
}

pub(super) fn print(out: &mut impl Write, groups: &[Group]) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = groups
        .iter()
        .flat_map(|group| group.suspects.iter().map(move |suspect| (group, suspect)))
        .map(|(group, suspect)| {
            let last = suspect.deaths.last();
            vec![
                group.group.clone(),
                format!("{}-{}@{}", suspect.topic, suspect.partition, suspect.offset),
                suspect.attempts.to_string(),
                suspect.state.clone(),
                output::or_dash(last.map(|death| one_line(&death.client))),
                views::time(last.map(|death| death.at)),
                output::or_dash(Some(one_line(&suspect.reason)).filter(|r| !r.is_empty())),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["GROUP", "RECORD", "FAILED", "STATE", "LAST", "AT", "REASON"];
        output::table(out, &header, &rows)?;
    }
    for group in groups {
        if let Some(breaker) = &group.breaker {
            writeln!(
                out,
                "{}: nothing is dead-lettered since {}, until the group makes progress: {}",
                group.group,
                views::time(Some(breaker.since)),
                one_line(&breaker.reason)
            )?;
        }
    }
    Ok(())
}
