//! The thread that compacts: it sleeps until somebody asks it to look, or a lag ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::PartitionId;
use crate::store::Inner;

/// After a round of passes the thread rests this many times as long as the round took, or `log.cleaner.backoff.ms` if that is shorter:
/// a log that gets dirty all the time, at a low `min.cleanable.dirty.ratio`, would otherwise be rewritten all the time.
const REST: u32 = 10;
/// The longest sleep before a lag ends: the clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(3600);
/// A third of the processor's time where others want it, all of it otherwise. Not lower: it holds locks for moments, and who waits for them must
/// not wait for a thread that nobody lets run.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// Every partition of every compacted topic.
    pub all: bool,
    pub some: BTreeSet<PartitionId>,
}

impl Asked {
    fn is_empty(&self) -> bool {
        !self.all && self.some.is_empty()
    }
}

#[derive(Default)]
struct State {
    asked: Asked,
    /// Of the thread, once there is one.
    handle: Option<JoinHandle<()>>,
    stopped: bool,
}

/// The way to the thread.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
    /// Copy of the state's, read without the lock.
    stopping: AtomicBool,
}

impl Bell {
    /// Asks for a look. Whether there is a thread to do it.
    pub fn ring(&self, change: impl FnOnce(&mut Asked)) -> bool {
        let mut state = self.state.lock();
        change(&mut state.asked);
        let there = state.handle.is_some();
        drop(state);
        self.changed.notify_all();
        there
    }

    /// What was asked for since the last time.
    pub fn take(&self) -> Asked {
        std::mem::take(&mut self.state.lock().asked)
    }

    /// Whether a pass is to end at once.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps for `time`, whatever is asked for. Whether to go on.
    pub fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time.min(LONGEST);
        let mut state = self.state.lock();
        while !state.stopped && !self.changed.wait_until(&mut state, until).timed_out() {}
        !state.stopped
    }

    /// Sleeps until something is asked for, or for `time`. Whether to go on.
    fn wait(&self, time: Option<Duration>) -> bool {
        let until = time.map(|t| Instant::now() + t.min(LONGEST));
        let mut state = self.state.lock();
        while !state.stopped && state.asked.is_empty() {
            match until {
                Some(until) if self.changed.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
                None => self.changed.wait(&mut state),
            }
        }
        !state.stopped
    }

    /// Ends the pass that runs, and the thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let handle = {
            let mut state = self.state.lock();
            state.stopped = true;
            state.handle.take()
        };
        self.changed.notify_all();
        if let Some(handle) = handle
            // The store's last handle may go with what the thread does.
            && handle.thread().id() != thread::current().id()
            && handle.join().is_err()
        {
            tracing::error!("the thread that compacts panicked");
        }
    }
}

impl Inner {
    /// Makes the thread, if there is none and a topic is compacted.
    pub(crate) fn start_compaction(&self) {
        if self.stepped || !self.has_compacted_topic() {
            return;
        }
        let Some(inner) = self.core.store() else {
            return;
        };
        let mut state = self.compactor.bell.state.lock();
        if state.stopped || state.handle.is_some() {
            return;
        }
        state.asked.all = true;
        let spawned = thread::Builder::new()
            .name("ottla-compact".to_owned())
            .spawn(move || run(&inner));
        match spawned {
            Ok(handle) => state.handle = Some(handle),
            Err(e) => {
                tracing::error!(error = %e, "nothing is compacted: there is no thread for it")
            }
        }
    }
}

fn run(inner: &Arc<Inner>) {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = %e, "compaction runs at the priority of all threads");
    }
    let clock = inner.core.options.compaction.now_ms;
    loop {
        let began = Instant::now();
        let round = inner.compact_round(false, clock);
        if round.passes > 0 {
            let backoff = inner.compaction_config().backoff;
            if !inner
                .compactor
                .bell
                .rest((began.elapsed() * REST).min(backoff))
            {
                return;
            }
        }
        let wait = inner.next_look_ms().map(|at| {
            let ms = at.saturating_sub(clock()).max(0);
            Duration::from_millis(ms.unsigned_abs())
        });
        if !inner.compactor.bell.wait(wait) {
            return;
        }
    }
}
