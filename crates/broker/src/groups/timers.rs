//! The one task that fires the machine's timers. It sleeps until the next deadline, and without one until offsets are
//! looked through for expired ones.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use ottla_coordinator::groups::{Event, TimerKey};
use ottla_storage::Commit;
use tokio::time::Instant;

use super::{DeadLetterEvent, Inner, Outcome, Shared};

/// What became of timers that were due.
pub(crate) struct Fired {
    /// How long to sleep; `None` without a timer.
    pub sleep: Option<Duration>,
    /// What must be looked after.
    pub committed: Option<Commit>,
}

impl Shared {
    pub(crate) fn set_timers(&self, inner: &mut Inner, timers: Vec<(TimerKey, Option<u64>)>) {
        for (key, deadline) in timers {
            inner.timers.apply(key, deadline);
        }
        self.wake_timers(inner);
    }

    /// Has the task look again if something is due before it would.
    pub(crate) fn wake_timers(&self, inner: &Inner) {
        let groups = inner.timers.next_deadline();
        let transactions = inner.transactions.next_deadline();
        // A timer that moved back or went away only means that the task wakes once for nothing.
        if let Some(next) = groups.into_iter().chain(transactions).min()
            && next < inner.timer_wakes_ms
        {
            self.timer_moved.notify_one();
        }
    }

    /// Fires what is due.
    pub(crate) fn fire_due(&self) -> Fired {
        let mut inner = self.lock();
        let before = inner.last_commit;
        let now = self.now();
        while let Some(key) = inner.timers.pop_due(now.monotonic_ms) {
            let group_id = key.group_id.clone();
            let effects = inner.machine.handle(now, Event::Timer(key));
            self.apply(&mut inner, Some(&group_id), effects);
        }
        if inner
            .policy
            .wakes_at_ms()
            .is_some_and(|at| at <= now.monotonic_ms)
        {
            let mut outcome = Outcome::default();
            self.event(&mut inner, DeadLetterEvent::Timer, &mut outcome);
            self.settle(&mut inner, None, outcome);
        }
        self.time_out_transactions(&mut inner);
        let next = [
            inner.timers.next_deadline(),
            inner.transactions.next_deadline(),
            inner.policy.wakes_at_ms(),
        ];
        let next = next.into_iter().flatten().min();
        inner.timer_wakes_ms = next.unwrap_or(u64::MAX);
        Fired {
            sleep: next.map(|at| Duration::from_millis(at.saturating_sub(now.monotonic_ms))),
            committed: inner.last_commit.filter(|last| Some(*last) != before),
        }
    }

    /// Waits for what timers committed. If it is lost the live state is loaded again, and timers with it: nobody else waits for it.
    pub(crate) fn look_after(
        self: &Arc<Self>,
        commit: Commit,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let shared = self.clone();
        async move {
            let _ = shared.durable(Some(commit)).await;
        }
    }

    pub(crate) fn expire_offsets(&self) {
        let mut inner = self.lock();
        if self.load_all(&mut inner).is_err() {
            return;
        }
        inner
            .machine
            .set_config(super::config(&self.settings.current()));
        let effects = inner.machine.handle(self.now(), Event::ExpireOffsets);
        self.apply(&mut inner, None, effects);
    }

    fn transactional_id_interval(&self) -> Duration {
        let interval = self.settings.current().transactional_id_check_interval_ms;
        Duration::from_millis(interval.max(1))
    }

    fn expiry_interval(&self) -> Duration {
        let interval = self.settings.current().offsets_retention_check_interval_ms;
        Duration::from_millis(interval.max(1))
    }
}

/// Runs until it is aborted with its service.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut expiry_at = Instant::now() + shared.expiry_interval();
    let mut ids_expire_at = Instant::now() + shared.transactional_id_interval();
    let mut under_way: OptionFuture<_> = None.into();
    loop {
        if Instant::now() >= expiry_at {
            shared.expire_offsets();
            expiry_at = Instant::now() + shared.expiry_interval();
        }
        if Instant::now() >= ids_expire_at {
            shared.expire_transactional_ids(&mut shared.lock());
            ids_expire_at = Instant::now() + shared.transactional_id_interval();
        }
        let by_itself = expiry_at.min(ids_expire_at);
        let fired = shared.fire_due();
        let wake_at = fired
            .sleep
            .map_or(by_itself, |sleep| by_itself.min(Instant::now() + sleep));
        if let Some(commit) = fired.committed {
            under_way = Some(Box::pin(shared.look_after(commit))).into();
        }
        tokio::select! {
            Some(()) = &mut under_way => under_way = None.into(),
            () = tokio::time::sleep_until(wake_at) => {}
            () = shared.timer_moved.notified() => {}
        }
    }
}
