//! The engine: keeps what is known of each group's failures, and decides.
//!
//! One engine serves all groups of a broker; groups know nothing of each other. What a group's state is made of is in
//! `group.rs`, each kind of decision in a file of its own.

mod attempts;
mod breaker;
mod case;
#[cfg(test)]
mod crash_tests;
mod gates;
mod group;
mod isolation;
#[cfg(test)]
mod isolation_tests;
mod moves;
#[cfg(test)]
mod nack_tests;
mod nacks;
mod partition;
mod restore;
mod rows;
mod search;
#[cfg(test)]
mod testing;
mod views;

use std::collections::{BTreeMap, BTreeSet};

pub use rows::{RowError, group_of_key, rows_prefix};
pub use views::{DeathView, GroupView, SuspectState, SuspectView};

use crate::event::{CommitVerdict, Effects, Event, MoveId};
use crate::settings::Settings;
use crate::{Now, TopicPartition};
use group::{Group, Turn};

/// What is known of all groups' failures.
#[derive(Debug, Default)]
pub struct Engine {
    groups: BTreeMap<String, Group>,
    /// When each group wants a timer, on the monotonic clock.
    wakes: BTreeSet<(u64, String)>,
    /// The groups of the moves that are under way.
    moves: BTreeMap<MoveId, String>,
    next_move: u64,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Takes up a group with the rows that are stored of it (see [`rows_prefix`]), before its first event.
    ///
    /// `position` gives the group's committed positions. Rows are reconciled with them: what lies before the position is over.
    /// The effects hold the gates that were closed before. On an error nothing is taken up; the group can be loaded without
    /// rows then, at the price of forgetting its failures.
    pub fn load(
        &mut self,
        now: Now,
        settings: impl Fn(&str, &str) -> Settings,
        group: &str,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        position: impl Fn(&TopicPartition) -> Option<i64>,
    ) -> Result<Effects, RowError> {
        let loaded = rows::load(group, rows)?;
        self.forget(group);
        self.groups.insert(group.to_owned(), loaded);
        Ok(self.turn(now, &settings, group, |state, turn| {
            state.reconcile(turn, &position);
        }))
    }

    /// Forgets a group, not what is stored of it. Moves that are under way are not answered any more. The effects open its gates.
    pub fn unload(&mut self, group: &str) -> Effects {
        let gates = match self.forget(group) {
            Some(state) => state.open_gates(group),
            None => Vec::new(),
        };
        Effects {
            gates,
            wake_at_ms: self.next_wake(),
            ..Effects::default()
        }
    }

    /// Takes one event. `settings` are those of a group (first) on a topic.
    pub fn handle(
        &mut self,
        now: Now,
        settings: impl Fn(&str, &str) -> Settings,
        event: Event,
    ) -> Effects {
        let settings = &settings;
        match event {
            Event::Assigned { group, members } => {
                self.turn(now, settings, &group, |state, turn| {
                    state.assigned(turn, members);
                })
            }
            Event::Gone {
                group,
                member_id,
                how,
                served,
            } => self.turn(now, settings, &group, |state, turn| {
                state.gone(turn, &member_id, how, served);
            }),
            Event::PositionFetched {
                group,
                member_id,
                at,
                offset,
            } => self.turn(now, settings, &group, |state, turn| {
                state.position_fetched(turn, member_id, at, offset);
            }),
            Event::Committed { group, at, offset } => {
                if !self.groups.contains_key(&group) {
                    return self.nothing();
                }
                self.turn(now, settings, &group, |state, turn| {
                    state.committed(turn, &at, offset);
                })
            }
            Event::Reset { group, at } => self.turn(now, settings, &group, |state, turn| {
                state.reset(turn, &at);
            }),
            Event::WaitsAtGate {
                group,
                at,
                at_log_end,
            } => self.turn(now, settings, &group, |state, turn| {
                state.waits_at_gate(turn, &at, at_log_end);
            }),
            Event::Nack {
                group,
                at,
                offset,
                marker,
                client,
                committed,
                earlier,
            } => self.turn(now, settings, &group, |state, turn| {
                let nack = nacks::Nack {
                    at,
                    offset,
                    marker,
                    client,
                    committed,
                    earlier,
                };
                state.nack(turn, nack);
            }),
            Event::Moved { id } => match self.moves.remove(&id) {
                None => self.nothing(),
                Some(group) => self.turn(now, settings, &group, |state, turn| {
                    state.moved(turn, id);
                }),
            },
            Event::MoveFailed { id, error, retry } => match self.moves.get(&id).cloned() {
                None => self.nothing(),
                Some(group) => {
                    let mut forgotten = false;
                    let effects = self.turn(now, settings, &group, |state, turn| {
                        state.move_failed(turn, id, error, retry);
                        forgotten = !state.moves.contains_key(&id);
                    });
                    if forgotten {
                        self.moves.remove(&id);
                    }
                    effects
                }
            },
            Event::GroupDeleted { group } => {
                let mut effects = match self.groups.get_mut(&group) {
                    None => Effects::default(),
                    Some(state) => Effects {
                        ops: state.delete_rows(&group),
                        gates: state.open_gates(&group),
                        ..Effects::default()
                    },
                };
                self.forget(&group);
                effects.wake_at_ms = self.next_wake();
                effects
            }
            Event::TopicDeleted { topic } => {
                let all = |_: &Group| true;
                self.for_each(now, settings, all, |state, turn| {
                    state.topic_deleted(turn, &topic);
                })
            }
            Event::Timer => {
                let concerned = |g: &Group| g.wake.is_some() || g.case.is_some();
                self.for_each(now, settings, concerned, |state, turn| {
                    state.timer(turn);
                })
            }
        }
    }

