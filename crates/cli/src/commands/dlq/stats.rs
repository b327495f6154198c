//! `ottla dlq stats`.

use clap::Args;
use serde_json::{Value, json};

use super::show::print_counts;
use super::views::{self, QueueDetail};
use crate::args::ClientArgs;
use crate::http::{Http, path};
use crate::output;

#[derive(Debug, Args)]
pub struct StatsArgs {
    /// The topic whose dead letters they are
    topic: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: StatsArgs) -> anyhow::Result<()> {
    let shown: Value = Http::new(&args.client)
        .get(&path(&["v1", "dlq", &args.topic], &[]))
        .await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let stats = json!({
            "source": shown["source"],
            "queue": shown["queue"],
            "records": shown["records"],
            "oldest": shown["oldest"],
            "newest": shown["newest"],
            "groups": shown["groups"],
            "reasons": shown["reasons"],
            "partitions": shown["partitions"],
        });
        output::json(&mut out, &stats)?;
        return Ok(());
    }
    let detail: QueueDetail = views::typed(&shown)?;
    let row = vec![
        detail.queue.records.to_string(),
        views::time(detail.queue.oldest),
        views::time(detail.queue.newest),
    ];
    output::table(&mut out, &["RECORDS", "OLDEST", "NEWEST"], &[row])?;
    print_counts(&mut out, &detail)?;
    Ok(())
}
