//! What is told of groups to those who watch.

use super::testing::{Driver, GROUP, member, rejoin, static_member};
use super::*;

fn names(observed: &[Observation]) -> Vec<String> {
    let name = |o: &Observation| match o {
        Observation::Assigned { members, .. } => {
            let members = members.iter().map(|m| {
                let partitions: Vec<i32> = m.partitions.iter().map(|p| p.partition).collect();
                format!("{}{partitions:?}", m.client_id)
            });
            format!("assigned {}", members.collect::<Vec<_>>().join(" "))
        }
        Observation::Gone { member_id, how, .. } => format!("gone {member_id} {how:?}"),
        Observation::Committed { id, offset, .. } => format!("committed {} {offset}", id.topic),
        Observation::Reset { id, .. } => format!("reset {}", id.topic),
        Observation::GroupDeleted { .. } => "deleted".to_owned(),
    };
    observed.iter().map(name).collect()
}

/// An assignment of one partition of topic `t`.
const ONE: &str = "\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x05";

#[test]
fn an_assignment_is_told_when_the_leader_sends_it_and_a_departure_with_its_kind() {
    let mut driver = Driver::new();
    let ticket = driver.join(member("a"));
    let id = driver.join_reply(ticket).member_id.clone();
    assert_eq!(names(&driver.observed), [""; 0]);
    driver.sync(1, &id, &[(&id, ONE)]);
    assert_eq!(names(&driver.observed), ["assigned a[5]"]);
    let second = driver.join(member("b"));
    driver.join(rejoin("a", &id));
    let other = driver.join_reply(second).member_id.clone();
    driver.sync(2, &id, &[(&other, ONE)]);
    assert_eq!(names(&driver.observed)[1..], ["assigned a[] b[5]"]);
    driver.leave(&[(&id, None)]).expect("allowed");
    assert_eq!(names(&driver.observed)[2..], [format!("gone {id} Left")]);
    driver.advance(60_000);
    let told = names(&driver.observed);
    assert_eq!(
        told[3..],
        [format!("gone {other} TimedOut"), "assigned ".to_owned()]
    );
}

#[test]
fn a_static_member_that_comes_back_is_a_new_incarnation_with_the_same_partitions() {
    let mut driver = Driver::new();
    let ticket = driver.join(static_member("i", "1"));
    let id = driver.join_reply(ticket).member_id.clone();
    driver.sync(1, &id, &[(&id, ONE)]);
    driver.join(static_member("i", "2"));
    assert_eq!(
        names(&driver.observed),
        [
            "assigned i[5]".to_owned(),
            format!("gone {id} Replaced"),
            "assigned i[5]".to_owned()
        ]
    );
}

#[test]
fn a_loaded_group_tells_its_assignment() {
    let mut driver = Driver::new();
    let ticket = driver.join(member("a"));
    let id = driver.join_reply(ticket).member_id.clone();
    driver.sync(1, &id, &[(&id, ONE)]);
    driver.observed.clear();
    driver.restart();
    assert_eq!(names(&driver.observed), ["assigned a[5]"]);
}

#[test]
fn positions_are_told_a_step_back_from_outside_as_a_reset() {
    let mut driver = Driver::new();
    driver.commit(-1, "", "t", 7).expect("allowed");
    driver.commit(-1, "", "t", 9).expect("allowed");
    driver.commit(-1, "", "t", 8).expect("allowed");
    driver.send(|ticket| Event::DeleteGroup {
        ticket,
        group_id: GROUP.to_owned(),
    });
    let told = names(&driver.observed);
    assert_eq!(
        told,
        ["committed t 7", "committed t 9", "reset t", "deleted"]
    );
}

#[test]
fn the_broker_moves_a_position_and_the_members_note_stays() {
    let mut driver = Driver::new();
    driver.commit(-1, "", "t", 7).expect("allowed");
    driver.observed.clear();
    let id = PartitionId {
        topic: "t".to_owned(),
        partition: 0,
    };
    driver.send(|_| Event::Advance {
        group_id: GROUP.to_owned(),
        id,
        topic_id: [7; 16],
        offset: 8,
    });
    let committed = driver.machine.committed(GROUP, "t", 0).expect("allowed");
    assert_eq!((committed.offset, &*committed.metadata), (8, "note"));
    assert_eq!(names(&driver.observed), [""; 0]);
}
