//! What a member of a consumer group is assigned: the front of the consumer protocol's assignment, the same in all its versions.

use super::event::PartitionId;

/// Version (i16), then by topic (i32 count, each an i16 length and UTF-8) the partitions (i32 count, each an i32); what follows is the
/// assignor's own. `None` if it cannot be read; an empty assignment has no partitions.
pub(super) fn parse(assignment: &[u8]) -> Option<Vec<PartitionId>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let (version, mut rest) = assignment.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    // Grows with what is there: counts are only claims.
    let mut partitions = Vec::new();
    for _ in 0..count(&mut rest)? {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (topic, after) = after.split_at_checked(len)?;
        let topic = std::str::from_utf8(topic).ok()?;
        rest = after;
        for _ in 0..count(&mut rest)? {
            let (partition, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            partitions.push(PartitionId {
                topic: topic.to_owned(),
                partition: i32::from_be_bytes(*partition),
            });
        }
    }
    Some(partitions)
}

fn count(rest: &mut &[u8]) -> Option<i32> {
    let (count, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(i32::from_be_bytes(*count).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_and_what_follows_is_ignored() {
        let bytes = b"\x00\x03\x00\x00\x00\x02\x00\x01a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07\x00\x02bc\x00\x00\x00\x00\xff\xff";
        let read = parse(bytes).expect("allowed");
        let read: Vec<_> = read.iter().map(|p| (&*p.topic, p.partition)).collect();
        assert_eq!(read, [("a", 0), ("a", 7)]);
        assert_eq!(parse(b""), Some(Vec::new()));
    }

    #[test]
    fn malformed_assignments_are_unknown() {
        let cases: [&[u8]; 5] = [
            b"\x00",
            b"\xff\xff\x00\x00\x00\x00",
            b"\x00\x01\x7f\xff\xff\xff",
            b"\x00\x01\x00\x00\x00\x01\x00\x01a\x7f\xff\xff\xff\x00\x00\x00\x00",
            b"\x00\x01\x00\x00\x00\x01\x00\x05a",
        ];
        for case in cases {
            assert_eq!(parse(case), None, "{case:?}");
        }
    }
}
