//! What happens to groups, told to the engine under the mutex of the group service, and what comes of it.

use ottla_coordinator::groups::{Departure, Observation, PartitionId};
use ottla_dlq::TopicPartition;
use ottla_dlq::engine;
use ottla_dlq::event::{self, Event, MemberAssignment, NackOutcome};
use ottla_storage::Tree;

use super::policy::Outcome;
use super::{alerts, moves};
use crate::groups::{GroupService, Inner, Shared};

impl GroupService {
    /// Loads the groups that something is known of: what is withheld from them is withheld from the first fetch on.
    pub fn load_dead_letters(&self) {
        let shared = &self.shared;
        shared.load_dead_letters(&mut shared.lock());
    }

    /// Settings of dead letters have changed.
    pub fn dead_letter_settings_changed(&self) {
        self.shared.tell(None, Event::Timer);
    }

    /// What groups fail on, of all groups or of one.
    pub fn dead_letter_views(&self, group: Option<&str>) -> Vec<engine::GroupView> {
        self.shared.lock().policy.views(group)
    }

    /// The owner of a partition asks for more than its gate has for it.
    pub fn waits_at_gate(&self, group: &str, at: &TopicPartition, at_log_end: bool) {
        let event = Event::WaitsAtGate {
            group: group.to_owned(),
            at: at.clone(),
            at_log_end,
        };
        self.shared.tell(Some(group), event);
    }
}

