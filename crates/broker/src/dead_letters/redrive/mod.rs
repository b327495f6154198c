//! Redrives: tasks that move dead letters back, in the background, from their rows.
//!
//! A chunk of a task is one commit: the copies in the target, the task's row with its cursor, and the queue's moved set. So a
//! crash loses nothing and repeats nothing, and what was moved is not in the queue for the next task.

mod chunk;
mod dry_run;
mod front;
mod pack;
pub(crate) mod purge;
mod run;
mod service;
mod start;

pub(crate) use pack::{Packed, pack};
pub(crate) use run::serve;
pub(crate) use service::{Change, Redrives, change};
pub(crate) use start::start;

use ottla_dlq::StoreOp;
use ottla_storage::Op;

use super::policy::meta_op;

fn op(op: StoreOp) -> Op {
    Op::Meta(meta_op(op))
}
