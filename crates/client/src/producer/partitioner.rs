//! Which partition a record goes to: by murmur2 of its key, as the Java client does, so that records of a key meet
//! whichever client wrote them; without a key, one partition for a whole batch (KIP-480).

use std::collections::HashMap;

#[derive(Debug)]
struct Topic {
    count: i32,
    /// The partition of records without a key.
    sticky: i32,
}

/// Chooses partitions.
#[derive(Debug, Default)]
pub(super) struct Partitioner {
    topics: HashMap<String, Topic>,
}

impl Partitioner {
    /// The number of a topic's partitions, if it was learnt.
    pub(super) fn count(&self, topic: &str) -> Option<i32> {
        self.topics.get(topic).map(|topic| topic.count)
    }

    pub(super) fn learn(&mut self, topic: &str, count: i32) {
        self.topics
            .insert(topic.to_owned(), Topic { count, sticky: 0 });
    }

    /// The partition of a record among `count`.
    pub(super) fn choose(&self, topic: &str, key: Option<&[u8]>, count: i32) -> i32 {
        match key {
            Some(key) => partition_of_key(key, count),
            None => self.topics.get(topic).map_or(0, |topic| topic.sticky),
        }
    }

    /// Moves records without a key on to the next partition.
    pub(super) fn batch_done(&mut self, topic: &str) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.sticky = (topic.sticky + 1) % topic.count;
        }
    }
}

/// The partition of a key among `count`, which is above 0, as Kafka's clients choose it.
pub fn partition_of_key(key: &[u8], count: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    i32::try_from(positive).expect("the sign bit was cleared") % count
}

/// MurmurHash2, 32 bits, little-endian, with the seed of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut tail = [0; 4];
        tail[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(tail)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the Java client's own test holds its hash against.
    #[test]
    fn keys_hash_as_in_the_java_client() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn records_without_a_key_stay_together_until_their_batch_is_done() {
        let mut partitioner = Partitioner::default();
        partitioner.learn("t", 2);
        let chosen = partitioner.choose("t", None, 2);
        assert_eq!(partitioner.choose("t", None, 2), chosen);
        partitioner.batch_done("t");
        assert_ne!(partitioner.choose("t", None, 2), chosen);
    }
}