impl Shared {
    pub(crate) fn load_dead_letters(&self, inner: &mut Inner) {
        let rows = match self.store.scan(Tree::DeadLetters, b"g") {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "what is known of failing records cannot be read");
                return;
            }
        };
        for (key, _) in rows {
            if let Some(group) = engine::group_of_key(&key) {
                // One damaged group does not keep the others; it has been logged.
                let _ = self.ensure_loaded(inner, group);
            }
        }
    }

    /// One event by itself.
    pub(super) fn tell(&self, group: Option<&str>, event: Event) {
        let mut inner = self.lock();
        let mut outcome = Outcome::default();
        self.event(&mut inner, event, &mut outcome);
        self.settle(&mut inner, group, outcome);
    }

    /// Commits and carries out what came of events by themselves.
    pub(crate) fn settle(&self, inner: &mut Inner, group: Option<&str>, mut outcome: Outcome) {
        let ops = std::mem::take(&mut outcome.ops);
        match self.commit(inner, ops) {
            Ok(()) => self.carry_out(inner, outcome),
            Err(_) => self.drop_live(inner, group),
        }
    }

    /// Takes up what is stored of a group, before its first event.
    pub(crate) fn load_policy(&self, inner: &mut Inner, group: &str) {
        let prefix = engine::rows_prefix(group);
        let rows = self.store.scan(Tree::DeadLetters, &prefix);
        let rows = rows.unwrap_or_else(|error| {
            tracing::error!(group, %error, "what is known of failing records cannot be read");
            Vec::new()
        });
        if rows.is_empty() {
            return;
        }
        let rows = rows.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec()));
        let machine = &inner.machine;
        let position = |at: &TopicPartition| {
            let committed = machine.committed(group, &at.topic, at.partition);
            committed.map(|c| c.offset)
        };
        let rules = |group: &str, topic: &str| self.dead_letters.rules(group, topic);
        let loaded = inner
            .policy
            .engine
            .load(self.dlq_now(), rules, group, rows, position);
        match loaded {
            Ok(effects) => {
                let mut outcome = Outcome::default();
                inner.policy.take(effects, &mut outcome);
                self.settle(inner, Some(group), outcome);
            }
            Err(error) => {
                tracing::error!(group, %error, "what is known of failing records is forgotten");
            }
        }
    }

    /// Forgets a group's live state.
    pub(crate) fn unload_policy(&self, inner: &mut Inner, group: &str) {
        let effects = inner.policy.engine.unload(group);
        let mut outcome = Outcome::default();
        inner.policy.take(effects, &mut outcome);
        inner.policy.forget_moves(group);
        self.carry_out(inner, outcome);
        self.dead_letters.watches.forget(group);
    }

    /// Tells the engine what the machine did.
    pub(crate) fn observe(&self, inner: &mut Inner, observed: Vec<Observation>) -> Outcome {
        let mut outcome = Outcome::default();
        for one in observed {
            self.observe_one(inner, one, &mut outcome);
        }
        outcome
    }

    pub(super) fn observe_one(&self, inner: &mut Inner, one: Observation, outcome: &mut Outcome) {
        let watches = &self.dead_letters.watches;
        let event = match one {
            Observation::Assigned { group_id, members } => {
                let members: Vec<_> = members.into_iter().map(assignment).collect();
                let topics = self.store.topics();
                let id = |name: &str| topics.by_name(name).map(|t| t.id);
                watches.assigned(&group_id, &members, id);
                Event::Assigned {
                    group: group_id,
                    members,
                }
            }
            Observation::Gone {
                group_id,
                member_id,
                how,
            } => Event::Gone {
                served: watches.gone(&group_id, &member_id),
                group: group_id,
                member_id,
                how: match how {
                    Departure::Left => event::Departure::Left,
                    Departure::TimedOut => event::Departure::TimedOut,
                    Departure::Replaced => event::Departure::Replaced,
                },
            },
            Observation::Committed {
                group_id,
                id,
                offset,
            } => Event::Committed {
                group: group_id,
                at: place(id),
                offset,
            },
            Observation::Reset { group_id, id } => Event::Reset {
                group: group_id,
                at: place(id),
            },
            Observation::GroupDeleted { group_id } => {
                inner.policy.forget_moves(&group_id);
                watches.forget(&group_id);
                Event::GroupDeleted { group: group_id }
            }
        };
        self.event(inner, event, outcome);
    }

    pub(crate) fn event(
        &self,
        inner: &mut Inner,
        event: Event,
        outcome: &mut Outcome,
    ) -> Option<NackOutcome> {
        let rules = |group: &str, topic: &str| self.dead_letters.rules(group, topic);
        let mut effects = inner.policy.engine.handle(self.dlq_now(), rules, event);
        let nack = effects.nack.take();
        inner.policy.take(effects, outcome);
        nack
    }

    /// Does what is not committed. What caused it is on its way to the disk.
    pub(crate) fn carry_out(&self, inner: &mut Inner, outcome: Outcome) {
        for (group, at, gate) in outcome.gates {
            for (topic, index) in self.dead_letters.watches.set_gate(&group, &at, gate) {
                if let Some(partition) = self.store.partition(&topic, index) {
                    partition.wake_watchers();
                }
            }
        }
        for alert in &outcome.alerts {
            alerts::log(alert);
        }
        for planned in outcome.moves {
            self.begin_move(inner, planned);
        }
        if inner
            .policy
            .wakes_at_ms()
            .is_some_and(|at| at < inner.timer_wakes_ms)
        {
            self.timer_moved.notify_one();
        }
    }

    pub(super) fn begin_move(&self, inner: &mut Inner, planned: event::Move) {
        inner.policy.begin(&planned);
        if let Some(shared) = self.me.upgrade() {
            self.moves.spawn(moves::run(shared, planned));
        }
    }

    pub(crate) fn dlq_now(&self) -> ottla_dlq::Now {
        let now = self.now();
        ottla_dlq::Now {
            monotonic_ms: now.monotonic_ms,
            wall_ms: now.wall_ms,
        }
    }
}

pub(super) fn place(id: PartitionId) -> TopicPartition {
    TopicPartition {
        topic: id.topic,
        partition: id.partition,
    }
}

fn assignment(member: ottla_coordinator::groups::AssignedMember) -> MemberAssignment {
    MemberAssignment {
        member_id: member.member_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        partitions: member.partitions.into_iter().map(place).collect(),
    }
}
