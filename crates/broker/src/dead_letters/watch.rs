//! Who owns which partition, and what it was served of it: where fetches, which carry no group, meet the groups.
//!
//! A fetch is its owner's if connection, or client id and host with the position, say so. The first fetch that does binds
//! the owner to its connection; from then on a fetch costs one look into a map. Written under the mutex of the group service,
//! read by fetches.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ottla_codec::StrBytes;
use ottla_dlq::TopicPartition;
use ottla_dlq::event::{Gate, MemberAssignment, Served};
use ottla_storage::TopicId;
use parking_lot::{Mutex, RwLock};

use crate::context::ConnectionInfo;

/// A partition, as fetches name it.
pub(crate) type Key = (TopicId, i32);

/// Not known, or none yet.
const NONE: i64 = -1;
/// No connection.
const UNBOUND: u64 = u64::MAX;

/// Hashes a [`Key`]. Ids are random and the broker's own, so that mixing them is enough: this is done with every answered fetch.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Who fetches.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// The connection.
    pub connection: Arc<ConnectionInfo>,
    /// The client's name for itself.
    pub client_id: Option<StrBytes>,
}

impl Reader {
    fn is(&self, owner: &Owner) -> bool {
        self.client_id.as_deref().unwrap_or_default() == owner.client_id
            && Some(self.connection.peer.ip()) == owner.host
    }
}

/// A member that owns a partition.
#[derive(Debug)]
pub(crate) struct Owner {
    pub group: String,
    pub at: TopicPartition,
    pub member_id: String,
    client_id: String,
    host: Option<IpAddr>,
    key: Key,
    /// The connection that it fetches over.
    connection: AtomicU64,
    alive: Mutex<Weak<ConnectionInfo>>,
    /// Where it will begin to read; `NONE`: anywhere.
    expected: AtomicI64,
    first: AtomicI64,
    next: AtomicI64,
    ambiguous: AtomicBool,
    gated: AtomicBool,
    gate: Mutex<Option<Gate>>,
    /// What it was told of waiting at its gate: one bit for each kind.
    waits: AtomicU8,
}

impl Owner {
    /// Its gate, if it has one.
    pub fn gate(&self) -> Option<Gate> {
        if !self.gated.load(Ordering::Acquire) {
            return None;
        }
        *self.gate.lock()
    }

    /// Whether it is the first time since its gate was set that it waits there in this way.
    pub fn begins_to_wait(&self, at_log_end: bool) -> bool {
        let bit = 1 << u8::from(at_log_end);
        self.waits.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    fn set_gate(&self, gate: Option<Gate>) {
        let mut held = self.gate.lock();
        *held = gate;
        self.gated.store(gate.is_some(), Ordering::Release);
        self.waits.store(0, Ordering::Release);
    }

    /// Its connection is there and not this one.
    fn reads_elsewhere(&self) -> bool {
        self.connection.load(Ordering::Acquire) != UNBOUND && self.alive.lock().strong_count() > 0
    }

    fn bind(&self, reader: &Reader) {
        *self.alive.lock() = Arc::downgrade(&reader.connection);
        self.connection
            .store(reader.connection.id, Ordering::Release);
    }

    /// Whether a first fetch from `offset` is what this owner would send.
    fn expects(&self, offset: i64) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let expected = self.expected.load(Ordering::Relaxed);
        expected == NONE || expected == offset || next != NONE && next == offset
    }

    fn note(&self, first: i64, next: i64) {
        if self.first.load(Ordering::Relaxed) == NONE {
            let _ = self
                .first
                .compare_exchange(NONE, first, Ordering::AcqRel, Ordering::Relaxed);
        }
        if self.next.load(Ordering::Relaxed) < next {
            self.next.fetch_max(next, Ordering::AcqRel);
        }
    }

    fn served(&self) -> Option<Served> {
        let first = self.first.load(Ordering::Acquire);
        let ambiguous = self.ambiguous.load(Ordering::Acquire);
        (first != NONE).then(|| Served {
            first,
            next: self.next.load(Ordering::Acquire),
            ambiguous,
        })
    }
}

