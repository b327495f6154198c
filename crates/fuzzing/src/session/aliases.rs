//! Names for what the broker makes up: a recorded request cannot know the ids that are given when it is played.

use std::collections::HashMap;

use ottla_broker::simulated::Simulated;

/// The session id of recorded fetches that go on with the last session of their connection.
pub const FETCH_SESSION: i32 = 0x05e5_510d;

/// What stands for the subscription that the last client was told to push metrics for.
pub(super) const TELEMETRY_SUBSCRIPTION: i32 = 0x05e5_7e1e;

/// What stands for the producer id that was given last.
pub(super) const PRODUCER_ID: i64 = 0x05e5_4a5d_05e5_4a5d;

/// What stands for the id of the topic `name`.
pub fn topic_id(name: &str) -> [u8; 16] {
    let mut id = [0; 16];
    for (seed, part) in (1..).zip(id.chunks_exact_mut(4)) {
        part.copy_from_slice(&crc32c::crc32c_append(seed, name.as_bytes()).to_be_bytes());
    }
    id
}

/// What stands for the random part of the member id that was given as the `n`th, from 0.
pub fn member_id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// The random part of a member id, a UUID's text; `None` for an id that is shorter.
pub(super) fn random_part(member_id: &str) -> Option<&str> {
    const UUID_LEN: usize = 36;
    member_id.get(member_id.len().checked_sub(UUID_LEN)?..)
}

/// What was given so far.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The random parts of member ids, in their order.
    members: Vec<String>,
    /// The last fetch session of each connection.
    fetch_sessions: HashMap<u8, i32>,
    /// The last subscription of client metrics.
    subscription: Option<i32>,
    /// The last producer id.
    producer: Option<i64>,
}

impl Aliases {
    /// A JoinGroup was answered with this member id.
    pub fn joined(&mut self, member_id: &str) {
        if let Some(random) = random_part(member_id)
            && !self.members.iter().any(|known| known == random)
        {
            self.members.push(random.to_owned());
        }
    }

    /// A Fetch was answered with this session.
    pub fn fetched(&mut self, connection: u8, session: i32) {
        self.fetch_sessions.insert(connection, session);
    }

    /// A GetTelemetrySubscriptions was answered with this one.
    pub fn subscribed(&mut self, subscription: i32) {
        self.subscription = Some(subscription);
    }

    /// An InitProducerId was answered with this one.
    pub fn produces(&mut self, producer_id: i64) {
        self.producer = Some(producer_id);
    }

    /// The frame with what was given for what stands for it.
    pub fn resolve(&self, broker: &Simulated, connection: u8, frame: &mut [u8]) {
        for topic in broker.store().topics().iter() {
            replace(frame, &topic_id(&topic.name), topic.id.as_bytes());
        }
        for (n, given) in self.members.iter().enumerate() {
            replace(frame, member_id(n).as_bytes(), given.as_bytes());
        }
        if let Some(session) = self.fetch_sessions.get(&connection) {
            replace(frame, &FETCH_SESSION.to_be_bytes(), &session.to_be_bytes());
        }
        if let Some(subscription) = self.subscription {
            let alias = TELEMETRY_SUBSCRIPTION.to_be_bytes();
            replace(frame, &alias, &subscription.to_be_bytes());
        }
        if let Some(producer) = self.producer {
            replace(frame, &PRODUCER_ID.to_be_bytes(), &producer.to_be_bytes());
        }
    }
}

pub(super) fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
        let start = at + found;
        bytes[start..start + from.len()].copy_from_slice(to);
        at = start + from.len();
    }
}
