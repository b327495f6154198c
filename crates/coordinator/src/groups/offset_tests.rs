//! Committed offsets: who may commit, delete, and when they expire.

use ottla_codec::ResponseError;

use super::testing::*;
use super::*;

fn delete_offset(d: &mut Driver, topic: &str) -> Result<(), ResponseError> {
    let request = OffsetDeleteRequest {
        group_id: GROUP.to_owned(),
        partitions: vec![PartitionId {
            topic: topic.to_owned(),
            partition: 0,
        }],
    };
    let ticket = d.send(|ticket| Event::OffsetDelete(ticket, request));
    match d.replies.remove(&ticket) {
        Some(Reply::OffsetDelete(result)) => result?[0],
        other => panic!("no answer: {other:?}"),
    }
}

fn delete_group(d: &mut Driver) -> Result<(), ResponseError> {
    let group_id = GROUP.to_owned();
    let ticket = d.send(|ticket| Event::DeleteGroup { ticket, group_id });
    match d.replies.remove(&ticket) {
        Some(Reply::DeleteGroup(result)) => result,
        other => panic!("no answer: {other:?}"),
    }
}

fn committed(d: &Driver, topic: &str) -> Option<i64> {
    d.machine.committed(GROUP, topic, 0).map(|c| c.offset)
}

#[test]
fn who_may_commit() {
    let mut d = Driver::new();
    let unknown = d.commit(1, "nobody", "t", 5);
    assert_eq!(unknown, Err(ResponseError::GroupIdNotFound));
    assert_eq!(d.commit(-1, "", "t", 5), Ok(()), "a tool makes the group");

    let id = d.stable_with_one();
    assert_eq!(d.commit(1, &id, "t", 6), Ok(()));
    let cases = [
        (-1, "", ResponseError::UnknownMemberId),
        (1, "nobody", ResponseError::UnknownMemberId),
        (0, id.as_str(), ResponseError::IllegalGeneration),
        (-1, id.as_str(), ResponseError::IllegalGeneration),
    ];
    for (generation, member_id, expected) in cases {
        assert_eq!(d.commit(generation, member_id, "t", 9), Err(expected));
    }
    let second = d.join(member("b"));
    assert_eq!(d.commit(1, &id, "t", 7), Ok(()), "before it joins again");
    d.join(rejoin("a", &id));
    let second = d.join_reply(second).member_id.clone();
    let completing = d.commit(2, &second, "t", 8);
    assert_eq!(completing, Err(ResponseError::RebalanceInProgress));
    assert_eq!(committed(&d, "t"), Some(7));
}

#[test]
fn metadata_is_bounded() {
    let mut d = Driver::with(GroupConfig {
        offset_metadata_max_bytes: 3,
        ..GroupConfig::default()
    });
    let refused = d.commit(-1, "", "t", 5);
    assert_eq!(refused, Err(ResponseError::OffsetMetadataTooLarge));
    assert_eq!(committed(&d, "t"), None);
}

#[test]
fn an_offset_is_the_same_after_a_restart() {
    let mut d = Driver::new();
    d.commit(-1, "", "t", 5).expect("the group is empty");
    let before = d.machine.committed(GROUP, "t", 0).cloned();
    d.restart();
    assert_eq!(d.machine.committed(GROUP, "t", 0).cloned(), before);
    assert_eq!(before.expect("committed").leader_epoch, 3);
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut d = Driver::new();
    let missing = delete_offset(&mut d, "t");
    assert_eq!(missing, Err(ResponseError::GroupIdNotFound));
    let id = d.stable_with_one();
    d.commit(1, &id, "t", 5).expect("a member commits");
    d.commit(1, &id, "other", 5).expect("a member commits");
    let subscribed = delete_offset(&mut d, "t");
    assert_eq!(subscribed, Err(ResponseError::GroupSubscribedToTopic));
    assert_eq!(delete_offset(&mut d, "other"), Ok(()));
    assert_eq!(delete_offset(&mut d, "never"), Ok(()));
    assert_eq!(
        (committed(&d, "t"), committed(&d, "other")),
        (Some(5), None)
    );
    d.leave(&[(&id, None)]).expect("the group exists");
    assert_eq!(delete_offset(&mut d, "t"), Ok(()));
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_is_empty() {
    let mut d = Driver::new();
    assert_eq!(delete_group(&mut d), Err(ResponseError::GroupIdNotFound));
    let id = d.stable_with_one();
    d.commit(1, &id, "t", 5).expect("a member commits");
    assert_eq!(delete_group(&mut d), Err(ResponseError::NonEmptyGroup));
    d.leave(&[(&id, None)]).expect("the group exists");
    assert_eq!(delete_group(&mut d), Ok(()));
    assert_eq!(d.state(), GroupState::Dead);
    assert!(d.store.is_empty(), "nothing is left in the store");
}

#[test]
fn retention_counts_from_when_the_group_became_empty() {
    let mut d = Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 0,
        offsets_retention_ms: 60_000,
        ..GroupConfig::default()
    });
    let id = d.stable_with_one();
    d.commit(1, &id, "t", 5).expect("a member commits");
    d.commit(1, &id, "unread", 5).expect("a member commits");
    for _ in 0..20 {
        d.advance(5_000);
        d.heartbeat(1, &id).expect("alive");
    }
    d.send(|_| Event::ExpireOffsets);
    assert_eq!(committed(&d, "t"), Some(5), "a member reads it");
    assert_eq!(committed(&d, "unread"), None, "nobody reads it any more");

    d.leave(&[(&id, None)]).expect("the group exists");
    d.advance(59_999);
    d.send(|_| Event::ExpireOffsets);
    assert_eq!(committed(&d, "t"), Some(5));
    d.advance(1);
    d.send(|_| Event::ExpireOffsets);
    assert_eq!(d.state(), GroupState::Dead);
    assert!(d.store.is_empty(), "nothing is left in the store");
}

#[test]
fn offsets_without_membership_expire_from_their_commit() {
    let mut d = Driver::with(GroupConfig {
        offsets_retention_ms: 60_000,
        ..GroupConfig::default()
    });
    d.commit(-1, "", "old", 1).expect("the group is empty");
    d.advance(30_000);
    d.commit(-1, "", "new", 2).expect("the group is empty");
    d.advance(30_000);
    d.send(|_| Event::ExpireOffsets);
    assert_eq!(
        (committed(&d, "old"), committed(&d, "new")),
        (None, Some(2))
    );
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut d = Driver::new();
    d.commit(-1, "", "gone", 1).expect("the group is empty");
    d.commit(-1, "", "kept", 2).expect("the group is empty");
    d.send(|_| Event::TopicDeleted {
        topic: "gone".to_owned(),
    });
    d.restart();
    assert_eq!(
        (committed(&d, "gone"), committed(&d, "kept")),
        (None, Some(2))
    );
}

#[test]
fn group_ids_that_look_alike_do_not_share_rows() {
    let prefix = records::offsets_prefix("a");
    assert!(!records::offsets_prefix("ab").starts_with(&prefix));
    assert!(!records::offsets_prefix("a\0t").starts_with(&prefix));
}
