//! `ottla dlq list`.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::views::{self, Queue};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;
use crate::talk::say;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON, a line for each queue
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Queues {
    queues: Vec<Value>,
}

pub async fn run(args: ListArgs) -> anyhow::Result<()> {
    let Queues { queues } = Http::new(&args.client)
        .get(&path(&["v1", "dlq"], &[]))
        .await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for queue in &queues {
            output::json(&mut out, queue)?;
        }
        return Ok(());
    }
    if queues.is_empty() {
        say!("There are no dead letters. See what groups fail on with: ottla dlq suspects");
        return Ok(());
    }
    let queues: Vec<Queue> = queues.iter().map(views::typed).collect::<Result<_, _>>()?;
    let rows: Vec<Vec<String>> = queues
        .iter()
        .map(|queue| {
            let groups: Vec<String> = queue
                .groups
                .iter()
                .map(|(group, records)| format!("{group}:{records}"))
                .collect();
            let groups = Some(groups.join(" ")).filter(|groups| !groups.is_empty());
            vec![
                match queue.source_exists {
                    true => queue.source.clone(),
                    false => format!("{} (deleted)", queue.source),
                },
                queue.queue.clone(),
                queue.records.to_string(),
                views::time(queue.oldest),
                views::time(queue.newest),
                output::or_dash(groups),
            ]
        })
        .collect();
    let header = ["TOPIC", "QUEUE", "RECORDS", "OLDEST", "NEWEST", "GROUPS"];
    output::table(&mut out, &header, &rows)?;
    Ok(())
}
