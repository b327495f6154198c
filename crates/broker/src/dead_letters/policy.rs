//! The engine and what is under way for it: under the mutex of the group service.

use std::collections::HashMap;

use ottla_codec::ResponseError;
use ottla_dlq::engine::{Engine, GroupView};
use ottla_dlq::event::{Alert, Effects, Gate, Move, MoveId};
use ottla_dlq::{StoreOp, TopicPartition};
use ottla_storage::{Commit, MetaOp, Tree};
use tokio::sync::oneshot;

/// What became of a move: the commit that has it, or what clients are told.
pub(crate) type Moved = Result<Commit, ResponseError>;

/// See the module.
#[derive(Default)]
pub(crate) struct Policy {
    pub(super) engine: Engine,
    under_way: HashMap<MoveId, UnderWay>,
    /// When the engine wants to be woken, on the monotonic clock.
    pub(super) wake_ms: Option<u64>,
}

struct UnderWay {
    group: String,
    waiting: Vec<oneshot::Sender<Moved>>,
}

/// What events caused: `ops` are committed with what caused them, the rest is done after that.
#[derive(Default)]
pub(crate) struct Outcome {
    pub ops: Vec<MetaOp>,
    pub gates: Vec<(String, TopicPartition, Option<Gate>)>,
    pub moves: Vec<Move>,
    pub alerts: Vec<Alert>,
}

impl Outcome {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
            && self.gates.is_empty()
            && self.moves.is_empty()
            && self.alerts.is_empty()
    }
}

impl Policy {
    /// When the engine wants to be woken, on the monotonic clock.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        self.wake_ms
    }

    /// What groups fail on.
    pub fn views(&self, group: Option<&str>) -> Vec<GroupView> {
        self.engine.views(group)
    }

    pub(super) fn take(&mut self, effects: Effects, outcome: &mut Outcome) {
        self.wake_ms = effects.wake_at_ms;
        outcome.ops.extend(effects.ops.into_iter().map(meta_op));
        outcome.gates.extend(effects.gates);
        outcome.moves.extend(effects.moves);
        outcome.alerts.extend(effects.alerts);
    }

    /// A move begins. Who waits for it is told of its end.
    pub(super) fn begin(&mut self, planned: &Move) {
        self.under_way
            .entry(planned.id)
            .or_insert_with(|| UnderWay {
                group: planned.group.clone(),
                waiting: Vec::new(),
            });
    }

    /// The end of a move that is under way; `None` if there is no such move (any more).
    pub(super) fn end_of(&mut self, id: MoveId) -> Option<oneshot::Receiver<Moved>> {
        let (sender, receiver) = oneshot::channel();
        self.under_way.get_mut(&id)?.waiting.push(sender);
        Some(receiver)
    }

    /// Whether the decision for this move still stands.
    pub(super) fn is_under_way(&self, id: MoveId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// A move ended.
    pub(super) fn ended(&mut self, id: MoveId, moved: Moved) {
        let Some(ended) = self.under_way.remove(&id) else {
            return;
        };
        for waiting in ended.waiting {
            // Who asked may be gone.
            let _ = waiting.send(moved);
        }
    }

    /// The group's moves are not carried out any more; who waits is to ask again.
    pub(super) fn forget_moves(&mut self, group: &str) {
        // Dropping the senders tells it.
        self.under_way.retain(|_, m| m.group != group);
    }
}

/// A row of the engine as the store takes it.
pub(super) fn meta_op(op: StoreOp) -> MetaOp {
    let tree = Tree::DeadLetters;
    match op {
        StoreOp::Put { key, value } => MetaOp::Put {
            tree,
            key: key.into(),
            value: value.into(),
        },
        StoreOp::Delete { key } => MetaOp::Delete {
            tree,
            key: key.into(),
        },
    }
}
