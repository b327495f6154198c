//! How far commits are written and durable, and who waits for that.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::error::StoreError;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Written,
    Durable,
}

pub(crate) struct Progress {
    written: Line,
    durable: Line,
    has_failures: AtomicBool,
    /// Ranges of commits that were not kept, with the reason; neighbours are merged.
    failures: Mutex<Vec<(u64, u64, StoreError)>>,
}

/// By commit and a number that makes the key unique.
type Waiters = BTreeMap<(u64, u64), Waker>;

struct Line {
    reached: AtomicU64,
    waiters: Mutex<(u64, Waiters)>,
}

impl Line {
    fn new(reached: u64) -> Line {
        Line {
            reached: AtomicU64::new(reached),
            waiters: Mutex::default(),
        }
    }

    fn publish(&self, seq: u64) {
        // The lock orders this against a waiter that looked before and registers now.
        let mut waiters = self.waiters.lock();
        self.reached.fetch_max(seq, Ordering::Release);
        if waiters.1.is_empty() {
            return;
        }
        let later = waiters.1.split_off(&(seq + 1, 0));
        let ready = std::mem::replace(&mut waiters.1, later);
        drop(waiters);
        for waker in ready.into_values() {
            waker.wake();
        }
    }
}

impl Progress {
    pub fn new(reached: u64) -> Progress {
        Progress {
            written: Line::new(reached),
            durable: Line::new(reached),
            has_failures: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    fn line(&self, stage: Stage) -> &Line {
        match stage {
            Stage::Written => &self.written,
            Stage::Durable => &self.durable,
        }
    }

    /// The last commit that reached the stage.
    pub fn reached(&self, stage: Stage) -> u64 {
        self.line(stage).reached.load(Ordering::Acquire)
    }

    /// All commits up to `seq` reached the stage, or failed. Wakes those who wait.
    pub fn publish(&self, stage: Stage, seq: u64) {
        self.line(stage).publish(seq);
    }

    /// Commits `from..=to` were not kept. Wakes those who wait.
    pub fn fail(&self, from: u64, to: u64, error: &StoreError) {
        {
            let mut failures = self.failures.lock();
            match failures.last_mut() {
                Some((_, end, e)) if *end + 1 == from && e.to_string() == error.to_string() => {
                    *end = to;
                }
                _ => failures.push((from, to, error.clone())),
            }
            self.has_failures.store(true, Ordering::Release);
        }
        self.written.publish(to);
        self.durable.publish(to);
    }

    /// The last commit that was not kept; 0 if all were.
    pub fn last_failed(&self) -> u64 {
        if !self.has_failures.load(Ordering::Acquire) {
            return 0;
        }
        self.failures.lock().last().map_or(0, |(_, to, _)| *to)
    }

    /// `None` while `seq` is under way.
    pub fn outcome(&self, stage: Stage, seq: u64) -> Option<Result<(), StoreError>> {
        if self.reached(stage) < seq {
            return None;
        }
        if self.has_failures.load(Ordering::Acquire) {
            let failures = self.failures.lock();
            let at = failures.partition_point(|(_, to, _)| *to < seq);
            if let Some((from, _, e)) = failures.get(at)
                && *from <= seq
            {
                return Some(Err(e.clone()));
            }
        }
        Some(Ok(()))
    }
}

/// Waits until a commit reached a stage.
pub(crate) struct Wait<P> {
    progress: Arc<P>,
    stage: Stage,
    seq: u64,
    registered: Option<(u64, Waker)>,
}

impl<P: AsRef<Progress>> Wait<P> {
    pub fn new(progress: Arc<P>, stage: Stage, seq: u64) -> Wait<P> {
        Wait {
            progress,
            stage,
            seq,
            registered: None,
        }
    }
}

impl<P: AsRef<Progress>> Future for Wait<P> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let progress = (*this.progress).as_ref();
        if let Some(outcome) = progress.outcome(this.stage, this.seq) {
            return Poll::Ready(outcome);
        }
        if let Some((_, waker)) = &this.registered
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let line = progress.line(this.stage);
        let mut waiters = line.waiters.lock();
        if line.reached.load(Ordering::Acquire) < this.seq {
            let id = match this.registered.take() {
                Some((id, _)) => id,
                None => {
                    waiters.0 += 1;
                    waiters.0
                }
            };
            waiters.1.insert((this.seq, id), cx.waker().clone());
            this.registered = Some((id, cx.waker().clone()));
            return Poll::Pending;
        }
        drop(waiters);
        match progress.outcome(this.stage, this.seq) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Holder(Progress);
    impl AsRef<Progress> for Holder {
        fn as_ref(&self) -> &Progress {
            &self.0
        }
    }

    #[tokio::test]
    async fn a_waiter_is_woken_when_its_commit_is_durable() {
        let p = Arc::new(Holder(Progress::new(0)));
        let waiting = tokio::spawn(Wait::new(p.clone(), Stage::Durable, 3));
        tokio::task::yield_now().await;
        p.0.publish(Stage::Durable, 2);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        p.0.publish(Stage::Durable, 4);
        assert!(waiting.await.expect("task").is_ok());
    }

    #[test]
    fn failed_commits_stay_failed_after_later_ones_succeed() {
        let p = Progress::new(0);
        p.publish(Stage::Durable, 1);
        p.fail(2, 3, &StoreError::DiskFull);
        p.fail(4, 4, &StoreError::DiskFull);
        p.publish(Stage::Durable, 9);
        assert!(matches!(p.outcome(Stage::Durable, 1), Some(Ok(()))));
        for seq in 2..=4 {
            assert!(matches!(
                p.outcome(Stage::Durable, seq),
                Some(Err(StoreError::DiskFull))
            ));
        }
        assert!(matches!(p.outcome(Stage::Durable, 5), Some(Ok(()))));
        assert!(p.outcome(Stage::Durable, 10).is_none());
        assert_eq!(p.failures.lock().len(), 1);
    }
}
