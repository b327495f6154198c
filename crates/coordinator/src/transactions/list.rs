//! What DescribeTransactions and ListTransactions (KIP-664) tell.

use super::coordinator::TransactionCoordinator;
use super::transaction::{ProducerEpoch, State};
use crate::groups::PartitionId;

/// Which transactional ids to list: those that pass every condition that is set.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// In one of these states; empty: any.
    pub states: Vec<String>,
    /// With one of these producer ids; empty: any.
    pub producer_ids: Vec<i64>,
    /// Whose last transaction began longer ago than this; negative: any. Of one that has begun none it is long ago, as in Kafka.
    pub longer_than_ms: i64,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listed {
    pub transactional_id: String,
    pub producer_id: i64,
    pub state: State,
}

/// All that is told of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Who may write.
    pub producer: ProducerEpoch,
    /// Where it stands.
    pub state: State,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// When the transaction began; -1: none has.
    pub started_ms: i64,
    /// The open transaction's partitions, in order.
    pub partitions: Vec<PartitionId>,
    /// The groups whose offsets wait for its end, in order.
    pub groups: Vec<String>,
}

impl TransactionCoordinator {
    /// What is known of `transactional_id`.
    pub fn describe(&self, transactional_id: &str) -> Option<Description> {
        let t = self.transactions.get(transactional_id)?;
        Some(Description {
            producer: t.producer,
            state: t.state,
            timeout_ms: t.timeout_ms,
            started_ms: t.started_ms,
            partitions: t.partitions.iter().cloned().collect(),
            groups: t.groups.iter().cloned().collect(),
        })
    }

    /// Those that pass `filter`, by transactional id.
    pub fn list<'a>(
        &'a self,
        filter: &'a Filter,
        now_wall_ms: i64,
    ) -> impl Iterator<Item = Listed> + 'a {
        let passes = move |state: State, id: i64, started_ms: i64| {
            let in_states = filter.states.iter().any(|name| name == state.name());
            let since_ms = now_wall_ms.saturating_sub(started_ms);
            (filter.states.is_empty() || in_states)
                && (filter.producer_ids.is_empty() || filter.producer_ids.contains(&id))
                && (filter.longer_than_ms < 0 || since_ms > filter.longer_than_ms)
        };
        self.transactions
            .iter()
            .filter(move |(_, t)| passes(t.state, t.producer.producer_id, t.started_ms))
            .map(|(transactional_id, t)| Listed {
                transactional_id: transactional_id.clone(),
                producer_id: t.producer.producer_id,
                state: t.state,
            })
    }
}
