//! A redrive under way: its row, its states, how far it is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::records::Kept;
use super::selection::Selection;
use crate::StoreOp;

/// The first byte of the keys of tasks' rows.
pub const KEY: u8 = b't';
/// The key of the row with the last id that was given out.
pub const LAST_ID_KEY: [u8; 1] = [b'i'];
/// Records that stayed which a task names; of further ones it knows the number.
pub const MAX_NAMED: usize = 20;
const VERSION: u8 = 1;

/// A new value of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// `None` (null): a tombstone.
    pub value: Option<Blob>,
}

impl Edit {
    /// The bytes. An edit with bad base64 is refused when its task is started.
    pub fn value(&self) -> Option<Bytes> {
        self.value.as_ref().and_then(|blob| blob.bytes().ok())
    }
}

/// Where a task is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum State {
    Running,
    Paused,
    Done,
    Cancelled,
    /// It cannot go on. What it moved stays moved.
    Failed(String),
}

impl State {
    /// Whether nothing comes of it any more.
    pub fn is_over(&self) -> bool {
        !matches!(self, State::Running | State::Paused)
    }

    /// As in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Done => "done",
            State::Cancelled => "cancelled",
            State::Failed(_) => "failed",
        }
    }
}

/// A partition of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub partition: i32,
    /// Where the task began.
    pub start: i64,
    /// The next offset to look at.
    pub cursor: i64,
    /// Its end when the task was started: what comes later is another task's.
    pub end: i64,
}

/// A record that was meant and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct KeptRecord {
    pub partition: i32,
    pub offset: i64,
    pub why: Kept,
}

/// What became of the records so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Moved.
    pub moved: u64,
    /// Not meant by the selection.
    pub passed: u64,
    /// Meant, and still in the queue.
    pub kept: u64,
}

/// A redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// From 1, never used again.
    pub id: u64,
    /// The topic whose dead letters it moves.
    pub source: String,
    /// The queue topic.
    pub queue: String,
    /// Its id: a topic that is made anew under the name is another one.
    pub queue_id: [u8; 16],
    /// Where they go.
    pub target: String,
    /// Its id.
    pub target_id: [u8; 16],
    /// The group that alone is to see them: the target is its retry topic.
    pub for_group: Option<String>,
    /// Which.
    pub selection: Selection,
    /// With one record: its new value.
    pub edit: Option<Edit>,
    /// Records a second.
    pub rate: Option<u32>,
    /// Milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub ended_ms: Option<i64>,
    /// Where it is in its life.
    pub state: State,
    /// How far it is.
    pub parts: Vec<Part>,
    /// What became of the records.
    pub counts: Counts,
    /// The first [`MAX_NAMED`] of those that stay.
    pub kept: Vec<KeptRecord>,
}

/// A change that does not fit the task's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redrive {id} is {state} and cannot be {wanted}")]
#[allow(missing_docs)]
pub struct NotNow {
    pub id: u64,
    pub state: &'static str,
    pub wanted: &'static str,
}

/// A task's row that is none of this version's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the row of a redrive cannot be read: {0}")]
pub struct BadTask(String);

impl Task {
    /// Stops it for now. One that is paused already stays so.
    pub fn pause(&mut self) -> Result<(), NotNow> {
        self.change("paused", State::Paused)
    }

    /// Lets it go on. One that runs goes on running.
    pub fn resume(&mut self) -> Result<(), NotNow> {
        self.change("resumed", State::Running)
    }

    /// Ends it. What it moved stays moved. One that is cancelled already stays so.
    pub fn cancel(&mut self, now_ms: i64) -> Result<(), NotNow> {
        if self.state == State::Cancelled {
            return Ok(());
        }
        self.change("cancelled", State::Cancelled)?;
        self.ended_ms = Some(now_ms);
        Ok(())
    }

    /// It cannot go on.
    pub fn fail(&mut self, why: String, now_ms: i64) {
        self.state = State::Failed(why);
        self.ended_ms = Some(now_ms);
    }

    /// Done, if it has seen everything that it is to see.
    pub fn finish(&mut self, now_ms: i64) {
        if self.state == State::Running && self.part().is_none() {
            self.state = State::Done;
            self.ended_ms = Some(now_ms);
        }
    }

    fn change(&mut self, wanted: &'static str, state: State) -> Result<(), NotNow> {
        if self.state.is_over() {
            return Err(NotNow {
                id: self.id,
                state: self.state.name(),
                wanted,
            });
        }
        self.state = state;
        Ok(())
    }

