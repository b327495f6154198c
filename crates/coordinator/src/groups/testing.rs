//! Drives the machine by hand: a clock, timers, and the answers by ticket.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::*;
use crate::timers::TimerQueue;
use crate::{Now, StoreOp, Tree};

pub(super) const GROUP: &str = "g";

/// A machine with what surrounds it.
pub(super) struct Driver {
    pub machine: GroupCoordinator<u32>,
    pub replies: BTreeMap<u32, Reply>,
    pub observed: Vec<Observation>,
    pub store: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    pub now: Now,
    timers: TimerQueue<TimerKey>,
    tickets: u32,
}

impl Driver {
    /// Without the initial rebalance delay.
    pub fn new() -> Driver {
        Driver::with(GroupConfig {
            initial_rebalance_delay_ms: 0,
            ..GroupConfig::default()
        })
    }

    pub fn with(config: GroupConfig) -> Driver {
        Driver {
            machine: GroupCoordinator::new(config),
            replies: BTreeMap::new(),
            observed: Vec::new(),
            store: BTreeMap::new(),
            now: Now {
                monotonic_ms: 0,
                wall_ms: 1_000_000,
            },
            timers: TimerQueue::default(),
            tickets: 0,
        }
    }

    pub fn send(&mut self, event: impl FnOnce(u32) -> Event<u32>) -> u32 {
        self.tickets += 1;
        let effects = self.machine.handle(self.now, event(self.tickets));
        self.apply(effects);
        self.tickets
    }

    fn apply(&mut self, effects: GroupEffects<u32>) {
        for op in effects.ops {
            match op {
                StoreOp::Put { tree, key, value } => self.store.insert((tree, key), value),
                StoreOp::Delete { tree, key } => self.store.remove(&(tree, key)),
            };
        }
        for (key, deadline) in effects.timers {
            self.timers.apply(key, deadline);
        }
        self.replies.extend(effects.replies);
        self.observed.extend(effects.observed);
    }

    pub fn advance(&mut self, ms: u64) {
        let until = self.now.monotonic_ms + ms;
        while let Some(at) = self.timers.next_deadline().filter(|at| *at <= until) {
            self.now.wall_ms += (at - self.now.monotonic_ms) as i64;
            self.now.monotonic_ms = at;
            let key = self.timers.pop_due(at).expect("just seen");
            let effects = self.machine.handle(self.now, Event::Timer(key));
            self.apply(effects);
        }
        self.now.wall_ms += (until - self.now.monotonic_ms) as i64;
        self.now.monotonic_ms = until;
    }

    /// Forgets all that is not stored, and loads the group again.
    pub fn restart(&mut self) {
        self.machine = GroupCoordinator::new(GroupConfig::default());
        self.timers = TimerQueue::default();
        let key = (Tree::Groups, records::group_key(GROUP));
        let row = self.store.get(&key).expect("the group is stored").clone();
        let offsets: Vec<(Bytes, Bytes)> = self
            .store
            .iter()
            .filter(|((tree, _), _)| *tree == Tree::Offsets)
            .map(|((_, key), value)| (key.clone().into(), value.clone().into()))
            .collect();
        let loaded = self.machine.load(self.now, GROUP, &row, &offsets);
        self.apply(loaded.expect("stored rows can be read"));
    }

    pub fn state(&self) -> GroupState {
        self.machine
            .describe(GROUP)
            .map_or(GroupState::Dead, |g| g.state)
    }

    pub fn asked(&mut self) {
        let group_id = GROUP.to_owned();
        self.send(|_| Event::Asked { group_id });
    }

    pub fn join(&mut self, request: JoinRequest) -> u32 {
        self.send(|ticket| Event::Join(ticket, request))
    }

    pub fn join_reply(&self, ticket: u32) -> &JoinReply {
        match self.replies.get(&ticket) {
            Some(Reply::Join(reply)) => reply,
            other => panic!("no answer to the join: {other:?}"),
        }
    }

