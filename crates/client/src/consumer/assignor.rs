//! The range assignor: of each topic, every subscriber gets a run of neighbouring partitions.

use std::collections::BTreeMap;

/// Members (id and topics) and the number of partitions by topic in; partitions by topic and member out.
///
/// As in Kafka, members are in the order of their ids, and the first ones get one partition more where it does not come
/// out even.
pub(super) fn range(
    members: &[(String, Vec<String>)],
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, BTreeMap<String, Vec<i32>>> {
    let mut assignments: BTreeMap<String, BTreeMap<String, Vec<i32>>> = members
        .iter()
        .map(|(member, _)| (member.clone(), BTreeMap::new()))
        .collect();
    for (topic, count) in partitions {
        let mut subscribers: Vec<&String> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        subscribers.sort();
        let Ok(number) = i32::try_from(subscribers.len()) else {
            continue;
        };
        let mut next = 0;
        for (position, member) in (0..number).zip(subscribers) {
            let share = count / number + i32::from(position < count % number);
            if share > 0 {
                assignments
                    .entry(member.clone())
                    .or_default()
                    .insert(topic.clone(), (next..next + share).collect());
            }
            next += share;
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        list.iter()
            .map(|(id, topics)| {
                (
                    (*id).to_owned(),
                    topics.iter().map(|t| (*t).to_owned()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn the_first_members_get_what_does_not_come_out_even() {
        let got = range(
            &members(&[("b", &["t"]), ("a", &["t"]), ("c", &["other"])]),
            &BTreeMap::from([("t".to_owned(), 3)]),
        );
        assert_eq!(got["a"]["t"], [0, 1]);
        assert_eq!(got["b"]["t"], [2]);
        assert!(got["c"].is_empty());
    }

    #[test]
    fn a_member_too_many_gets_nothing() {
        let got = range(
            &members(&[("a", &["t"]), ("b", &["t"])]),
            &BTreeMap::from([("t".to_owned(), 1)]),
        );
        assert_eq!(got["a"]["t"], [0]);
        assert!(got["b"].is_empty());
    }
}
