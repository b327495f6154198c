//! The last offset of every key of a log's dirty part, in a bounded space (Kafka's `SkimpyOffsetMap`).
//!
//! Of a key 128 bit of a hash are kept: SipHash-1-3 with a key that each map draws for itself, so that nobody who writes records
//! can make two keys meet, and by chance 10 million keys meet once in 10^24 maps. An entry takes 24 bytes. Entries are in 64
//! tables (one, if the bound is small) with open addressing, chosen by the hash; a table at most 9/10 full grows by half, so
//! that while it does, the whole takes a sixty-fourth more and not twice as much, and all that the bound allows is used.
//! So a key takes 27 to 40 bytes as keys come: 10 million 267 to 400 MB.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes that an entry takes.
pub(crate) const ENTRY_BYTES: usize = size_of::<Entry>();
/// A bound below this is for one table.
const SMALL: usize = 1 << 20;
const TABLES: usize = 64;
const FIRST_ENTRIES: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    hasher: SipHasher13,
    tables: Vec<Table>,
    /// The most entries of a table, empty ones included.
    table_max: usize,
}

/// There is no room for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A key on its way into the map: what [`ottla_codec::rewrite`] feeds with the key's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHasher(SipHasher13);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl OffsetMap {
    /// An empty map that takes up to `max_bytes` (at least room for one key), with a random key of its own.
    pub fn new(max_bytes: usize) -> OffsetMap {
        // 122 of its bits are random.
        OffsetMap::with_key(max_bytes, uuid::Uuid::new_v4().as_bytes())
    }

    fn with_key(max_bytes: usize, key: &[u8; 16]) -> OffsetMap {
        let tables = if max_bytes < SMALL { 1 } else { TABLES };
        let table_max = max_bytes / ENTRY_BYTES / tables;
        OffsetMap {
            hasher: SipHasher13::new_with_key(key),
            tables: vec![Table::default(); tables],
            // One entry stays empty, or a search for a key that is not there would not end.
            table_max: table_max.max(2),
        }
    }

    /// A hasher for a key of this map.
    pub fn hasher(&self) -> KeyHasher {
        KeyHasher(self.hasher)
    }

    /// The key's offset is `offset` from now on, at least 0. If there is no room for another key, nothing changes.
    pub fn put(&mut self, key: KeyHasher, offset: i64) -> Result<(), Full> {
        let hash = Hash::of(key);
        let table = hash.table(self.tables.len());
        self.tables[table].put(hash, offset, self.table_max)
    }

    /// The key's offset.
    pub fn get(&self, key: KeyHasher) -> Option<i64> {
        let hash = Hash::of(key);
        self.tables[hash.table(self.tables.len())].get(hash)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.used).sum()
    }

    /// What it takes now, bytes.
    pub fn bytes(&self) -> usize {
        let entries: usize = self.tables.iter().map(|t| t.entries.capacity()).sum();
        entries * ENTRY_BYTES
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash([u64; 2]);

impl Hash {
    fn of(key: KeyHasher) -> Hash {
        let hash = key.0.finish128();
        Hash([hash.h1, hash.h2])
    }

    fn table(self, tables: usize) -> usize {
        self.0[0] as usize % tables
    }

    /// The first place of a table of `entries` that is searched.
    fn place(self, entries: usize) -> usize {
        ((u128::from(self.0[1]) * entries as u128) >> 64) as usize
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: Hash,
    /// Of the next record: 0 where there is none.
    next: i64,
}

const EMPTY: Entry = Entry {
    hash: Hash([0; 2]),
    next: 0,
};

#[derive(Debug, Clone, Default)]
struct Table {
    entries: Vec<Entry>,
    used: usize,
}

impl Table {
    fn get(&self, hash: Hash) -> Option<i64> {
        let at = self.find(hash)?;
        let next = self.entries[at].next;
        (next > 0).then(|| next - 1)
    }

    /// Where `hash` is, or the empty entry where it would be.
    fn find(&self, hash: Hash) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut at = hash.place(self.entries.len());
        while self.entries[at].next > 0 && self.entries[at].hash != hash {
            at += 1;
            if at == self.entries.len() {
                at = 0;
            }
        }
        Some(at)
    }

    fn put(&mut self, hash: Hash, offset: i64, max: usize) -> Result<(), Full> {
        let entry = Entry {
            hash,
            next: offset + 1,
        };
        if let Some(at) = self.find(hash) {
            if self.entries[at].next > 0 {
                self.entries[at] = entry;
                return Ok(());
            }
            if self.used < room(self.entries.len()) {
                self.entries[at] = entry;
                self.used += 1;
                return Ok(());
            }
        }
        self.grow(max)?;
        self.put(hash, offset, max)
    }

    fn grow(&mut self, max: usize) -> Result<(), Full> {
        let len = self.entries.len();
        let more = (len + len / 2).max(FIRST_ENTRIES).min(max);
        if room(more) <= self.used {
            return Err(Full);
        }
        let mut grown = Table {
            entries: vec![EMPTY; more],
            used: self.used,
        };
        for entry in self.entries.drain(..).filter(|entry| entry.next > 0) {
            let at = grown.find(entry.hash).unwrap_or(0);
            grown.entries[at] = entry;
        }
        *self = grown;
        Ok(())
    }
}

/// How many keys a table of `entries` holds.
fn room(entries: usize) -> usize {
    (entries - entries.div_ceil(10)).min(entries.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn hashed(map: &OffsetMap, key: &[u8]) -> KeyHasher {
        let mut hasher = map.hasher();
        hasher.write(key);
        hasher
    }

    proptest! {
        #[test]
        fn it_knows_the_last_offset_of_each_key_that_it_took(
            puts in prop::collection::vec((0_u16..300, 0_i64..1 << 40), 0..600), bound in 0_usize..8000,
        ) {
            let mut map = OffsetMap::new(bound);
            let mut model = HashMap::new();
            let mut full = false;
            for (key, offset) in puts {
                let hash = hashed(&map, &key.to_be_bytes());
                match map.put(hash, offset) {
                    Ok(()) => drop(model.insert(key, offset)),
                    Err(Full) => {
                        prop_assert!(!model.contains_key(&key), "one that is there has room");
                        full = true;
                    }
                }
                prop_assert!(map.bytes() <= bound.max(2 * ENTRY_BYTES));
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(full || model.len() <= room(bound.max(48) / ENTRY_BYTES));
            prop_assert!(!full || model.len() == room(bound.max(48) / ENTRY_BYTES));
            for key in 0..300_u16 {
                prop_assert_eq!(map.get(hashed(&map, &key.to_be_bytes())), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn it_fills_its_bound_and_takes_no_more_on_the_way() {
        let bound = 3 << 20;
        let mut map = OffsetMap::with_key(bound, &[7; 16]);
        let mut keys = 0_u64;
        let mut most_per_key = 0;
        loop {
            let hash = hashed(&map, &keys.to_be_bytes());
            if map.put(hash, 1).is_err() {
                break;
            }
            keys += 1;
            // One table more than the rest while it grows.
            assert!(map.bytes() <= bound);
            if keys > 10_000 {
                most_per_key = most_per_key.max(map.bytes() as u64 / keys);
            }
        }
        assert_eq!(map.len() as u64, keys);
        let share = keys as usize * ENTRY_BYTES * 100 / bound;
        assert!((82..=90).contains(&share), "{share}");
        assert!(most_per_key <= 40, "{most_per_key}");
        for key in 0..keys {
            assert_eq!(map.get(hashed(&map, &key.to_be_bytes())), Some(1));
        }
    }

    #[test]
    fn a_key_in_pieces_is_the_key_and_each_map_has_its_own_hash() {
        let mut map = OffsetMap::new(1 << 10);
        map.put(hashed(&map, b"key"), 5).unwrap();
        let mut pieces = map.hasher();
        for piece in [&b"k"[..], b"", b"ey"] {
            pieces.write(piece);
        }
        assert_eq!(map.get(pieces), Some(5));
        let other = OffsetMap::new(1 << 10);
        assert_ne!(
            Hash::of(hashed(&map, b"key")),
            Hash::of(hashed(&other, b"key"))
        );
    }
}
