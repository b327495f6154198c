//! A member of a group that runs a command for each record: what it processed is committed, what it failed on is nacked.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::Context;
use ottla_client::consumer::{ConsumedRecord, GroupConsumer};
use tokio::time::sleep_until;

use super::command::{self, Outcome};
use super::{ConsumeArgs, POLL, group};
use crate::signals::Signals;
use crate::talk::say;

pub(super) async fn run(args: &ConsumeArgs, group: &str) -> anyhow::Result<()> {
    let mut consumer = group::member(args, group).await?;
    let mut worker = Worker {
        command: args.exec.as_deref().expect("--exec is given"),
        left: args.max_messages,
        signals: Signals::listen()?,
        stopping: false,
    };
    let result = worker.consume(args, &mut consumer).await;
    let left = consumer.leave().await;
    result?;
    left.map_err(Into::into)
}

struct Worker<'a> {
    command: &'a str,
    /// Records that are still to be processed, if that is bounded.
    left: Option<u64>,
    signals: Signals,
    /// A signal came: the record at work is the last one.
    stopping: bool,
}

impl Worker<'_> {
    async fn consume(
        &mut self,
        args: &ConsumeArgs,
        consumer: &mut GroupConsumer,
    ) -> anyhow::Result<()> {
        while !self.is_done() {
            let records = tokio::select! {
                records = consumer.poll(POLL) => records?,
                _ = self.signals.next() => return Ok(()),
            };
            self.work(consumer, &records).await?;
            if args.exit_eof && consumer.at_end() {
                break;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.stopping || self.left == Some(0)
    }

    /// Works on records as they were polled. Returns early if the group rebalances: the others come again.
    async fn work(
        &mut self,
        consumer: &mut GroupConsumer,
        records: &[ConsumedRecord],
    ) -> anyhow::Result<()> {
        // Where the consumer went elsewhere than to the next record.
        let mut moved = Vec::new();
        for record in records {
            let place = (&record.topic, record.partition);
            if moved.contains(&place) {
                continue;
            }
            if self.is_done() || !consumer.keep_alive().await? {
                break;
            }
            match self.attempt(consumer, record).await? {
                Some(Outcome::Done) => {
                    let key = (record.topic.to_string(), record.partition);
                    if !consumer
                        .commit(&BTreeMap::from([(key, record.offset + 1)]))
                        .await?
                    {
                        break;
                    }
                    self.left = self.left.map(|left| left.saturating_sub(1));
                }
                // Whoever stopped this command may have stopped that one, too: the record did not fail.
                Some(Outcome::Failed { killed: true, .. }) if self.stopping => break,
                Some(Outcome::Failed { reason, .. }) => {
                    if !nack(consumer, record, &reason).await? {
                        break;
                    }
                    moved.push(place);
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Runs the command, and keeps the membership meanwhile. `None` if a second signal ended it.
    async fn attempt(
        &mut self,
        consumer: &mut GroupConsumer,
        record: &ConsumedRecord,
    ) -> anyhow::Result<Option<Outcome>> {
        let child = command::prepare(self.command, record)
            .spawn()
            .context("cannot start sh")?;
        let id = child.id();
        let mut running = pin!(command::finish(child, record));
        loop {
            tokio::select! {
                outcome = &mut running => {
                    return Ok(Some(outcome.context("talking to the command failed")?));
                }
                () = sleep_until(consumer.next_heartbeat()) => {
                    consumer.keep_alive().await?;
                }
                _ = self.signals.next() => {
                    if self.stopping {
                        end(id).await;
                        return Ok(None);
                    }
                    self.stopping = true;
                    say!("Stopping when the command has ended; once more ends it now.");
                }
            }
        }
    }
}

/// Tells the broker, and people. `false` if the group has moved on.
async fn nack(
    consumer: &mut GroupConsumer,
    record: &ConsumedRecord,
    reason: &str,
) -> anyhow::Result<bool> {
    let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
    say!("{topic}-{partition}@{offset} failed: {reason}");
    let position = consumer.nack(topic, partition, offset, reason).await?;
    if position.is_some_and(|position| position > offset) {
        say!("{topic}-{partition}@{offset} was moved to the dead letter queue");
    }
    Ok(position.is_some())
}

/// Asks a command's whole process group to end; its shell is killed when it is dropped.
async fn end(id: Option<u32>) {
    if let (true, Some(id)) = (cfg!(unix), id) {
        let group = format!("-{id}");
        let _ = tokio::process::Command::new("kill")
            .args(["-TERM", "--", &group])
            .status()
            .await;
    }
}