/// All owners and gates.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// Owners that there are.
    owners: AtomicUsize,
    /// Owners with a gate.
    gates: AtomicUsize,
    /// Grows with each change of a gate.
    changes: AtomicU64,
    by_partition: RwLock<HashMap<Key, Vec<Arc<Owner>>, BuildHasherDefault<KeyHasher>>>,
    groups: Mutex<HashMap<String, Watched>>,
}

/// A group's part. Gates stay while owners change.
#[derive(Debug, Default)]
struct Watched {
    owners: BTreeMap<(String, TopicPartition), Arc<Owner>>,
    gates: BTreeMap<TopicPartition, Gate>,
}

impl Watches {
    /// Whether anybody is watched at all.
    pub fn any(&self) -> bool {
        self.owners.load(Ordering::Acquire) > 0
    }

    /// Whether anything is withheld from anybody.
    pub fn any_gate(&self) -> bool {
        self.gates.load(Ordering::Acquire) > 0
    }

    /// Another number after each change of a gate.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes that `reader`, which asked for `first`, is answered with records up to `next`.
    pub fn note(&self, key: &Key, reader: &Reader, first: i64, next: i64) {
        let map = self.by_partition.read();
        if let Some(owners) = map.get(key)
            && let Some(owner) = find(owners, reader, first)
        {
            owner.note(first, next);
        }
    }

    /// The owner that fetches from `offset`, if it has a gate.
    pub fn gated(&self, key: &Key, reader: &Reader, offset: i64) -> Option<(Arc<Owner>, Gate)> {
        let map = self.by_partition.read();
        let owner = find(map.get(key)?, reader, offset)?;
        owner.gate().map(|gate| (owner.clone(), gate))
    }

    /// A position was answered to OffsetFetch: the owner's first fetch will be from there. Returns the owner's member id. A member is known
    /// by its id, or (before v9) by client id and address.
    pub fn position_fetched(
        &self,
        group: &str,
        at: &TopicPartition,
        member_id: &str,
        reader: &Reader,
        offset: Option<i64>,
    ) -> Option<String> {
        let groups = self.groups.lock();
        let owner = groups.get(group)?.owners.values().find(|o| {
            o.at == *at
                && if member_id.is_empty() {
                    reader.is(o)
                } else {
                    o.member_id == member_id
                }
        })?;
        owner
            .expected
            .store(offset.unwrap_or(NONE), Ordering::Relaxed);
        Some(owner.member_id.clone())
    }

    /// Whether this member owns the partition.
    pub fn owns(&self, group: &str, member_id: &str, at: &TopicPartition) -> bool {
        let groups = self.groups.lock();
        let key = (member_id.to_owned(), at.clone());
        groups
            .get(group)
            .is_some_and(|g| g.owners.contains_key(&key))
    }

    /// A generation: those who own the same as before go on, the others begin.
    pub fn assigned(
        &self,
        group: &str,
        members: &[MemberAssignment],
        topic: impl Fn(&str) -> Option<TopicId>,
    ) {
        let mut groups = self.groups.lock();
        let watched = groups.entry(group.to_owned()).or_default();
        let mut before = std::mem::take(&mut watched.owners);
        for member in members {
            for at in &member.partitions {
                let Some(id) = topic(&at.topic) else { continue };
                let key = (member.member_id.clone(), at.clone());
                let stays = before.remove(&key).filter(|o| o.key.0 == id);
                let owner = stays.unwrap_or_else(|| {
                    let owner = begin(group, member, at, (id, at.partition));
                    self.add(&owner);
                    self.change_gate(&owner, watched.gates.get(at).copied());
                    owner
                });
                watched.owners.insert(key, owner);
            }
        }
        for owner in before.into_values() {
            self.remove(&owner);
        }
        if watched.owners.is_empty() && watched.gates.is_empty() {
            groups.remove(group);
        }
    }

    /// A member is gone: what it was served.
    pub fn gone(&self, group: &str, member_id: &str) -> Vec<(TopicPartition, Served)> {
        let mut groups = self.groups.lock();
        let Some(watched) = groups.get_mut(group) else {
            return Vec::new();
        };
        let mut served = Vec::new();
        watched.owners.retain(|(member, at), owner| {
            if member != member_id {
                return true;
            }
            served.extend(owner.served().map(|s| (at.clone(), s)));
            self.remove(owner);
            false
        });
        served
    }

