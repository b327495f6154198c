//! The way into the journal: commits get their sequence number here and wait here for the writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{GroupError, StoreError};
use crate::journal::format::JournalOp;
use crate::partition::PendingAppend;
use crate::progress::{Progress, Stage};

/// An op on its way: an append with what the writer needs, or a change of a small tree.
pub(crate) enum QueuedOp {
    Append(PendingAppend),
    Meta(JournalOp),
}

/// A commit on its way.
pub(crate) struct Job {
    pub seq: u64,
    pub ops: Vec<QueuedOp>,
    pub large: Large,
}

/// Where the large appends of a commit are. [`Queue::arrived`] tells of each step on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Large {
    /// There are none, or the writer itself brings them to their segments.
    None,
    /// On their way to their segments.
    Sent,
    /// In their segments, and on their way to the device: the journal may have the commit meanwhile.
    Written,
    /// On the device.
    Synced,
}

/// Whether commits are taken.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    Open,
    /// Only commits that free space are taken.
    DiskFull,
    Failed(String),
    Closed,
}

impl Mode {
    fn error(&self) -> Option<StoreError> {
        match self {
            Mode::Open => None,
            Mode::DiskFull => Some(StoreError::DiskFull),
            Mode::Failed(reason) => Some(StoreError::Failed(reason.clone())),
            Mode::Closed => Some(StoreError::Closed),
        }
    }
}

impl From<&GroupError> for Mode {
    fn from(cause: &GroupError) -> Mode {
        match cause {
            GroupError::DiskFull => Mode::DiskFull,
            GroupError::Failed(reason) => Mode::Failed(reason.clone()),
        }
    }
}

/// A step on the way of large appends.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// Those of these commits, in their order, are in their segments.
    Written(Vec<u64>),
    /// And on the device. Told after the above.
    Synced(Vec<u64>),
    /// Some are not, and will not be.
    Failed(GroupError),
}

/// What the writer finds.
pub(crate) struct Arrivals {
    pub jobs: Vec<Job>,
    pub large: Vec<Arrived>,
}

impl Arrivals {
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.large.is_empty()
    }
}

struct State {
    next_seq: u64,
    jobs: Vec<Job>,
    large: Vec<Arrived>,
    /// What large appends have come to does not wait for other commits.
    is_called: bool,
    writer_waits: bool,
    stop: bool,
    mode: Mode,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    /// Copy of "mode is not open", read without the lock.
    trouble: AtomicBool,
    pub progress: Progress,
}

/// Whether a commit frees space; such commits are taken while the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    FreesSpace,
}

/// While the disk is full, the writer looks again this often.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

impl Queue {
    pub fn new(last_seq: u64) -> Queue {
        Queue {
            state: Mutex::new(State {
                next_seq: last_seq + 1,
                jobs: Vec::new(),
                large: Vec::new(),
                is_called: false,
                writer_waits: false,
                stop: false,
                mode: Mode::Open,
            }),
            work: Condvar::new(),
            trouble: AtomicBool::new(false),
            progress: Progress::new(last_seq),
        }
    }

    /// Goes on after `last_seq`. For recovery, before any commit.
    pub fn restart_after(&self, last_seq: u64) {
        self.state.lock().next_seq = last_seq + 1;
        self.progress.complete(Stage::Written, 0, last_seq);
        self.progress.complete(Stage::Durable, 0, last_seq);
    }

    /// Hands a commit over. The caller holds the locks of what the ops change, so that their order is the journal's. `send` sends large
    /// appends on their way, if that is to be done: in the order of commits, and not after [`Queue::set_mode`] has taken what waits.
    pub fn enqueue(
        &self,
        ops: Vec<QueuedOp>,
        kind: Kind,
        send: impl FnOnce(&Job) -> bool,
    ) -> Result<u64, StoreError> {
        let mut state = self.state.lock();
        match (&state.mode, kind) {
            (Mode::Open, _) | (Mode::DiskFull, Kind::FreesSpace) => {}
            (mode, _) => return Err(mode.error().unwrap_or(StoreError::Closed)),
        }
        let seq = state.next_seq;
        state.next_seq += 1;
        let mut job = Job {
            seq,
            ops,
            large: Large::None,
        };
        let is_sent = send(&job);
        if is_sent {
            job.large = Large::Sent;
        }
        // What is sent is nothing to the writer before it arrives.
        let wake = !is_sent && std::mem::take(&mut state.writer_waits);
        state.jobs.push(job);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(seq)
    }