    /// What is to become of an ordinary commit of `offset`, before it is carried out. To be asked under the same lock as
    /// [`Engine::handle`], and again if a [`CommitVerdict::Moves`] could not be carried out because the position had changed.
    pub fn before_commit(
        &mut self,
        group: &str,
        at: &TopicPartition,
        offset: i64,
    ) -> CommitVerdict {
        let Some(state) = self.groups.get_mut(group) else {
            return CommitVerdict::Plain;
        };
        let verdict = state.before_commit(group, &mut self.next_move, at, offset);
        if let CommitVerdict::Moves(planned) = &verdict {
            self.moves.insert(planned.id, group.to_owned());
        }
        verdict
    }

    /// Runs `what` on a group and brings rows, gates and timers in line with it.
    fn turn(
        &mut self,
        now: Now,
        settings: &dyn Fn(&str, &str) -> Settings,
        group: &str,
        what: impl FnOnce(&mut Group, &mut Turn<'_>),
    ) -> Effects {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Group::default());
        }
        let state = self.groups.get_mut(group).expect("inserted above");
        let mut turn = Turn {
            now,
            group,
            settings,
            effects: Effects::default(),
            next_move: &mut self.next_move,
            touched: BTreeSet::new(),
        };
        what(state, &mut turn);
        state.finish(&mut turn);
        let mut effects = turn.effects;

        for planned in &effects.moves {
            self.moves.insert(planned.id, group.to_owned());
        }
        let wake = state.next_timer();
        if wake != state.wake {
            if let Some(old) = state.wake.take() {
                self.wakes.remove(&(old, group.to_owned()));
            }
            if let Some(at) = wake {
                self.wakes.insert((at, group.to_owned()));
            }
            state.wake = wake;
        }
        effects.wake_at_ms = self.next_wake();
        effects
    }

    /// The same on every group that is concerned.
    fn for_each(
        &mut self,
        now: Now,
        settings: &dyn Fn(&str, &str) -> Settings,
        concerned: impl Fn(&Group) -> bool,
        mut what: impl FnMut(&mut Group, &mut Turn<'_>),
    ) -> Effects {
        let mut all = Effects::default();
        let groups = self.groups.iter().filter(|(_, state)| concerned(state));
        let groups: Vec<String> = groups.map(|(name, _)| name.clone()).collect();
        for group in groups {
            let effects = self.turn(now, settings, &group, &mut what);
            all.ops.extend(effects.ops);
            all.gates.extend(effects.gates);
            all.moves.extend(effects.moves);
            all.alerts.extend(effects.alerts);
        }
        all.wake_at_ms = self.next_wake();
        all
    }

    fn forget(&mut self, group: &str) -> Option<Group> {
        let state = self.groups.remove(group)?;
        if let Some(at) = state.wake {
            self.wakes.remove(&(at, group.to_owned()));
        }
        for id in state.moves.keys() {
            self.moves.remove(id);
        }
        Some(state)
    }

    fn next_wake(&self) -> Option<u64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    fn nothing(&self) -> Effects {
        Effects {
            wake_at_ms: self.next_wake(),
            ..Effects::default()
        }
    }
}
