//! What people are to hear of, in the log.

use ottla_dlq::TopicPartition;
use ottla_dlq::event::{Alert, DeadRecord, Destination};

use super::metrics::cause_name;

/// One line for an alert, with what to do next.
pub(crate) fn log(alert: &Alert) {
    match alert {
        Alert::Suspect {
            group,
            at,
            offset,
            members,
        } => tracing::warn!(
            "group {group} seems to fail on {} from offset {offset} on: members that died there: {}. \
             Nothing is moved with dlq.mode=detect. See: ottla dlq suspects --group {group}; ottla dlq show {}",
            place(at),
            members.join(", "),
            at.topic
        ),
        Alert::IsolationBegins {
            group,
            at,
            offset,
            until,
        } => tracing::warn!(
            "group {group} fails again and again on {} between offsets {offset} and {until}: it is served less at a time \
             until the record is found. See: ottla dlq suspects --group {group}",
            place(at)
        ),
        Alert::IsolationEnds { group, at } => {
            tracing::info!("group {group} is served all of {} again", place(at));
        }
        Alert::Ambiguous { group, at, offset } => tracing::warn!(
            "group {group} fails again and again on {} from offset {offset} on, and its reading cannot be told from another \
             group's: give the consumers a client.id of their own. See: ottla dlq suspects --group {group}",
            place(at)
        ),
        Alert::BreakerOpen { group, reason } => tracing::error!(
            "nothing is dead-lettered for group {group} any more, since the consumer seems to be broken and not the data: \
             {reason}. It goes on by itself with the group's next commit. See: ottla dlq suspects --group {group}"
        ),
        Alert::BreakerClosed { group } => {
            tracing::info!(
                "group {group} works again: its failing records are dead-lettered as before"
            );
        }
    }
}

/// One line for a record that was moved, when that is kept.
pub(crate) fn moved(
    group: &str,
    at: &TopicPartition,
    record: &DeadRecord,
    to: &Destination,
    topic: &str,
) {
    let (from, offset, attempts) = (place(at), record.offset, record.attempts);
    let cause = cause_name(record.cause);
    match to {
        Destination::DeadLetters => tracing::warn!(
            "dead letter: {from} offset {offset} of group {group} is in {topic} now, after {attempts} failures \
             ({cause}): {:?}, last of {}. See: ottla dlq show {}",
            record.reason,
            record.client,
            at.topic
        ),
        Destination::Retry { .. } => tracing::info!(
            "{from} offset {offset} of group {group} waits in {topic}, after {attempts} failures ({cause}): {:?}",
            record.reason
        ),
    }
}

/// A move that could not be made: the group waits there.
pub(crate) fn stuck(group: &str, at: &TopicPartition, offset: i64, error: &str) {
    tracing::error!(
        "{} offset {offset} of group {group} cannot be dead-lettered, so the group waits there: {error}. \
         It is tried again by itself. See: ottla dlq suspects --group {group}",
        place(at)
    );
}

fn place(at: &TopicPartition) -> String {
    format!("{}-{}", at.topic, at.partition)
}
