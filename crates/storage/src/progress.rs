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

/// Commits that reached a stage.
struct Line {
    /// All commits up to this one did.
    reached: AtomicU64,
    /// Whether later ones did, too.
    has_ahead: AtomicBool,
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    /// Ranges of commits that overtook one that is under way: the last of each, by the first.
    ahead: BTreeMap<u64, u64>,
    next_waiter: u64,
    /// Who waits for a commit.
    of_one: Waiters,
    /// Who waits for all up to a commit.
    of_all: Waiters,
}

impl LineState {
    fn is_ahead(&self, seq: u64) -> bool {
        let before = self.ahead.range(..=seq).next_back();
        before.is_some_and(|(_, to)| seq <= *to)
    }

    /// Some of them may have been ahead before.
    fn add_ahead(&mut self, mut from: u64, mut to: u64) {
        while let Some((first, last)) = self.ahead.range(..=to).next_back().map(|(f, l)| (*f, *l))
            && last >= from
        {
            self.ahead.remove(&first);
            (from, to) = (from.min(first), to.max(last));
        }
        self.ahead.insert(from, to);
    }

    fn waiters(&mut self, whole: bool) -> &mut Waiters {
        match whole {
            true => &mut self.of_all,
            false => &mut self.of_one,
        }
    }
}