    /// The index of the part that it works on. `None`: there is nothing left to look at.
    pub fn part(&self) -> Option<usize> {
        self.parts.iter().position(|p| p.cursor < p.end)
    }

    /// Offsets that were looked at, and all that are to be.
    pub fn progress(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(done, all), p| {
            let of = |to: i64| u64::try_from(to - p.start).unwrap_or(0);
            (done + of(p.cursor.min(p.end)), all + of(p.end))
        })
    }

    /// Notes a record that stays.
    pub fn keep(&mut self, partition: i32, offset: i64, why: Kept) {
        self.counts.kept += 1;
        if self.kept.len() < MAX_NAMED {
            self.kept.push(KeptRecord {
                partition,
                offset,
                why,
            });
        }
    }

    /// The row's key.
    pub fn key(id: u64) -> Vec<u8> {
        let mut key = vec![KEY];
        key.extend_from_slice(&id.to_be_bytes());
        key
    }

    /// The row.
    pub fn row(&self) -> StoreOp {
        StoreOp::Put {
            key: Task::key(self.id),
            value: postcard::to_extend(self, vec![VERSION])
                .expect("a task can be encoded into memory"),
        }
    }

    /// From a row's value.
    pub fn load(value: &[u8]) -> Result<Task, BadTask> {
        match value.split_first() {
            Some((&VERSION, body)) => {
                postcard::from_bytes(body).map_err(|e| BadTask(e.to_string()))
            }
            _ => Err(BadTask("it is of another version".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            id: 7,
            source: "orders".into(),
            queue: "orders.dlq".into(),
            queue_id: [1; 16],
            target: "orders".into(),
            target_id: [2; 16],
            for_group: Some("billing".into()),
            selection: Selection {
                reason: Some("x".into()),
                ..Selection::one(0, 4)
            },
            edit: Some(Edit {
                value: Some(Blob::Base64("/w==".into())),
            }),
            rate: Some(10),
            started_ms: 5,
            ended_ms: None,
            state: State::Running,
            parts: vec![
                Part {
                    partition: 0,
                    start: 2,
                    cursor: 2,
                    end: 6,
                },
                Part {
                    partition: 1,
                    start: 0,
                    cursor: 0,
                    end: 1,
                },
            ],
            counts: Counts::default(),
            kept: Vec::new(),
        }
    }

    #[test]
    fn a_row_gives_the_task_back_and_a_damaged_one_an_error() {
        let mut task = task();
        task.keep(0, 3, Kept::TooLarge { size: 2, limit: 1 });
        task.fail("the topic is gone".into(), 9);
        let StoreOp::Put { key, value } = task.row() else {
            panic!("a row");
        };
        assert_eq!(key, Task::key(7));
        assert_eq!(Task::load(&value).unwrap(), task);
        assert!(Task::load(&value[1..]).is_err());
        assert!(Task::load(&[]).is_err());
    }

    #[test]
    fn it_is_done_when_all_parts_are() {
        let mut task = task();
        assert_eq!((task.part(), task.progress()), (Some(0), (0, 5)));
        task.parts[0].cursor = 6;
        task.finish(1);
        assert_eq!((task.part(), task.progress()), (Some(1), (4, 5)));
        assert_eq!(task.state, State::Running);
        task.parts[1].cursor = 1;
        task.finish(1);
        assert_eq!((&task.state, task.ended_ms), (&State::Done, Some(1)));
    }

    #[test]
    fn what_is_over_cannot_be_changed() {
        for state in [State::Done, State::Cancelled, State::Failed("x".into())] {
            let mut task = task();
            task.state = state.clone();
            assert!(task.pause().is_err());
            assert!(task.resume().is_err());
            assert_eq!(task.cancel(1).is_ok(), state == State::Cancelled);
            assert_eq!(task.state, state);
        }
        let mut task = task();
        task.pause().unwrap();
        task.finish(1);
        assert_eq!(task.state, State::Paused);
        task.resume().unwrap();
        task.cancel(3).unwrap();
        assert_eq!((task.state, task.ended_ms), (State::Cancelled, Some(3)));
    }

    #[test]
    fn many_kept_records_are_counted_and_some_named() {
        let mut task = task();
        for offset in 0..100 {
            task.keep(0, offset, Kept::NoKey);
        }
        assert_eq!((task.counts.kept, task.kept.len()), (100, MAX_NAMED));
    }
}
