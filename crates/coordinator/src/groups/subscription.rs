//! What members of a consumer group subscribe to: the front of the consumer protocol's subscription, the same in all its versions.

use std::collections::BTreeSet;

use super::group::Group;

/// The topics that any member subscribes to; `None` if that cannot be known.
pub(super) fn subscribed_topics<T>(group: &Group<T>) -> Option<BTreeSet<String>> {
    if !group.uses_consumer_protocol() {
        return None;
    }
    if group.members.is_empty() {
        return Some(BTreeSet::new());
    }
    let protocol = group.protocol_name.as_deref()?;
    let mut topics = BTreeSet::new();
    for member in group.members.values() {
        topics.extend(parse(&member.metadata(Some(protocol)))?);
    }
    Some(topics)
}

/// Version (i16), then the topics (i32 count, each an i16 length and UTF-8); later fields are of no interest.
fn parse(metadata: &[u8]) -> Option<Vec<String>> {
    let (version, mut rest) = metadata.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    // Grows with what is there: the count is only a claim.
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(*count).max(0) {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (topic, after) = after.split_at_checked(len)?;
        topics.push(std::str::from_utf8(topic).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_what_follows_is_ignored() {
        let bytes = b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff\x00\x00\x00\x00";
        assert_eq!(parse(bytes), Some(vec!["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn malformed_subscriptions_are_unknown() {
        let cases: [&[u8]; 5] = [
            b"",
            b"\x00\x01\x00\x00",
            b"\x00\x01\x7f\xff\xff\xff",
            b"\x00\x01\x00\x00\x00\x01\xff\xffa",
            b"\x00\x01\x00\x00\x00\x01\x00\x05a",
        ];
        for case in cases {
            assert_eq!(parse(case), None, "{case:?}");
        }
    }
}
