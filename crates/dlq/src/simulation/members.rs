//! The consumers of the simulation: they fetch ahead, process one record after the other, commit in their own ways, and die on poison.

use std::collections::{BTreeMap, VecDeque};

use rand::Rng;
use rand::rngs::StdRng;

use super::world::{GROUP, Place, World, at};
use crate::event::{Departure, Event, MemberAssignment, MoveId, NackOutcome};

/// When a consumer commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    PerRecord,
    PerPoll,
    /// At times, whatever it has processed; also if that is nothing new.
    Auto,
}

/// What a consumer does with a record that it cannot process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnPoison {
    Dies,
    Nacks,
}

#[derive(Debug, Clone)]
pub(super) struct Style {
    pub members: usize,
    pub commits: Commits,
    pub on_poison: OnPoison,
    /// Records of one fetch.
    pub batch: usize,
    /// Records that are fetched ahead.
    pub prefetch: usize,
    /// Members keep what stays theirs in a rebalance.
    pub cooperative: bool,
    /// A new incarnation takes the place of the old one without a rebalance of the others.
    pub fixed: bool,
}

#[derive(Debug, Default)]
struct Owned {
    position: i64,
    buffer: VecDeque<Place>,
    /// One past the last processed record, if that is not committed.
    processed: Option<i64>,
}

#[derive(Debug)]
struct Member {
    id: String,
    partitions: BTreeMap<i32, Owned>,
    /// A nack whose record is being moved: partition, move.
    waits_for: Option<(i32, MoveId)>,
    /// It does not wait for the answers of its commits.
    later: bool,
}

pub(super) struct Members {
    style: Style,
    members: Vec<Member>,
    incarnations: u32,
    /// A deployment that fails on everything.
    pub broken: bool,
    pub deaths: u32,
}

impl Members {
    pub fn new(style: Style, world: &mut World) -> Members {
        let mut members = Members {
            style,
            members: Vec::new(),
            incarnations: 0,
            broken: false,
            deaths: 0,
        };
        for _ in 0..members.style.members {
            let member = members.incarnation();
            members.members.push(member);
        }
        members.rebalance(world);
        members
    }

    fn incarnation(&mut self) -> Member {
        self.incarnations += 1;
        Member {
            id: format!("member-{}", self.incarnations),
            partitions: BTreeMap::new(),
            waits_for: None,
            later: self.incarnations.is_multiple_of(2),
        }
    }

    /// Deals the partitions out in turn, and lets members begin with what is new to them.
    fn rebalance(&mut self, world: &mut World) {
        let count = self.members.len();
        let mut wanted: Vec<Vec<i32>> = vec![Vec::new(); count];
        for (i, partition) in world.logs.keys().enumerate() {
            wanted[i % count].push(*partition);
        }
        let assignment = self
            .members
            .iter()
            .zip(&wanted)
            .map(|(member, partitions)| MemberAssignment {
                member_id: member.id.clone(),
                client_id: "client".to_owned(),
                client_host: "/127.0.0.1".to_owned(),
                rebalance_timeout_ms: 60_000,
                partitions: partitions.iter().map(|p| at(*p)).collect(),
            });
        let members = assignment.collect();
        world.send(Event::Assigned {
            group: GROUP.to_owned(),
            members,
        });
        for (member, wanted) in self.members.iter_mut().zip(wanted) {
            let lost: Vec<i32> = member
                .partitions
                .keys()
                .filter(|p| !wanted.contains(p))
                .copied()
                .collect();
            for partition in lost {
                member.partitions.remove(&partition);
                world.lost_partition(&member.id, partition);
            }
            for partition in wanted {
                if !self.style.cooperative || !member.partitions.contains_key(&partition) {
                    member.begin(world, partition);
                }
            }
        }
    }

    fn replace(&mut self, world: &mut World, which: usize, how: Departure) {
        let served = world.served(&self.members[which].id);
        let new = self.incarnation();
        let old = std::mem::replace(&mut self.members[which], new);
        world.send(Event::Gone {
            group: GROUP.to_owned(),
            member_id: old.id,
            how,
            served,
        });
        if !self.style.fixed {
            // It takes the last place, so that partitions go from hand to hand.
            let new = self.members.remove(which);
            self.members.push(new);
        }
        self.rebalance(world);
    }

    /// A member is killed, for no fault of a record.
    pub fn kill(&mut self, world: &mut World, rng: &mut StdRng) {
        let which = rng.random_range(0..self.members.len());
        self.replace(world, which, Departure::TimedOut);
    }

