//! Reading partitions without a group.

use std::collections::BTreeMap;

use anyhow::bail;
use ottla_client::consumer::{ConsumerOptions, Isolation, OffsetSpec, PartitionConsumer};
use ottla_client::{Client, ClientError};

use super::{ConsumeArgs, POLL, Printer, Start};

type Partitions = Vec<(String, i32)>;

pub(super) async fn run(args: &ConsumeArgs, printer: &mut Printer) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let partitions = partitions(args, &mut client).await?;
    let starts = starts(&mut client, &partitions, args.start(), args.isolation()).await?;
    let options = ConsumerOptions {
        isolation: args.isolation(),
        ..ConsumerOptions::default()
    };
    let mut consumer = PartitionConsumer::new(client, options);
    for ((topic, partition), offset) in starts {
        consumer.assign(&topic, partition, offset);
    }
    while !printer.is_done() {
        let records = consumer.poll(POLL).await?;
        printer.print(&records)?;
        if args.exit_eof && consumer.at_end() {
            break;
        }
    }
    Ok(())
}

async fn partitions(args: &ConsumeArgs, client: &mut Client) -> anyhow::Result<Partitions> {
    let mut partitions = Vec::new();
    for name in &args.topics {
        let topic = client.topic(name, false).await?;
        let count = topic.partitions.len();
        if let Some(unknown) = args
            .partitions
            .iter()
            .find(|wanted| !topic.partitions.iter().any(|p| p.index == **wanted))
        {
            bail!("topic {name} has no partition {unknown}: it has {count}, from 0 on");
        }
        partitions.extend(
            topic
                .partitions
                .iter()
                .map(|partition| partition.index)
                .filter(|index| args.partitions.is_empty() || args.partitions.contains(index))
                .map(|index| (name.clone(), index)),
        );
    }
    Ok(partitions)
}

async fn starts(
    client: &mut Client,
    partitions: &Partitions,
    start: Start,
    isolation: Isolation,
) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
    let mut starts = BTreeMap::new();
    if let Start::At(offset) = start {
        starts.extend(partitions.iter().cloned().map(|key| (key, offset)));
        return Ok(starts);
    }
    let first = client
        .list_offsets(partitions, OffsetSpec::Earliest, isolation)
        .await?;
    let end = client
        .list_offsets(partitions, OffsetSpec::Latest, isolation)
        .await?;
    let by_time = match start {
        Start::Time(ms) => {
            client
                .list_offsets(partitions, OffsetSpec::Timestamp(ms), isolation)
                .await?
        }
        _ => BTreeMap::new(),
    };
    for key in partitions {
        let of =
            |offsets: &BTreeMap<(String, i32), Option<i64>>| offsets.get(key).copied().flatten();
        let (first, end) = (of(&first).unwrap_or(0), of(&end).unwrap_or(0));
        let offset = match start {
            Start::Beginning => first,
            Start::End => end,
            Start::At(offset) => offset,
            Start::BeforeEnd(count) => end.saturating_sub(count).max(first),
            // Nothing is as late as that: what comes is.
            Start::Time(_) => of(&by_time).unwrap_or(end),
        };
        starts.insert(key.clone(), offset);
    }
    Ok(starts)
}
