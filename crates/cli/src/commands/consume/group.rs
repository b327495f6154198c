//! Reading as a member of a group. What was printed is committed: a crash in between prints records again, and loses none.

use std::collections::BTreeMap;

use anyhow::bail;
use ottla_client::consumer::{ConsumerOptions, GroupConsumer, GroupOptions, OffsetReset};

use super::{ConsumeArgs, POLL, Printer, Start};
use crate::signals::Signals;

pub(super) async fn run(
    args: &ConsumeArgs,
    group: &str,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let mut consumer = member(args, group).await?;
    // Leaves on failure and on a signal too, so that the other members need not wait for the session to end.
    let mut signals = Signals::listen()?;
    let result = tokio::select! {
        result = consume(args, printer, &mut consumer) => result,
        _ = signals.next() => Ok(()),
    };
    let left = consumer.leave().await;
    result?;
    left.map_err(Into::into)
}

/// A member of the group, as the arguments want it.
pub(super) async fn member(args: &ConsumeArgs, group: &str) -> anyhow::Result<GroupConsumer> {
    let reset = match args.start() {
        Start::Beginning => OffsetReset::Earliest,
        Start::End => OffsetReset::Latest,
        _ => bail!(
            "with --group, --offset is beginning or end; move the group with: ottla group reset-offsets"
        ),
    };
    let mut client = args.client.connect().await?;
    for topic in &args.topics {
        client.topic(topic, true).await?;
    }
    let group = GroupOptions {
        instance_id: args.instance_id.clone(),
        ..GroupOptions::new(group, args.topics.clone())
    };
    let options = ConsumerOptions {
        isolation: args.isolation(),
        reset,
        ..ConsumerOptions::default()
    };
    Ok(GroupConsumer::new(client, group, options))
}

async fn consume(
    args: &ConsumeArgs,
    printer: &mut Printer,
    consumer: &mut GroupConsumer,
) -> anyhow::Result<()> {
    while !printer.is_done() {
        let records = consumer.poll(POLL).await?;
        let printed = printer.print(&records)?;
        let mut offsets = BTreeMap::new();
        for record in &records[..printed] {
            offsets.insert(
                (record.topic.to_string(), record.partition),
                record.offset + 1,
            );
        }
        consumer.commit(&offsets).await?;
        if args.exit_eof && consumer.at_end() {
            break;
        }
    }
    Ok(())
}