impl Line {
    fn new(reached: u64) -> Line {
        Line {
            reached: AtomicU64::new(reached),
            has_ahead: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    fn has(&self, seq: u64, whole: bool) -> bool {
        let reached = || self.reached.load(Ordering::Acquire) >= seq;
        if reached() {
            return true;
        }
        let is_ahead = || self.has_ahead.load(Ordering::Acquire) && self.state.lock().is_ahead(seq);
        // What is ahead no more, all others may have caught up with since the first look.
        !whole && (is_ahead() || reached())
    }

    /// The commits `from..=to` reached the stage.
    fn complete(&self, from: u64, to: u64) {
        // The lock orders this against a waiter that looked before and registers now.
        let mut state = self.state.lock();
        let mut reached = self.reached.load(Ordering::Relaxed);
        if from > reached + 1 {
            state.add_ahead(from, to);
        } else {
            reached = reached.max(to);
            while let Some(first) = state.ahead.first_entry()
                && *first.key() <= reached + 1
            {
                reached = reached.max(first.remove());
            }
            self.reached.store(reached, Ordering::Release);
        }
        self.has_ahead
            .store(!state.ahead.is_empty(), Ordering::Release);
        let mut later = state.of_one.split_off(&(to + 1, 0));
        let ready = state.of_one.split_off(&(from, 0));
        state.of_one.append(&mut later);
        let later = state.of_all.split_off(&(reached + 1, 0));
        let all_ready = std::mem::replace(&mut state.of_all, later);
        drop(state);
        for waker in ready.into_values().chain(all_ready.into_values()) {
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

    /// The commits `from..=to` reached the stage, or failed. Wakes those who wait.
    pub fn complete(&self, stage: Stage, from: u64, to: u64) {
        self.line(stage).complete(from, to);
    }

    /// The commits `from..=to` were not kept; they come after all that were not kept before. Wakes those who wait.
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
        self.written.complete(from, to);
        self.durable.complete(from, to);
    }

    /// The last commit that was not kept; 0 if all were.
    pub fn last_failed(&self) -> u64 {
        if !self.has_failures.load(Ordering::Acquire) {
            return 0;
        }
        self.failures.lock().last().map_or(0, |(_, to, _)| *to)
    }

    /// What became of commit `seq`. `None` while it is under way.
    pub fn outcome(&self, stage: Stage, seq: u64) -> Option<Result<(), StoreError>> {
        self.line(stage).has(seq, false).then(|| self.kept(seq))
    }

    /// As [`Progress::outcome`], and `None` while a commit before it is under way.
    pub fn outcome_after_all(&self, stage: Stage, seq: u64) -> Option<Result<(), StoreError>> {
        self.line(stage).has(seq, true).then(|| self.kept(seq))
    }

    /// Whether a commit that is not under way any more was kept.
    fn kept(&self, seq: u64) -> Result<(), StoreError> {
        if self.has_failures.load(Ordering::Acquire) {
            let failures = self.failures.lock();
            let at = failures.partition_point(|(_, to, _)| *to < seq);
            if let Some((from, _, e)) = failures.get(at)
                && *from <= seq
            {
                return Err(e.clone());
            }
        }
        Ok(())
    }
}

/// Waits until a commit reached a stage.
pub(crate) struct Wait<P> {
    progress: Arc<P>,
    stage: Stage,
    seq: u64,
    /// All before it as well.
    whole: bool,
    registered: Option<(u64, Waker)>,
}

impl<P: AsRef<Progress>> Wait<P> {
    pub fn new(progress: Arc<P>, stage: Stage, seq: u64) -> Wait<P> {
        Wait {
            progress,
            stage,
            seq,
            whole: false,
            registered: None,
        }
    }

    /// Waits for all commits up to `seq`.
    pub fn for_all(progress: Arc<P>, stage: Stage, seq: u64) -> Wait<P> {
        Wait {
            whole: true,
            ..Wait::new(progress, stage, seq)
        }
    }
}

impl<P: AsRef<Progress>> Future for Wait<P> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let progress = (*this.progress).as_ref();
        let line = progress.line(this.stage);
        if line.has(this.seq, this.whole) {
            return Poll::Ready(progress.kept(this.seq));
        }
        if let Some((_, waker)) = &this.registered
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let mut state = line.state.lock();
        let reached = line.reached.load(Ordering::Acquire) >= this.seq
            || !this.whole && state.is_ahead(this.seq);
        if reached {
            drop(state);
            return Poll::Ready(progress.kept(this.seq));
        }
        let id = match this.registered.take() {
            Some((id, _)) => id,
            None => {
                state.next_waiter += 1;
                state.next_waiter
            }
        };
        let waiters = state.waiters(this.whole);
        waiters.insert((this.seq, id), cx.waker().clone());
        this.registered = Some((id, cx.waker().clone()));
        Poll::Pending
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
        p.0.complete(Stage::Durable, 1, 2);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        p.0.complete(Stage::Durable, 3, 4);
        assert!(waiting.await.expect("task").is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_one_commit_does_not_wait_for_those_it_overtook() {
        let p = Arc::new(Holder(Progress::new(0)));
        let one = tokio::spawn(Wait::new(p.clone(), Stage::Durable, 3));
        let all = tokio::spawn(Wait::for_all(p.clone(), Stage::Durable, 3));
        let overtaken = tokio::spawn(Wait::new(p.clone(), Stage::Durable, 2));
        tokio::task::yield_now().await;
        p.0.complete(Stage::Durable, 3, 3);
        assert!(one.await.expect("task").is_ok());
        tokio::task::yield_now().await;
        assert!(!all.is_finished() && !overtaken.is_finished());
        assert_eq!(p.0.reached(Stage::Durable), 0);
        assert!(matches!(p.0.outcome(Stage::Durable, 3), Some(Ok(()))));
        assert!(p.0.outcome(Stage::Durable, 2).is_none());
        assert!(p.0.outcome_after_all(Stage::Durable, 3).is_none());
        p.0.complete(Stage::Durable, 1, 1);
        assert_eq!(p.0.reached(Stage::Durable), 1);
        tokio::task::yield_now().await;
        assert!(!all.is_finished() && !overtaken.is_finished());
        p.0.fail(2, 2, &StoreError::DiskFull);
        assert!(overtaken.await.expect("task").is_err());
        assert!(all.await.expect("task").is_ok(), "it was kept itself");
        assert_eq!(p.0.reached(Stage::Durable), 3);
    }

    #[test]
    fn what_overtook_a_commit_stays_durable_in_every_moment_in_which_that_one_catches_up() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let waker = Waker::from(Arc::new(Task));
        for _ in 0..300 {
            let p = Arc::new(Holder(Progress::new(0)));
            let mut wait = std::pin::pin!(Wait::new(p.clone(), Stage::Durable, 2));
            let mut poll = || wait.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll().is_pending());
            p.0.complete(Stage::Durable, 2, 2);
            let has_caught_up = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    p.0.complete(Stage::Durable, 1, 1);
                    has_caught_up.store(true, Ordering::Release);
                });
                // It was woken once, and will not be again.
                while !has_caught_up.load(Ordering::Acquire) {
                    assert!(poll().is_ready());
                }
            });
        }
    }

    #[test]
    fn commits_are_reached_in_whatever_order_they_come() {
        use rand::Rng;
        use rand::seq::SliceRandom;
        for seed in 0..200 {
            let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
            let p = Progress::new(7);
            let mut ranges: Vec<(u64, u64)> = (0..20).map(|i| (8 + 3 * i, 10 + 3 * i)).collect();
            ranges.shuffle(&mut rng);
            let mut done = std::collections::BTreeSet::from_iter(1..=7);
            for (mut from, mut to) in ranges {
                // Some are told more than once, with others.
                if rng.random_bool(0.3) {
                    from = from.saturating_sub(rng.random_range(0..6)).max(8);
                    to += rng.random_range(0..4);
                }
                p.complete(Stage::Written, from, to);
                done.extend(from..=to);
                let whole = (1..).take_while(|seq| done.contains(seq)).last();
                assert_eq!(Some(p.reached(Stage::Written)), whole, "seed {seed}");
                for seq in 1..80 {
                    let is_done = p.outcome(Stage::Written, seq).is_some();
                    assert_eq!(is_done, done.contains(&seq), "seed {seed}, {seq}");
                }
            }
            assert!(p.written.state.lock().ahead.is_empty());
        }
    }

    #[test]
    fn failed_commits_stay_failed_after_later_ones_succeed() {
        let p = Progress::new(0);
        p.complete(Stage::Durable, 1, 1);
        p.fail(2, 3, &StoreError::DiskFull);
        p.fail(4, 4, &StoreError::DiskFull);
        p.complete(Stage::Durable, 5, 9);
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
