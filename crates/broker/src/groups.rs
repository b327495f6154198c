//! Group coordination around the pure machine of `ottla-coordinator`: commits its ops, sends replies when they are durable,
//! keeps its timers.
//!
//! One mutex holds machine and timers, and ops go to the journal under it, so what is stored has the order in which the
//! machine decided. Nothing waits under the mutex. An answer waits for the last commit before it, since it may tell of
//! state that is on its way to the disk.

mod loading;
mod producer_ids;
mod reset;
#[cfg(test)]
mod tests;
mod timers;

use std::future::Future;
use std::sync::{Arc, Weak};

use ottla_codec::ResponseError;
use ottla_coordinator::groups::{
    Event, GroupConfig, GroupCoordinator, GroupEffects, OffsetResults, Reply, TimerKey,
};
use ottla_coordinator::producers::ProducerIds;
use ottla_coordinator::timers::TimerQueue;
use ottla_coordinator::{Now, StoreOp};
use ottla_dlq::event::Event as DeadLetterEvent;
use ottla_storage::{Commit, MetaOp, Store, StoreError, Tree};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::dead_letters::{DeadLetters, Outcome, Policy};
use crate::reply::Later;
use crate::settings::{Effective, Settings};
use crate::transactions::Transactions;
pub(crate) use reset::Forgotten;

/// An answer, and what must be durable before it leaves.
type Delivery = (Result<Reply, ResponseError>, Option<Commit>);
pub(crate) type Ticket = oneshot::Sender<Delivery>;
/// The machine, as reads see it.
pub(crate) type Machine = GroupCoordinator<Ticket>;

/// A batch that is read for a move may inflate to 128 MiB.
const MOVES_AT_A_TIME: usize = 4;

/// What clients are told while a group or a transaction cannot be stored or loaded: they look for the coordinator again and retry. Kafka's
/// coordinators do not tell of storage either (GroupCoordinatorService, TransactionStateManager): what their clients do not know, they take
/// for the end of the transaction.
pub(crate) const UNAVAILABLE: ResponseError = ResponseError::CoordinatorNotAvailable;

/// See the module.
pub(crate) struct GroupService {
    pub(crate) shared: Arc<Shared>,
    /// None in a simulation, which fires timers itself.
    timer_task: Option<tokio::task::JoinHandle<()>>,
}

/// Open to `dead_letters`, which is fed under the same mutex.
pub(crate) struct Shared {
    pub(crate) me: Weak<Shared>,
    pub(crate) store: Store,
    pub(crate) settings: Arc<Settings>,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) clock: Clock,
    pub(crate) inner: Mutex<Inner>,
    /// Told when a timer is due before the timer task would wake.
    pub(crate) timer_moved: Notify,
    /// Cancelled when the broker stops: what waits for other members ends then.
    pub(crate) stopping: CancellationToken,
    /// Moves of dead letters.
    pub(crate) moves: TaskTracker,
    /// Of those, so many read records at a time.
    pub(crate) move_slots: Semaphore,
}

pub(crate) struct Inner {
    pub(crate) machine: Machine,
    /// What is known of failing records, and decided about them.
    pub(crate) policy: Policy,
    timers: TimerQueue<TimerKey>,
    /// Transactions, whose ends change groups' offsets.
    pub(crate) transactions: Transactions,
    /// When the timer task wakes by itself.
    pub(crate) timer_wakes_ms: u64,
    /// The last commit of any group.
    pub(crate) last_commit: Option<Commit>,
    /// Whether commits up to here were kept has been looked at.
    settled: Commit,
    /// The last commit of anybody that was not kept, as far as that.
    lost: Option<Commit>,
    /// Loaded with the first request for one.
    producer_ids: Option<ProducerIds>,
}

impl Drop for GroupService {
    fn drop(&mut self) {
        if let Some(task) = &self.timer_task {
            task.abort();
        }
    }
}

