//! Whose fetch it is.

use ottla_dlq::event::Serve;

use super::*;

const GATE: Gate = Gate {
    skip: None,
    serve: Serve::Until(5),
};

fn key() -> Key {
    (TopicId::from_bytes([1; 16]), 0)
}

fn at() -> TopicPartition {
    TopicPartition {
        topic: "t".to_owned(),
        partition: 0,
    }
}

fn reader(connection: u64, client_id: &str) -> Reader {
    let peer = "10.0.0.7:4711".parse().expect("an address");
    Reader {
        connection: Arc::new(ConnectionInfo::new(connection, peer, "PLAINTEXT".into())),
        client_id: Some(StrBytes::from_string(client_id.to_owned())),
    }
}

/// Owners of the partition, one for each group, all from one host with client id `c`.
fn watches(groups: &[&str]) -> Watches {
    let watches = Watches::default();
    for group in groups {
        assign(&watches, group, "m1");
    }
    watches
}

fn assign(watches: &Watches, group: &str, member_id: &str) {
    let member = MemberAssignment {
        member_id: member_id.to_owned(),
        client_id: "c".to_owned(),
        client_host: "/10.0.0.7".to_owned(),
        rebalance_timeout_ms: 1000,
        partitions: vec![at()],
    };
    watches.assigned(group, &[member], |_| Some(key().0));
}

fn expect(watches: &Watches, group: &str, offset: i64) {
    let known = watches.position_fetched(group, &at(), "m1", &reader(9, "c"), Some(offset));
    assert_eq!(known.as_deref(), Some("m1"));
}

fn served(watches: &Watches, group: &str) -> Option<Served> {
    watches.gone(group, "m1").into_iter().next().map(|(_, s)| s)
}

#[test]
fn what_an_owner_is_served_is_noted_from_its_first_fetch_on() {
    let watches = watches(&["g"]);
    let mine = reader(1, "c");
    watches.note(&key(), &reader(2, "another"), 0, 100);
    watches.note(&key(), &mine, 3, 7);
    watches.note(&key(), &mine, 7, 9);
    // It seeks back and reads again.
    watches.note(&key(), &mine, 3, 5);
    let expected = Served {
        first: 3,
        next: 9,
        ambiguous: false,
    };
    assert_eq!(served(&watches, "g"), Some(expected));
    assert!(!watches.any());
}

#[test]
fn a_first_fetch_from_elsewhere_is_somebody_elses() {
    let watches = watches(&["g"]);
    expect(&watches, "g", 40);
    watches.note(&key(), &reader(1, "c"), 0, 100);
    assert_eq!(served(&watches, "g"), None);
}

#[test]
fn an_owner_is_known_by_its_connection_as_long_as_that_lives() {
    let watches = watches(&["g"]);
    expect(&watches, "g", 3);
    let mine = reader(1, "c");
    watches.note(&key(), &mine, 3, 7);
    watches.note(&key(), &reader(2, "c"), 7, 50);
    drop(mine);
    watches.note(&key(), &reader(3, "c"), 0, 60);
    watches.note(&key(), &reader(3, "c"), 7, 8);
    let served = served(&watches, "g").expect("something was read");
    assert_eq!((served.first, served.next), (3, 8));
}

#[test]
fn groups_that_begin_at_different_places_are_told_apart() {
    let watches = watches(&["g", "h"]);
    expect(&watches, "g", 3);
    expect(&watches, "h", 30);
    let (g, h) = (reader(1, "c"), reader(2, "c"));
    watches.note(&key(), &h, 30, 35);
    watches.note(&key(), &g, 3, 7);
    // From here on by their connections, wherever they are.
    watches.note(&key(), &g, 30, 40);
    let next = |group| served(&watches, group).map(|s| (s.next, s.ambiguous));
    assert_eq!(next("g"), Some((40, false)));
    assert_eq!(next("h"), Some((35, false)));
}

#[test]
fn a_fetch_that_could_be_two_groups_is_nobodys_and_makes_both_ambiguous() {
    let watches = watches(&["g", "h"]);
    watches.set_gate("g", &at(), Some(GATE));
    assert!(watches.gated(&key(), &reader(1, "c"), 0).is_none());
    for group in ["g", "h"] {
        let served = served(&watches, group).expect("something was read");
        assert!(served.ambiguous, "{group}");
    }
}

#[test]
fn a_gate_is_the_groups_and_waits_for_the_next_owner() {
    let watches = watches(&["g"]);
    let mine = reader(1, "c");
    let before = watches.changes();
    assert_eq!(watches.set_gate("g", &at(), Some(GATE)), [key()]);
    assert_ne!(watches.changes(), before);
    let (owner, gate) = watches.gated(&key(), &mine, 0).expect("a gate");
    assert_eq!(gate, GATE);
    assert!(owner.begins_to_wait(false));
    assert!(!owner.begins_to_wait(false), "told once");
    assert!(owner.begins_to_wait(true), "another kind");
    watches.gone("g", "m1");
    assert!(!watches.any_gate(), "nobody is left to be held");

    assign(&watches, "g", "m2");
    assert!(watches.any_gate());
    assert!(watches.gated(&key(), &reader(2, "c"), 0).is_some());
    watches.set_gate("g", &at(), None);
    assert!(!watches.any_gate());
    assert!(watches.gated(&key(), &reader(2, "c"), 0).is_none());
}

#[test]
fn who_keeps_a_partition_over_a_rebalance_goes_on() {
    let watches = watches(&["g"]);
    watches.note(&key(), &reader(1, "c"), 3, 7);
    assign(&watches, "g", "m1");
    assert_eq!(served(&watches, "g").map(|s| s.first), Some(3));
    assign(&watches, "g", "m1");
    watches.topic_deleted("t");
    assert!(!watches.any());
}
