//! A seeded simulation of one group: clients that join, sync, heartbeat, commit, leave, crash and come back; a broker that
//! crashes; commits that are refused; a clock that jumps. Invariants are checked after every step.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::member::{Awaiting, Protocol};
use super::*;
use crate::timers::TimerQueue;
use crate::{Now, StoreOp, Tree};

const GROUP: &str = "g";
const CLIENTS: usize = 6;
const PARTITIONS: u8 = 8;
const SEEDS: u64 = 300;
const STEPS: usize = 1_500;

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Out,
    Waiting,
    /// The members to assign to, if it leads.
    Joined(Vec<String>),
    Member,
}

#[derive(Debug)]
struct Client {
    instance: Option<String>,
    /// Counts restarts: a restarted dynamic member is somebody else.
    incarnation: u32,
    member_id: String,
    generation: i32,
    protocols: Vec<&'static str>,
    phase: Phase,
}

impl Client {
    /// Who owns a partition: a static member is the same over a restart.
    fn owner(&self, index: usize) -> String {
        match &self.instance {
            Some(instance) => instance.clone(),
            None => format!("{index}.{}", self.incarnation),
        }
    }
}

struct Simulation {
    rng: StdRng,
    machine: GroupCoordinator<u64>,
    timers: TimerQueue<TimerKey>,
    now: Now,
    store: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    clients: Vec<Client>,
    next_ticket: u64,
    /// Tickets that are not answered; with the client, unless it has gone away meanwhile.
    waiting: BTreeMap<u64, Option<usize>>,
    /// A commit that waits for its answer.
    commit: Option<(PartitionId, i64)>,
    offsets: BTreeMap<PartitionId, i64>,
    owners: BTreeMap<(i32, u8), String>,
    last_generation: i32,
    rebalances: u32,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = GroupConfig {
            initial_rebalance_delay_ms: [0, 100, 3_000][rng.random_range(0..3)],
            max_size: [3, 100][rng.random_range(0..2)],
            offsets_retention_ms: 3_600_000,
            ..GroupConfig::default()
        };
        let clients = (0..CLIENTS).map(|i| Client {
            // Two pairs share an instance id, so that they fence each other now and then.
            instance: (i < 4 && seed.is_multiple_of(2)).then(|| format!("static{}", i / 2)),
            incarnation: 0,
            member_id: String::new(),
            generation: -1,
            protocols: vec!["range", "sticky"],
            phase: Phase::Out,
        });
        Simulation {
            clients: clients.collect(),
            rng,
            machine: GroupCoordinator::new(config),
            timers: TimerQueue::default(),
            now: Now {
                monotonic_ms: 0,
                wall_ms: 1_000_000,
            },
            store: BTreeMap::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            commit: None,
            offsets: BTreeMap::new(),
            owners: BTreeMap::new(),
            last_generation: 0,
            rebalances: 0,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..80 => {
                let client = self.rng.random_range(0..CLIENTS);
                self.client_step(client);
            }
            80..96 => {
                let ms = [1, 50, 500, 4_000, 20_000][self.rng.random_range(0..5)];
                self.advance(ms);
            }
            96 => self.advance(700_000),
            97 if self.rng.random_range(0..2) == 0 => {
                let group_id = GROUP.to_owned();
                self.event(|_| Event::Asked { group_id });
            }
            97 => self.event(|_| Event::ExpireOffsets),
            98 if self.rng.random_range(0..2) == 0 => self.advance_position(),
            98 => self.crash_broker(),
            _ => {
                let group_id = GROUP.to_owned();
                self.ask(None, |ticket| Event::DeleteGroup { ticket, group_id });
            }
        }
        self.check();
    }

    fn client_step(&mut self, index: usize) {
        let roll = self.rng.random_range(0..100);
        if roll < 4 {
            return self.crash_client(index);
        }
        match self.clients[index].phase.clone() {
            Phase::Waiting => {}
            Phase::Out => self.join(index),
            Phase::Joined(members) => match roll {
                4..10 => self.heartbeat(index),
                _ => self.sync(index, &members),
            },
            Phase::Member => match roll {
                4..60 => self.heartbeat(index),
                60..80 => self.commit(index),
                80..86 => self.join(index),
                86..90 => {
                    let both = vec!["range", "sticky"];
                    let choices = [vec!["range"], vec!["sticky", "range"], both];
                    self.clients[index].protocols = choices[self.rng.random_range(0..3)].clone();
                    self.join(index);
                }
                90..94 => self.leave(index),
                _ => {}
            },
        }
    }

    fn join(&mut self, index: usize) {
        let suffix = format!("{:08x}", self.rng.random::<u32>());
        let client = &self.clients[index];
        let request = JoinRequest {
            group_id: GROUP.to_owned(),
            member_id: client.member_id.clone(),
            instance_id: client.instance.clone(),
            client_id: format!("c{index}"),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            protocol_type: "consumer".to_owned(),
            protocols: client
                .protocols
                .iter()
                .map(|name| Protocol {
                    name: (*name).to_owned(),
                    metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"),
                })
                .collect(),
            require_known_member_id: !index.is_multiple_of(3),
            supports_skip_assignment: index.is_multiple_of(2),
            new_member_suffix: suffix,
        };
        self.ask(Some(index), |ticket| Event::Join(ticket, request));
    }

    fn sync(&mut self, index: usize, members: &[String]) {
        let mut assignments: Vec<(String, Vec<u8>)> =
            members.iter().map(|m| (m.clone(), Vec::new())).collect();
        for partition in 0..PARTITIONS {
            if !assignments.is_empty() {
                let to = self.rng.random_range(0..assignments.len());
                assignments[to].1.push(partition);
            }
        }
        let client = &self.clients[index];
        let request = SyncRequest {
            group_id: GROUP.to_owned(),
            generation: client.generation,
            member_id: client.member_id.clone(),
            instance_id: client.instance.clone(),
            protocol_type: None,
            protocol_name: None,
            assignments: assignments
                .into_iter()
                .map(|(id, p)| (id, p.into()))
                .collect(),
        };
        self.ask(Some(index), |ticket| Event::Sync(ticket, request));
    }

    fn heartbeat(&mut self, index: usize) {
        let client = &self.clients[index];
        let (generation, member_id) = (client.generation, client.member_id.clone());
        let instance_id = client.instance.clone();
        self.ask(Some(index), |ticket| Event::Heartbeat {
            ticket,
            group_id: GROUP.to_owned(),
            generation,
            member_id,
            instance_id,
        });
    }

    fn leave(&mut self, index: usize) {
        let member = LeaveMember {
            member_id: self.clients[index].member_id.clone(),
            instance_id: self.clients[index].instance.clone(),
        };
        self.ask(Some(index), |ticket| Event::Leave {
            ticket,
            group_id: GROUP.to_owned(),
            members: vec![member],
        });
    }

    fn commit(&mut self, index: usize) {
        let id = PartitionId {
            topic: "t".to_owned(),
            partition: self.rng.random_range(0..3),
        };
        let offset = self.rng.random_range(0..1_000);
        let client = &self.clients[index];
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            generation: client.generation,
            member_id: client.member_id.clone(),
            instance_id: client.instance.clone(),
            retention_ms: None,
            group_not_found_error: true,
            partitions: vec![OffsetCommitPartition {
                id: id.clone(),
                topic_id: [1; 16],
                offset,
                leader_epoch: -1,
                metadata: String::new(),
            }],
        };
        self.commit = Some((id, offset));
        self.ask(Some(index), |ticket| Event::OffsetCommit(ticket, request));
    }

    /// The broker moves a position itself.
    fn advance_position(&mut self) {
        let id = PartitionId {
            topic: "t".to_owned(),
            partition: self.rng.random_range(0..3),
        };
        let offset = self.rng.random_range(0..1_000);
        let event = Event::Advance {
            group_id: GROUP.to_owned(),
            id: id.clone(),
            topic_id: [1; 16],
            offset,
        };
        let effects = self.machine.handle(self.now, event);
        if !effects.ops.is_empty() {
            self.offsets.insert(id, offset);
        }
        for op in effects.ops {
            self.keep(op);
        }
    }

    fn crash_client(&mut self, index: usize) {
        for asker in self.waiting.values_mut() {
            if *asker == Some(index) {
                *asker = None;
            }
        }
        let client = &mut self.clients[index];
        client.incarnation += 1;
        client.member_id.clear();
        client.generation = -1;
        client.phase = Phase::Out;
    }

    /// All connections break; what is stored is all that is left.
    fn crash_broker(&mut self) {
        let before = self.machine.group(GROUP).map(records::put_group);
        let rebalancing = self
            .machine
            .group(GROUP)
            .is_some_and(group::Group::is_preparing);
        self.waiting.clear();
        for client in &mut self.clients {
            if client.phase == Phase::Waiting {
                client.phase = Phase::Out;
            }
        }
        self.timers = TimerQueue::default();
        let group_ids: Vec<String> = self.machine.group_ids().map(str::to_owned).collect();
        for group_id in group_ids {
            self.machine.handle(self.now, Event::Unload { group_id });
        }
        self.load();
        let after = self.machine.group(GROUP).map(records::put_group);
        // A rebalance that was not through is begun again by its members; one that never was stored is forgotten.
        if !rebalancing && after.is_some() {
            assert_eq!(before, after, "state after reload equals state before");
        }
    }

    fn load(&mut self) {
        let Some(row) = self.store.get(&(Tree::Groups, records::group_key(GROUP))) else {
            return;
        };
        let prefix = records::offsets_prefix(GROUP);
        let offsets: Vec<(Bytes, Bytes)> = self
            .store
            .iter()
            .filter(|((tree, key), _)| *tree == Tree::Offsets && key.starts_with(&prefix))
            .map(|((_, key), value)| (key.clone().into(), value.clone().into()))
            .collect();
        let effects = self
            .machine
            .load(self.now, GROUP, row, &offsets)
            .expect("what was stored can be loaded");
        for (key, deadline) in effects.timers {
            self.timers.apply(key, deadline);
        }
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now.monotonic_ms + ms;
        let jump = self.rng.random_range(-50..1_000);
        while let Some(next) = self.timers.next_deadline().filter(|at| *at <= until) {
            self.now.monotonic_ms = next.max(self.now.monotonic_ms);
            let key = self.timers.pop_due(next).expect("just seen");
            self.event(|_| Event::Timer(key));
            self.check();
        }
        self.now.monotonic_ms = until;
        // The wall clock goes its own way.
        self.now.wall_ms += ms as i64 + jump;
    }

    fn ask(&mut self, client: Option<usize>, event: impl FnOnce(u64) -> Event<u64>) {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.waiting.insert(ticket, client);
        self.event(event);
        self.commit = None;
        if let Some(index) = client
            && self.waiting.contains_key(&ticket)
        {
            self.clients[index].phase = Phase::Waiting;
        }
    }

    fn event(&mut self, event: impl FnOnce(u64) -> Event<u64>) {
        let effects = self.machine.handle(self.now, event(self.next_ticket));
        let refused = !effects.ops.is_empty() && self.rng.random_range(0..100) == 0;
        if !refused {
            for op in effects.ops {
                self.keep(op);
            }
        }
        for (key, deadline) in effects.timers {
            self.timers.apply(key, deadline);
        }
        for (ticket, reply) in effects.replies {
            self.deliver(ticket, (!refused).then_some(reply));
        }
        if refused {
            let group_id = GROUP.to_owned();
            let effects = self.machine.handle(self.now, Event::Unload { group_id });
            assert!(effects.ops.is_empty());
            for (key, deadline) in effects.timers {
                self.timers.apply(key, deadline);
            }
            assert_eq!(
                self.timers.next_deadline(),
                None,
                "an unloaded group has no timers"
            );
            for (ticket, reply) in effects.replies {
                self.deliver(ticket, Some(reply));
            }
            self.load();
        }
    }

    fn keep(&mut self, op: StoreOp) {
        match op {
            StoreOp::Put { tree, key, value } => {
                self.store.insert((tree, key), value);
            }
            StoreOp::Delete { tree, key } => {
                if tree == Tree::Groups {
                    self.last_generation = 0;
                    self.owners.clear();
                }
                if let Some(id) = records::partition_of_key(GROUP, &key)
                    && tree == Tree::Offsets
                {
                    self.offsets.remove(&id);
                }
                self.store.remove(&(tree, key));
            }
        }
    }

    /// `None`: an error of the broker.
    fn deliver(&mut self, ticket: u64, reply: Option<Reply>) {
        let asker = self.waiting.remove(&ticket);
        let asker = asker.expect("every ticket is answered exactly once");
        if let Some(Reply::OffsetCommit(results)) = &reply
            && results == &[Ok(())]
        {
            let (id, offset) = self.commit.take().expect("commits are answered at once");
            self.offsets.insert(id, offset);
        }
        let Some(index) = asker else { return };
        let owner = self.clients[index].owner(index);
        let client = &mut self.clients[index];
        match reply {
            None => client.phase = Phase::Out,
            Some(Reply::Join(join)) => match join.error {
                None => {
                    assert!(join.generation >= self.last_generation, "generations grow");
                    if join.generation > self.last_generation {
                        self.rebalances += 1;
                    }
                    self.last_generation = join.generation;
                    client.member_id = join.member_id;
                    client.generation = join.generation;
                    let members = join.members.into_iter().map(|m| m.member_id);
                    client.phase = Phase::Joined(if join.skip_assignment {
                        Vec::new()
                    } else {
                        members.collect()
                    });
                }
                Some(error) => {
                    client.phase = Phase::Out;
                    client.member_id = match error {
                        ottla_codec::ResponseError::MemberIdRequired => join.member_id,
                        ottla_codec::ResponseError::RebalanceInProgress
                        | ottla_codec::ResponseError::CoordinatorNotAvailable => {
                            std::mem::take(&mut client.member_id)
                        }
                        _ => String::new(),
                    };
                }
            },
            Some(Reply::Sync(Ok(sync))) => {
                client.phase = Phase::Member;
                for partition in sync.assignment {
                    let held = self
                        .owners
                        .entry((client.generation, partition))
                        .or_insert_with(|| owner.clone());
                    assert_eq!(*held, owner, "partition {partition} is owned twice");
                }
            }
            Some(Reply::Sync(Err(_))) => client.phase = Phase::Out,
            Some(Reply::Heartbeat(Err(error))) => {
                client.phase = Phase::Out;
                if error != ottla_codec::ResponseError::RebalanceInProgress {
                    client.member_id.clear();
                }
            }
            Some(Reply::Leave(_)) => {
                client.phase = Phase::Out;
                client.member_id.clear();
            }
            Some(_) => {}
        }
    }

    fn check(&self) {
        let group = self.machine.group(GROUP);
        let held = group.map_or(0, |g| {
            let awaits = |m: &&member::Member<u64>| m.awaiting != Awaiting::Nothing;
            g.members.values().filter(awaits).count()
        });
        assert_eq!(held, self.waiting.len(), "a ticket is held or answered");

        let committed: BTreeMap<PartitionId, i64> = group
            .into_iter()
            .flat_map(|g| &g.offsets)
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(p, c)| (topic, p, c)))
            .map(|(topic, partition, c)| {
                let id = PartitionId {
                    topic: topic.clone(),
                    partition: *partition,
                };
                (id, c.offset)
            })
            .collect();
        assert_eq!(committed, self.offsets, "offsets move only when asked");

        let Some(group) = group else { return };
        assert!(group.generation >= self.last_generation, "generations grow");
        if let Some(leader) = &group.leader {
            assert!(group.members.contains_key(leader), "the leader is a member");
        }
        for (instance, id) in &group.static_members {
            let member = group.members.get(id).expect("static members are members");
            assert_eq!(member.instance_id.as_ref(), Some(instance));
        }
        assert_eq!(
            group.is_empty(),
            group.members.is_empty() && !group.is_preparing()
        );
    }
}

#[test]
fn random_histories_keep_the_invariants() {
    let mut rebalances = 0;
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            for _ in 0..STEPS {
                simulation.step();
            }
            // Nobody comes any more: everything that waits is answered in the end.
            for _ in 0..50 {
                simulation.advance(400_000);
            }
            assert!(simulation.waiting.is_empty(), "somebody waits for ever");
            assert_eq!(
                simulation.timers.next_deadline(),
                None,
                "timers go with members"
            );
            simulation.rebalances
        });
        match outcome {
            Ok(n) => rebalances += n,
            Err(panic) => {
                eprintln!("seed {seed} failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(
        rebalances > SEEDS as u32 * 10,
        "histories that test nothing"
    );
}