impl GroupService {
    /// A service over what the store has. Must be called inside a runtime, which runs its timers.
    pub fn new(
        store: Store,
        settings: Arc<Settings>,
        dead_letters: Arc<DeadLetters>,
        clock: Clock,
    ) -> GroupService {
        let mut service = GroupService::without_timers(store, settings, dead_letters, clock);
        service.timer_task = Some(tokio::spawn(timers::run(service.shared.clone())));
        service
    }

    /// A service whose timers somebody else fires.
    pub(crate) fn without_timers(
        store: Store,
        settings: Arc<Settings>,
        dead_letters: Arc<DeadLetters>,
        clock: Clock,
    ) -> GroupService {
        let config = config(&settings.current());
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            store,
            settings,
            dead_letters,
            clock,
            inner: Mutex::new(Inner {
                machine: GroupCoordinator::new(config),
                policy: Policy::default(),
                timers: TimerQueue::default(),
                transactions: Transactions::default(),
                timer_wakes_ms: u64::MAX,
                last_commit: None,
                settled: Commit(0),
                lost: None,
                producer_ids: None,
            }),
            timer_moved: Notify::new(),
            stopping: CancellationToken::new(),
            moves: TaskTracker::new(),
            move_slots: Semaphore::new(MOVES_AT_A_TIME),
        });
        GroupService {
            shared,
            timer_task: None,
        }
    }

    /// Ends what waits for other members (JoinGroup, SyncGroup) with an error that clients retry. What is answered and only
    /// waits for the disk is not touched.
    pub fn end_waits(&self) {
        self.shared.stopping.cancel();
    }

    /// Hands an event of one group to the machine, now; the future is its answer, when it is durable.
    pub fn submit(
        &self,
        group_id: &str,
        event: impl FnOnce(Ticket) -> Event<Ticket>,
    ) -> Later<Result<Reply, ResponseError>> {
        let (ticket, answer) = oneshot::channel();
        let shared = self.shared.clone();
        shared.with_group(group_id, ticket, event);
        Box::pin(async move {
            let (reply, commit) = tokio::select! {
                biased;
                answered = answer => answered.unwrap_or((Err(UNAVAILABLE), None)),
                () = shared.stopping.cancelled() => (Err(UNAVAILABLE), None),
            };
            shared.durable(commit).await?;
            reply
        })
    }

    /// Tells the machine that a client has begun to look for this group's coordinator.
    pub fn asked(&self, group_id: &str) {
        let shared = &self.shared;
        let mut inner = shared.lock();
        shared.refresh_config(&mut inner);
        let event = Event::Asked {
            group_id: group_id.to_owned(),
        };
        let effects = inner.machine.handle(shared.now(), event);
        shared.apply(&mut inner, Some(group_id), effects);
    }

    /// Reads of groups that are loaded first if need be; the future is what `read` gave, when all it may tell of is durable.
    pub fn read<R: Send + 'static>(
        &self,
        group_ids: &[&str],
        read: impl FnOnce(&Machine) -> R,
    ) -> Later<Result<R, ResponseError>> {
        let shared = self.shared.clone();
        let result = {
            let mut inner = shared.lock();
            group_ids
                .iter()
                .try_for_each(|id| shared.ensure_loaded(&mut inner, id))
                .map(|()| (read(&inner.machine), inner.last_commit))
        };
        Box::pin(async move {
            let (value, commit) = result?;
            shared.durable(commit).await?;
            Ok(value)
        })
    }

    /// As [`GroupService::read`], of all groups.
    pub fn read_all<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Machine) -> R,
    ) -> Later<Result<R, ResponseError>> {
        let shared = self.shared.clone();
        let result = {
            let mut inner = shared.lock();
            shared
                .load_all(&mut inner)
                .map(|()| (read(&inner.machine), inner.last_commit))
        };
        Box::pin(async move {
            let (value, commit) = result?;
            shared.durable(commit).await?;
            Ok(value)
        })
    }

    /// Waits until no task of this service uses the store any more.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let moves = self.shared.moves.clone();
        async move {
            moves.close();
            moves.wait().await;
        }
    }

    /// Offsets of a deleted topic go. Those of groups that are not loaded go when they are.
    pub fn topic_deleted(&self, topic: &str) {
        let shared = &self.shared;
        let mut inner = shared.lock();
        let topic = topic.to_owned();
        shared.dead_letters.watches.topic_deleted(&topic);
        let mut outcome = Outcome::default();
        let told = DeadLetterEvent::TopicDeleted {
            topic: topic.clone(),
        };
        shared.event(&mut inner, told, &mut outcome);
        let effects = inner
            .machine
            .handle(shared.now(), Event::TopicDeleted { topic });
        // Refused, it is found again with the next load of each group.
        let _ = shared.apply_with(&mut inner, None, effects, outcome);
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The state, without what was built on commits that were not kept: not everybody waits for what it commits.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        // In this order: what is settled and lost is among the lost then.
        let settled = self.store.settled();
        let lost = self.store.last_lost();
        let is_lost = lost > inner.lost && inner.last_commit > Some(inner.settled);
        inner.lost = lost;
        inner.settled = settled;
        if is_lost {
            self.forget_lost(&mut inner);
        }
        inner
    }

    fn with_group(
        &self,
        group_id: &str,
        ticket: Ticket,
        event: impl FnOnce(Ticket) -> Event<Ticket>,
    ) {
        let mut inner = self.lock();
        self.refresh_config(&mut inner);
        if let Err(error) = self.ensure_loaded(&mut inner, group_id) {
            // The one who asked may be gone: nobody misses the answer then.
            let _ = ticket.send((Err(error), None));
            return;
        }
        let effects = inner.machine.handle(self.now(), event(ticket));
        self.apply(&mut inner, Some(group_id), effects);
    }

    pub(crate) fn refresh_config(&self, inner: &mut Inner) {
        inner.machine.set_config(config(&self.settings.current()));
    }

    pub(crate) fn metadata_limit(&self) -> usize {
        config(&self.settings.current()).offset_metadata_max_bytes
    }

    /// Commits, answers and sets timers, and tells the engine of dead letters. If the commit is refused, the live state of
    /// `group_id` (of all groups if it is `None`) is dropped, so that it is loaded again as it is stored.
    fn apply(&self, inner: &mut Inner, group_id: Option<&str>, mut effects: GroupEffects<Ticket>) {
        let observed = std::mem::take(&mut effects.observed);
        let outcome = self.observe(inner, observed);
        // Who asked is answered with the error; the live state is dropped.
        let _ = self.apply_with(inner, group_id, effects, outcome);
    }

    /// As `apply`, with what the engine made of it already.
    pub(crate) fn apply_with(
        &self,
        inner: &mut Inner,
        group_id: Option<&str>,
        effects: GroupEffects<Ticket>,
        mut outcome: Outcome,
    ) -> Result<(), ResponseError> {
        let mut ops: Vec<MetaOp> = effects.ops.into_iter().map(meta_op).collect();
        ops.append(&mut outcome.ops);
        let committed = self.commit(inner, ops);
        for (ticket, reply) in effects.replies {
            let delivery = match committed {
                Ok(()) => (Ok(reply), inner.last_commit),
                Err(error) => (Err(error), None),
            };
            let _ = ticket.send(delivery);
        }
        self.set_timers(inner, effects.timers);
        match committed {
            Ok(()) => self.carry_out(inner, outcome),
            Err(_) => self.drop_live(inner, group_id),
        }
        committed
    }

    /// Drops live state that could not be stored: of a group, or of all.
    pub(crate) fn drop_live(&self, inner: &mut Inner, group_id: Option<&str>) {
        match group_id {
            Some(id) => self.unload(inner, vec![id.to_owned()]),
            None => self.unload_all(inner),
        }
    }

    pub(crate) fn commit(&self, inner: &mut Inner, ops: Vec<MetaOp>) -> Result<(), ResponseError> {
        if ops.is_empty() {
            return Ok(());
        }
        match self.store.commit(ops) {
            Ok(commit) => {
                inner.last_commit = Some(commit);
                Ok(())
            }
            Err(error) => {
                // The store has said what is wrong, once.
                tracing::debug!(%error, "a change of a group was refused");
                Err(UNAVAILABLE)
            }
        }
    }

    /// Waits until `commit` is durable, which what is answered depends on.
    pub(crate) async fn durable(&self, commit: Option<Commit>) -> Result<(), ResponseError> {
        match commit {
            Some(commit) => self.kept(self.store.durable(commit).await),
            None => Ok(()),
        }
    }

    /// As [`Shared::durable`], for what a power cut may take though not a crash of the broker.
    pub(crate) async fn written(&self, commit: Option<Commit>) -> Result<(), ResponseError> {
        match commit {
            Some(commit) => self.kept(self.store.written(commit).await),
            None => Ok(()),
        }
    }

    /// What a client of a coordinator is told of a commit.
    fn kept(&self, outcome: Result<(), StoreError>) -> Result<(), ResponseError> {
        outcome.map_err(|error| {
            tracing::debug!(%error, "a change of groups was not kept");
            drop(self.lock());
            UNAVAILABLE
        })
    }

    /// A commit was taken and then not kept: all live state may be built on it. Open transactions are loaded again at once, since
    /// they time out though nobody asks.
    fn forget_lost(&self, inner: &mut Inner) {
        tracing::warn!("changes of groups were not kept: loading them again");
        // What is loaded may not last either: after a failed sync nobody knows before the next start.
        inner.last_commit = self.store.unsettled();
        inner.producer_ids = None;
        inner.transactions.forget();
        self.unload_all(inner);
        // What was withheld from groups is withheld on.
        self.load_dead_letters(inner);
        // What cannot be read is tried again with the next request.
        let _ = self.with_transactions(inner, |_| ());
    }

    fn unload_all(&self, inner: &mut Inner) {
        let all = inner.machine.group_ids().map(str::to_owned).collect();
        self.unload(inner, all);
    }

    fn unload(&self, inner: &mut Inner, group_ids: Vec<String>) {
        for group_id in group_ids {
            self.unload_policy(inner, &group_id);
            let effects = inner.machine.handle(self.now(), Event::Unload { group_id });
            for (ticket, reply) in effects.replies {
                let _ = ticket.send((Ok(reply), None));
            }
            self.set_timers(inner, effects.timers);
        }
    }
}

