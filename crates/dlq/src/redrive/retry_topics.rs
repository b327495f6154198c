//! Names of retry topics: `<topic>.<group>.retry`.

/// How names of retry topics end.
pub const SUFFIX: &str = ".retry";
/// The longest name of a topic.
const MAX_NAME: usize = 249;

/// The retry topic of `group` for `topic`.
///
/// A group's id may hold what a topic's name may not, and be longer. Such an id is made fit: other bytes become `-`, a long id is
/// cut, and eight hex digits of its hash follow, so that two groups do not share a topic.
pub fn name(topic: &str, group: &str) -> String {
    let room = MAX_NAME.saturating_sub(topic.len() + 1 + SUFFIX.len());
    let fits = !group.is_empty()
        && group.len() <= room
        && group
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        return format!("{topic}.{group}{SUFFIX}");
    }
    let kept: String = group
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .take(room.saturating_sub(9))
        .collect();
    let hash = fnv1a(group.as_bytes());
    format!("{topic}.{kept}-{hash:08x}{SUFFIX}")
}

/// FNV-1a of 32 bits: the names must stay the same in every version.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_ids_are_kept_as_they_are() {
        assert_eq!(name("orders", "billing"), "orders.billing.retry");
        assert_eq!(name("orders", "a.b_c-9"), "orders.a.b_c-9.retry");
    }

    #[test]
    fn other_ids_are_made_fit_and_stay_apart() {
        let slash = name("orders", "team/billing");
        assert!(slash.starts_with("orders.team-billing-"), "{slash}");
        assert_ne!(slash, name("orders", "team:billing"));
        assert_ne!(slash, name("orders", "team-billing"));
        let (long, longer) = ("g".repeat(300), "g".repeat(301));
        assert_eq!(name("orders", &long).len(), MAX_NAME);
        assert_ne!(name("orders", &long), name("orders", &longer));
    }

    proptest! {
        #[test]
        fn every_name_is_a_topics(group in ".{0,300}", topic in "[a-z.]{1,200}") {
            let name = name(&topic, &group);
            prop_assert!(name.len() <= MAX_NAME, "{}", name.len());
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
        }
    }
}