    /// Why normal commits are refused now, if they are.
    pub fn trouble(&self) -> Option<StoreError> {
        if !self.trouble.load(Ordering::Acquire) {
            return None;
        }
        self.state.lock().mode.error()
    }

    /// The last sequence number given out.
    pub fn last_seq(&self) -> u64 {
        self.state.lock().next_seq - 1
    }

    /// Tells of a step on the way of large appends. Bytes that are written may wait for [`Queue::call`].
    pub fn arrived(&self, step: Arrived) {
        let mut state = self.state.lock();
        let may_wait = matches!(step, Arrived::Written(_));
        state.large.push(step);
        if !may_wait {
            self.call_locked(state);
        }
    }

    /// The device begins with large appends that are written: the journal's turn to have them, with all that came until now.
    pub fn call(&self) {
        let state = self.state.lock();
        if !state.large.is_empty() {
            self.call_locked(state);
        }
    }

    fn call_locked(&self, mut state: MutexGuard<'_, State>) {
        state.is_called = true;
        let wake = std::mem::take(&mut state.writer_waits);
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    /// What large appends have come to since the writer looked.
    pub fn take_arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.state.lock().large)
    }

    /// Everything that waits, without blocking.
    pub fn take(&self) -> Arrivals {
        let mut state = self.state.lock();
        Arrivals {
            jobs: std::mem::take(&mut state.jobs),
            large: std::mem::take(&mut state.large),
        }
    }

    /// Blocks until something waits. `None`: stopped, and nothing waits, nor will: `large_to_come` says whether large appends are on their
    /// way. Without anything in it: the disk is full, time to look again. `spare` is an emptied list to reuse.
    pub fn wait(&self, spare: Vec<Job>, large_to_come: bool) -> Option<Arrivals> {
        let mut state = self.state.lock();
        loop {
            if !state.jobs.is_empty() || state.is_called {
                state.is_called = false;
                return Some(Arrivals {
                    jobs: std::mem::replace(&mut state.jobs, spare),
                    large: std::mem::take(&mut state.large),
                });
            }
            if state.stop && !large_to_come {
                return None;
            }
            state.writer_waits = true;
            if matches!(state.mode, Mode::DiskFull) {
                let timed_out = self.work.wait_for(&mut state, PROBE_INTERVAL).timed_out();
                state.writer_waits = false;
                if timed_out && state.jobs.is_empty() && !state.is_called && !state.stop {
                    return Some(Arrivals {
                        jobs: spare,
                        large: Vec::new(),
                    });
                }
            } else {
                self.work.wait(&mut state);
            }
        }
    }

    /// Changes the mode and takes what waits, in one step. A final mode stays.
    pub fn set_mode(&self, mode: Mode) -> Vec<Job> {
        let mut state = self.state.lock();
        let is_final = matches!(state.mode, Mode::Failed(_) | Mode::Closed);
        // A store that was closed may still turn out to have failed.
        if !is_final || matches!((&state.mode, &mode), (Mode::Closed, Mode::Failed(_))) {
            state.mode = mode;
        }
        self.trouble
            .store(!matches!(state.mode, Mode::Open), Ordering::Release);
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        // The writer waits in another way while the disk is full.
        self.work.notify_one();
        jobs
    }

    /// Changes the mode without touching what waits: the writer keeps it or not by itself.
    pub fn refuse_new(&self, mode: Mode) {
        let mut state = self.state.lock();
        if matches!(state.mode, Mode::Open | Mode::DiskFull) {
            state.mode = mode;
            self.trouble.store(true, Ordering::Release);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        self.trouble.load(Ordering::Acquire) && matches!(self.state.lock().mode, Mode::DiskFull)
    }

    /// Takes no more commits; the writer finishes what waits.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(state.mode, Mode::Failed(_)) {
            state.mode = Mode::Closed;
        }
        self.trouble.store(true, Ordering::Release);
    }

    /// Lets the writer end once nothing waits.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.work.notify_all();
    }
}