    /// A member commits what it has done, and is restarted.
    pub fn restart(&mut self, world: &mut World, rng: &mut StdRng) {
        let which = rng.random_range(0..self.members.len());
        for partition in self.members[which].owned() {
            self.members[which].commit(world, partition);
        }
        self.replace(world, which, Departure::Left);
    }

    /// The broker was away: nobody is answered any more, and everybody goes on where it was.
    pub fn reconnect(&mut self, world: &World) {
        for member in &mut self.members {
            if let Some((partition, _)) = member.waits_for.take() {
                member.seek_to_committed(world, partition);
            }
        }
    }

    /// A member does the next thing.
    pub fn step(&mut self, world: &mut World, rng: &mut StdRng) {
        let which = rng.random_range(0..self.members.len());
        let (batch, prefetch) = (self.style.batch, self.style.prefetch);
        let member = &mut self.members[which];
        if let Some((partition, id)) = member.waits_for {
            if world.answered.remove(&id) {
                member.waits_for = None;
                member.seek_to_committed(world, partition);
            }
            return;
        }
        for partition in member.owned() {
            let Some(owned) = member.partitions.get_mut(&partition) else {
                continue;
            };
            if owned.buffer.len() < prefetch {
                let places = world.fetch(&member.id, partition, owned.position, batch);
                if let Some((_, last)) = places.last() {
                    owned.position = last + 1;
                }
                owned.buffer.extend(places);
            }
        }
        let full = member
            .partitions
            .iter()
            .filter(|(_, o)| !o.buffer.is_empty());
        let full: Vec<i32> = full.map(|(p, _)| *p).collect();
        if self.style.commits == Commits::Auto && rng.random_bool(0.1) {
            for partition in member.owned() {
                member.commit(world, partition);
            }
        }
        if full.is_empty() {
            if rng.random_bool(0.2) {
                for partition in member.owned() {
                    member.commit(world, partition);
                }
            }
            return;
        }
        let partition = full[rng.random_range(0..full.len())];
        self.process(world, which, partition);
    }

    fn process(&mut self, world: &mut World, which: usize, partition: i32) {
        let member = &mut self.members[which];
        let Some(owned) = member.partitions.get_mut(&partition) else {
            return;
        };
        let Some(place) = owned.buffer.front().copied() else {
            return;
        };
        if !self.broken && !world.is_poison(place) {
            owned.buffer.pop_front();
            owned.processed = Some(place.1 + 1);
            world.process(place);
            let now = match self.style.commits {
                Commits::PerRecord => true,
                Commits::PerPoll => owned.buffer.is_empty(),
                Commits::Auto => false,
            };
            if now {
                member.commit(world, partition);
            }
            return;
        }
        match self.style.on_poison {
            OnPoison::Dies => {
                self.deaths += 1;
                self.replace(world, which, Departure::TimedOut);
            }
            OnPoison::Nacks => match world.nack(partition, place.1) {
                Some(NackOutcome::Moves(id)) => member.waits_for = Some((partition, id)),
                Some(NackOutcome::Stays { .. }) | None => {
                    member.seek_to_committed(world, partition);
                }
            },
        }
    }
}

impl Member {
    fn owned(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    fn begin(&mut self, world: &mut World, partition: i32) {
        let offset = world.committed.get(&partition).copied();
        world.send(Event::PositionFetched {
            group: GROUP.to_owned(),
            member_id: self.id.clone(),
            at: at(partition),
            offset,
        });
        let owned = Owned {
            position: offset.unwrap_or(0),
            ..Owned::default()
        };
        self.partitions.insert(partition, owned);
        if self.waits_for.is_some_and(|(p, _)| p == partition) {
            self.waits_for = None;
        }
    }

    fn seek_to_committed(&mut self, world: &World, partition: i32) {
        let position = world.committed.get(&partition).copied().unwrap_or(0);
        if let Some(owned) = self.partitions.get_mut(&partition) {
            *owned = Owned {
                position,
                ..Owned::default()
            };
        }
    }

    fn commit(&mut self, world: &mut World, partition: i32) {
        if self.waits_for.is_some() {
            return;
        }
        let later = self.later;
        let Some(owned) = self.partitions.get_mut(&partition) else {
            return;
        };
        match owned.processed {
            Some(offset) if world.commit(partition, offset, later) => owned.processed = None,
            Some(_) => {}
            // Many clients commit what is committed already. A commit of what it began with may be behind a record that was
            // moved under its feet.
            None if owned.buffer.is_empty() && world.committed.contains_key(&partition) => {
                world.commit(partition, owned.position, later);
            }
            None => {}
        }
    }
}
