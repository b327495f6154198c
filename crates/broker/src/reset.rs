//! Taking topics and groups away from a running broker, in one commit.

use std::sync::Arc;

use ottla_storage::{ResetTopics, Tree};
use serde::{Deserialize, Serialize};

use crate::clock::wall_ms;
use crate::dead_letters::Problem;
use crate::groups::Forgotten;
use crate::state::BrokerState;
use crate::topics::new_id;

/// What is taken away. Settings of the broker, of groups and of loggers stay in any case, and no producer id is given twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scope {
    /// Topics, records, groups, their offsets, dead letters.
    #[default]
    All,
    /// As all, but groups and their members stay.
    Topics,
    /// As all, but topics of the same names, sizes and settings are there at once, empty.
    KeepTopics,
}

/// What was taken away.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Done {
    /// Topics that went; with [`Scope::KeepTopics`] those that were emptied.
    pub topics: usize,
    /// Groups that went.
    pub groups: usize,
}

/// Resets. Kept when this returns.
pub(crate) async fn run(broker: &Arc<BrokerState>, scope: Scope) -> Result<Done, Problem> {
    if !broker.settings.current().delete_topic_enable {
        return Err(Problem::conflict(
            "deletion_disabled",
            "delete.topic.enable=false: topics are not deleted here. Set it to true to reset this broker",
        ));
    }
    let forgotten = broker.redrives.reset(commit(broker, scope)).await?;
    Ok(Done {
        topics: forgotten.wiped.topics.len(),
        groups: forgotten.groups,
    })
}

async fn commit(broker: &Arc<BrokerState>, scope: Scope) -> Result<Forgotten, Problem> {
    let resetting = broker.clone();
    let forgotten = tokio::task::spawn_blocking(move || resetting.reset(scope))
        .await
        .map_err(Problem::defect)??;
    broker.groups.reset_kept(forgotten.wiped.commit).await?;
    broker.dead_letters.delays.forget_deleted(&broker.store);
    Ok(forgotten)
}

impl BrokerState {
    fn reset(&self, scope: Scope) -> Result<Forgotten, Problem> {
        // Offsets and dead letters are of records, and go with them.
        let mut trees = vec![
            Tree::Offsets,
            Tree::PendingOffsets,
            Tree::DeadLetters,
            Tree::Transactions,
        ];
        if scope != Scope::Topics {
            trees.push(Tree::Groups);
        }
        let topics = match scope {
            Scope::All | Scope::Topics => ResetTopics::Delete,
            Scope::KeepTopics => ResetTopics::Renew {
                new_id: &new_id,
                now_ms: wall_ms(),
            },
        };
        let forgotten = self.topics.reset(|| self.groups.reset(topics, &trees))?;
        tracing::info!(
            topics = forgotten.wiped.topics.len(),
            groups = forgotten.groups,
            "reset: all of it is taken away"
        );
        Ok(forgotten)
    }
}
