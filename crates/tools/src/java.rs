//! What Java shows in a way of its own: the order of hash maps, UUIDs, the spread of lists.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use uuid::Uuid;

use crate::errors::Failure;

/// Puts `items` into the order in which a `HashMap` with these keys, filled in the order at hand, is iterated over. `capacity`
/// is what the map was made for; 16 where nobody said.
pub(crate) fn hash_order<T>(items: &mut [T], capacity: usize, key: impl Fn(&T) -> String) {
    hash_order_of(items, capacity, |item| hash_code(&key(item)));
}

/// The same for keys with these hash codes.
pub(crate) fn hash_order_of<T>(items: &mut [T], capacity: usize, hash: impl Fn(&T) -> i32) {
    let mut buckets = capacity.max(1).next_power_of_two();
    // A map grows beyond three quarters.
    while items.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    items.sort_by_key(|item| spread(hash(item)) as usize & (buckets - 1));
}

/// What a `HashMap` is made for by default.
pub(crate) const DEFAULT_CAPACITY: usize = 16;

/// `String.hashCode`, over UTF-16.
pub(crate) fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// The hash code of Kafka's `TopicPartition`.
pub(crate) fn partition_hash(topic: &str, partition: i32) -> i32 {
    31i32
        .wrapping_add(partition)
        .wrapping_mul(31)
        .wrapping_add(hash_code(topic))
}

fn spread(hash: i32) -> u32 {
    let hash = hash.cast_unsigned();
    hash ^ (hash >> 16)
}

/// As Java decodes it: bits that no byte has room for are dropped.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// A UUID as Kafka shows it: 22 characters of base64.
pub(crate) fn show_uuid(id: Uuid) -> String {
    BASE64.encode(id.as_bytes())
}

/// Reads such a UUID.
pub(crate) fn parse_uuid(text: &str) -> Result<Uuid, Failure> {
    if text.len() > 24 {
        let start: String = text.chars().take(24).collect();
        return Err(Failure::new(format!(
            "Input string with prefix `{start}` is too long to be decoded as a base64 UUID"
        )));
    }
    let bytes = BASE64
        .decode(text.trim_end_matches('='))
        .map_err(|_| Failure::new(format!("Input string `{text}` is no base64 UUID")))?;
    Uuid::from_slice(&bytes).map_err(|_| {
        Failure::new(format!(
            "Input string `{text}` decoded as {} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
            bytes.len()
        ))
    })
}

/// `1,2,3`.
pub(crate) fn join<T: ToString>(items: &[T], separator: &str) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_ordered_as_a_hash_map_of_java_shows_them() {
        // As `new HashMap<>(3)` and `new HashMap<>()` of Java 17 show them.
        let mut topics = ["a", "b.y", "b_x"];
        hash_order(&mut topics, 3, |topic| (*topic).to_owned());
        assert_eq!(topics, ["b.y", "a", "b_x"]);
        let mut configs = ["retention.ms", "cleanup.policy"];
        hash_order(&mut configs, DEFAULT_CAPACITY, |name| (*name).to_owned());
        assert_eq!(configs, ["cleanup.policy", "retention.ms"]);
        assert_eq!(hash_code("retention.ms"), -1339220362);
    }

    #[test]
    fn a_uuid_is_shown_and_read() {
        let id = Uuid::from_u128(1);
        assert_eq!(show_uuid(id), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(parse_uuid("AAAAAAAAAAAAAAAAAAAAAQ"), Ok(id));
        assert_eq!(parse_uuid("AAAAAAAAAAAAAAAAAAAAAQ=="), Ok(id));
        for wrong in ["", "abc", "a+b", &"A".repeat(25), "ü"] {
            assert!(parse_uuid(wrong).is_err(), "{wrong}");
        }
    }
}
