//! A map whose copies share what did not change: readers keep one while a writer makes the next, and a change does not cost its size.

use std::borrow::Borrow;
use std::sync::Arc;

/// A chunk with more entries is cut in two.
const CHUNK: usize = 128;

/// In the order of the keys. A change copies the chunk that it is in and the list of chunks.
#[derive(Debug, Clone)]
pub(crate) struct SharedMap<K, V> {
    /// In order; none is empty.
    chunks: Arc<Vec<Arc<Chunk<K, V>>>>,
    len: usize,
}

type Chunk<K, V> = Vec<(K, V)>;

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        SharedMap {
            chunks: Arc::default(),
            len: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = find(chunk, key).ok()?;
        Some(&chunk[at].1)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.chunks.iter().flat_map(|c| c.iter().map(|(_, v)| v))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        let number = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(number).map(Arc::make_mut) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return;
        };
        match find(chunk, &key) {
            Ok(at) => chunk[at].1 = value,
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len += 1;
            }
        }
        if chunk.len() > CHUNK {
            let rest = chunk.split_off(chunk.len() / 2);
            chunks.insert(number + 1, Arc::new(rest));
        }
    }

    /// Removes a key. Its value, if it had one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let number = self.chunk_of(key);
        let at = find(self.chunks.get(number)?, key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[number]);
        let (_, value) = chunk.remove(at);
        if chunk.is_empty() {
            chunks.remove(number);
        }
        self.len -= 1;
        Some(value)
    }

    /// The number of the chunk that a key belongs to, if there is any.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let before = |chunk: &Arc<Chunk<K, V>>| {
            let first = chunk.first();
            first.is_some_and(|(first, _)| first.borrow() <= key)
        };
        self.chunks.partition_point(before).saturating_sub(1)
    }
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(k, _)| k.borrow().cmp(key))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_holds_what_any_map_would_and_copies_stay_as_they_were() {
        let mut state = 1_u64;
        let mut roll = move |sides: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % sides
        };
        let mut map = SharedMap::default();
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for step in 0..20_000_u64 {
            let key = roll(3000);
            // It grows first, and comes down to nothing nearly.
            if roll(100) < if step < 10_000 { 80 } else { 20 } {
                map.insert(key, step);
                model.insert(key, step);
            } else {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
            assert_eq!((map.len(), map.get(&key)), (model.len(), model.get(&key)));
            if step % 1000 == 0 {
                kept.push((map.clone(), model.clone()));
            }
        }
        kept.push((map, model));
        for (map, model) in kept {
            assert!(map.values().eq(model.values()));
            assert!(map.chunks.iter().all(|c| (1..=CHUNK).contains(&c.len())));
            assert!((0..3000).all(|key| map.get(&key) == model.get(&key)));
        }
    }

    thread_local! {
        static COPIES: Cell<usize> = const { Cell::new(0) };
    }

    struct Counted;

    impl Clone for Counted {
        fn clone(&self) -> Self {
            COPIES.set(COPIES.get() + 1);
            Counted
        }
    }

    #[test]
    fn a_change_copies_a_chunk_however_large_the_map_is() {
        for size in [100, 10_000] {
            let mut map = SharedMap::default();
            (0..size).for_each(|key| map.insert(key, Counted));
            let before = COPIES.get();
            for key in 0..100 {
                let _reader = map.clone();
                map.insert(size + key, Counted);
                let _reader = map.clone();
                assert!(map.remove(&(key * 7 % size)).is_some());
            }
            let copies = COPIES.get() - before;
            assert!(copies <= 200 * CHUNK, "{copies} of {size}");
        }
    }
}