    /// Sets or opens a gate. Returns the partitions whose waiting fetches must look again.
    pub fn set_gate(&self, group: &str, at: &TopicPartition, gate: Option<Gate>) -> Vec<Key> {
        let mut groups = self.groups.lock();
        let watched = groups.entry(group.to_owned()).or_default();
        match gate {
            Some(gate) => watched.gates.insert(at.clone(), gate),
            None => watched.gates.remove(at),
        };
        let owners = watched.owners.values().filter(|o| o.at == *at);
        let keys = owners.map(|owner| {
            self.change_gate(owner, gate);
            owner.key
        });
        let keys = keys.collect();
        self.changes.fetch_add(1, Ordering::AcqRel);
        keys
    }

    /// Nothing is known of the group any more. Its gates are opened by the engine before.
    pub fn forget(&self, group: &str) {
        let Some(watched) = self.groups.lock().remove(group) else {
            return;
        };
        for owner in watched.owners.values() {
            self.remove(owner);
        }
    }

    /// The topic is gone.
    pub fn topic_deleted(&self, topic: &str) {
        let mut groups = self.groups.lock();
        for watched in groups.values_mut() {
            watched.gates.retain(|at, _| at.topic != topic);
            watched.owners.retain(|(_, at), owner| {
                let stays = at.topic != topic;
                if !stays {
                    self.remove(owner);
                }
                stays
            });
        }
    }

    fn add(&self, owner: &Arc<Owner>) {
        let mut map = self.by_partition.write();
        map.entry(owner.key).or_default().push(owner.clone());
        self.owners.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self, owner: &Arc<Owner>) {
        self.change_gate(owner, None);
        let mut map = self.by_partition.write();
        if let Some(owners) = map.get_mut(&owner.key) {
            owners.retain(|o| !Arc::ptr_eq(o, owner));
            if owners.is_empty() {
                map.remove(&owner.key);
            }
        }
        self.owners.fetch_sub(1, Ordering::AcqRel);
    }

    fn change_gate(&self, owner: &Owner, gate: Option<Gate>) {
        let before = owner.gated.load(Ordering::Acquire);
        owner.set_gate(gate);
        match (before, gate.is_some()) {
            (false, true) => _ = self.gates.fetch_add(1, Ordering::AcqRel),
            (true, false) => _ = self.gates.fetch_sub(1, Ordering::AcqRel),
            _ => {}
        }
    }
}

fn begin(group: &str, member: &MemberAssignment, at: &TopicPartition, key: Key) -> Arc<Owner> {
    Arc::new(Owner {
        group: group.to_owned(),
        at: at.clone(),
        member_id: member.member_id.clone(),
        client_id: member.client_id.clone(),
        host: member.client_host.trim_start_matches('/').parse().ok(),
        key,
        connection: AtomicU64::new(UNBOUND),
        alive: Mutex::default(),
        expected: AtomicI64::new(NONE),
        first: AtomicI64::new(NONE),
        next: AtomicI64::new(NONE),
        ambiguous: AtomicBool::new(false),
        gated: AtomicBool::new(false),
        gate: Mutex::new(None),
        waits: AtomicU8::new(0),
    })
}

/// Whose fetch it is. One that could be several owners' is nobody's, and makes what they are served ambiguous.
fn find<'a>(owners: &'a [Arc<Owner>], reader: &Reader, offset: i64) -> Option<&'a Arc<Owner>> {
    let id = reader.connection.id;
    let bound = |o: &&Arc<Owner>| o.connection.load(Ordering::Acquire) == id;
    if let Some(owner) = owners.iter().find(bound) {
        return Some(owner);
    }
    let mut candidates = owners
        .iter()
        .filter(|o| reader.is(o) && !o.reads_elsewhere() && o.expects(offset));
    let owner = candidates.next()?;
    let mut others = candidates.peekable();
    if others.peek().is_none() {
        owner.bind(reader);
        return Some(owner);
    }
    for one in others.chain([owner]) {
        one.ambiguous.store(true, Ordering::Release);
        // Something was read, though it is not known by whom.
        one.note(offset, offset);
    }
    None
}

#[cfg(test)]
mod tests;
