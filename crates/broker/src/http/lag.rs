//! How far consumer groups are behind, computed when somebody asks.

use ottla_storage::{Store, Topic};

use crate::groups::Machine;

/// The most partitions of groups that `/metrics` shows: a scrape stays small, whatever there is.
pub(super) const MAX_SERIES: usize = 5_000;

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupLag {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    /// Records between the committed offset and the high watermark; the log's whole length if the offset is not in the log any more.
    pub lag: i64,
}

/// A committed offset, as the machine has it.
#[derive(Debug)]
pub(super) struct Committed {
    group: String,
    topic: String,
    partition: i32,
    offset: i64,
}

/// The first [`MAX_SERIES`] committed offsets in the order of group, topic and partition, and how many more there are.
pub(super) fn committed(machine: &Machine) -> (Vec<Committed>, usize) {
    let mut groups: Vec<&str> = machine.group_ids().collect();
    groups.sort_unstable();
    let (mut found, mut left_out) = (Vec::new(), 0);
    for group in groups {
        let topics = machine.all_committed(group).into_iter().flatten();
        for (topic, partition, offset) in
            topics.flat_map(|(topic, all)| all.iter().map(move |(p, c)| (topic, *p, c.offset)))
        {
            if found.len() == MAX_SERIES {
                left_out += 1;
                continue;
            }
            found.push(Committed {
                group: group.to_owned(),
                topic: topic.clone(),
                partition,
                offset,
            });
        }
    }
    (found, left_out)
}

/// Holds offsets against the logs. Offsets of partitions that are gone are left out.
pub(super) fn lags(store: &Store, committed: Vec<Committed>) -> Vec<GroupLag> {
    let topics = store.topics();
    let id = |name: &str| {
        topics
            .by_name(name)
            .map(|topic: &std::sync::Arc<Topic>| topic.id)
    };
    committed
        .into_iter()
        .filter_map(|c| {
            let partition = store.partition(&id(&c.topic)?, c.partition)?;
            let (start, end) = (partition.log_start_offset(), partition.high_watermark());
            Some(GroupLag {
                group: c.group,
                topic: c.topic,
                partition: c.partition,
                lag: end.saturating_sub(c.offset.max(start)).max(0),
            })
        })
        .collect()
}