/// Writes results into an answer's error codes, those that say already what is wrong left out; in the request's order.
pub(crate) fn fill_in<'a>(codes: impl Iterator<Item = &'a mut i16>, results: &OffsetResults) {
    for (code, result) in codes.filter(|code| **code == 0).zip(results) {
        *code = error_code(result);
    }
}

/// The protocol's code: 0 for success.
pub(crate) fn error_code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

fn config(settings: &Effective) -> GroupConfig {
    let unsigned = |value: i32| usize::try_from(value).unwrap_or(0);
    GroupConfig {
        min_session_timeout_ms: settings.group_min_session_timeout_ms,
        max_session_timeout_ms: settings.group_max_session_timeout_ms,
        initial_rebalance_delay_ms: u64::try_from(settings.group_initial_rebalance_delay_ms)
            .unwrap_or(0),
        max_size: unsigned(settings.group_max_size),
        offset_metadata_max_bytes: unsigned(settings.offset_metadata_max_bytes),
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
    }
}

pub(crate) fn meta_op(op: StoreOp) -> MetaOp {
    let stored = |tree| match tree {
        ottla_coordinator::Tree::Groups => Tree::Groups,
        ottla_coordinator::Tree::Offsets => Tree::Offsets,
        ottla_coordinator::Tree::Producers => Tree::Producers,
        ottla_coordinator::Tree::Transactions => Tree::Transactions,
        ottla_coordinator::Tree::PendingOffsets => Tree::PendingOffsets,
    };
    match op {
        StoreOp::Put { tree, key, value } => MetaOp::Put {
            tree: stored(tree),
            key: key.into(),
            value: value.into(),
        },
        StoreOp::Delete { tree, key } => MetaOp::Delete {
            tree: stored(tree),
            key: key.into(),
        },
    }
}