    pub fn sync(&mut self, generation: i32, member_id: &str, to: &[(&str, &'static str)]) -> u32 {
        let request = SyncRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: to
                .iter()
                .map(|(id, assignment)| ((*id).to_owned(), Bytes::from(*assignment)))
                .collect(),
        };
        self.send(|ticket| Event::Sync(ticket, request))
    }

    /// The assignment that a SyncGroup was answered with.
    pub fn assignment(&self, ticket: u32) -> Result<&[u8], ResponseError> {
        match self.replies.get(&ticket) {
            Some(Reply::Sync(Ok(reply))) => Ok(&reply.assignment),
            Some(Reply::Sync(Err(error))) => Err(*error),
            other => panic!("no answer to the sync: {other:?}"),
        }
    }

    pub fn heartbeat(&mut self, generation: i32, member_id: &str) -> Result<(), ResponseError> {
        self.heartbeat_as(generation, member_id, None)
    }

    pub fn heartbeat_as(
        &mut self,
        generation: i32,
        member_id: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let ticket = self.send(|ticket| Event::Heartbeat {
            ticket,
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: instance.map(str::to_owned),
        });
        match self.replies.remove(&ticket) {
            Some(Reply::Heartbeat(result)) => result,
            other => panic!("no answer to the heartbeat: {other:?}"),
        }
    }

    pub fn commit(
        &mut self,
        generation: i32,
        member_id: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), ResponseError> {
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            retention_ms: None,
            group_not_found_error: true,
            partitions: vec![OffsetCommitPartition {
                id: PartitionId {
                    topic: topic.to_owned(),
                    partition: 0,
                },
                topic_id: [7; 16],
                offset,
                leader_epoch: 3,
                metadata: "note".to_owned(),
            }],
        };
        let ticket = self.send(|ticket| Event::OffsetCommit(ticket, request));
        match self.replies.remove(&ticket) {
            Some(Reply::OffsetCommit(results)) => results[0],
            other => panic!("no answer to the commit: {other:?}"),
        }
    }

    pub fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveReply {
        let members = members.iter().map(|(id, instance)| LeaveMember {
            member_id: (*id).to_owned(),
            instance_id: instance.map(str::to_owned),
        });
        let members = members.collect();
        let ticket = self.send(|ticket| Event::Leave {
            ticket,
            group_id: GROUP.to_owned(),
            members,
        });
        match self.replies.remove(&ticket) {
            Some(Reply::Leave(result)) => result,
            other => panic!("no answer to the leave: {other:?}"),
        }
    }

    /// A stable group of one dynamic member; returns its id. Generation 1.
    pub fn stable_with_one(&mut self) -> String {
        let ticket = self.join(member("a"));
        let id = self.join_reply(ticket).member_id.clone();
        let ticket = self.sync(1, &id, &[(&id, "all")]);
        assert_eq!(self.assignment(ticket), Ok(b"all".as_slice()));
        id
    }

    /// A stable group of two dynamic members, the leader first. Generation 2.
    pub fn stable_with_two(&mut self) -> (String, String) {
        let leader = self.stable_with_one();
        let second = self.join(member("b"));
        let first = self.join(rejoin("a", &leader));
        let follower = self.join_reply(second).member_id.clone();
        assert_eq!(self.join_reply(first).generation, 2);
        self.sync(2, &leader, &[(&leader, "x"), (&follower, "y")]);
        let ticket = self.sync(2, &follower, &[]);
        assert_eq!(self.assignment(ticket), Ok(b"y".as_slice()));
        (leader, follower)
    }
}

/// A new consumer that reads topic `t`; sessions of 10 s, rebalances of 30 s.
pub(super) fn member(client: &str) -> JoinRequest {
    JoinRequest {
        group_id: GROUP.to_owned(),
        member_id: String::new(),
        instance_id: None,
        client_id: client.to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        require_known_member_id: false,
        supports_skip_assignment: true,
        new_member_suffix: "uuid".to_owned(),
    }
}

pub(super) fn rejoin(client: &str, member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        ..member(client)
    }
}

pub(super) fn static_member(instance: &str, suffix: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.to_owned()),
        new_member_suffix: suffix.to_owned(),
        ..member(instance)
    }
}

pub(super) fn protocols(names: &[&str]) -> Vec<member::Protocol> {
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t");
    names
        .iter()
        .map(|name| member::Protocol {
            name: (*name).to_owned(),
            metadata: subscription.clone(),
        })
        .collect()
}
