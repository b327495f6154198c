//! Joining, syncing, living, leaving.

use bytes::Bytes;
use ottla_codec::ResponseError;

use super::testing::*;
use super::*;

#[test]
fn a_new_dynamic_member_is_told_its_id_first() {
    let mut d = Driver::new();
    let request = JoinRequest {
        require_known_member_id: true,
        ..member("a")
    };
    let ticket = d.join(request.clone());
    let reply = d.join_reply(ticket).clone();
    assert_eq!(reply.error, Some(ResponseError::MemberIdRequired));
    assert_eq!(reply.member_id, "a-uuid");
    assert_eq!(d.state(), GroupState::Empty);

    let ticket = d.join(JoinRequest {
        member_id: reply.member_id,
        ..request
    });
    let reply = d.join_reply(ticket);
    assert_eq!((reply.error, reply.generation), (None, 1));
    assert_eq!(reply.leader, "a-uuid");
    assert_eq!(reply.members.len(), 1);
}

#[test]
fn a_member_that_never_comes_back_with_its_id_is_forgotten() {
    let mut d = Driver::new();
    d.join(JoinRequest {
        require_known_member_id: true,
        ..member("a")
    });
    d.advance(10_000);
    assert_eq!(d.state(), GroupState::Dead);
    let ticket = d.join(rejoin("a", "a-uuid"));
    assert_eq!(
        d.join_reply(ticket).error,
        Some(ResponseError::UnknownMemberId)
    );
}

#[test]
fn joins_are_refused_with_kafkas_errors() {
    let cases = [
        (
            JoinRequest {
                group_id: String::new(),
                ..member("a")
            },
            ResponseError::InvalidGroupId,
        ),
        (
            JoinRequest {
                session_timeout_ms: 5_999,
                ..member("a")
            },
            ResponseError::InvalidSessionTimeout,
        ),
        (
            JoinRequest {
                session_timeout_ms: 1_800_001,
                ..member("a")
            },
            ResponseError::InvalidSessionTimeout,
        ),
        (
            JoinRequest {
                protocols: Vec::new(),
                ..member("a")
            },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            JoinRequest {
                protocol_type: String::new(),
                ..member("a")
            },
            ResponseError::InconsistentGroupProtocol,
        ),
        (rejoin("a", "nobody"), ResponseError::UnknownMemberId),
    ];
    for (request, expected) in cases {
        let mut d = Driver::new();
        let ticket = d.join(request);
        assert_eq!(d.join_reply(ticket).error, Some(expected));
        assert_eq!(d.state(), GroupState::Dead, "a refused join makes no group");
    }
}

#[test]
fn a_member_without_a_shared_protocol_is_refused() {
    let mut d = Driver::new();
    d.stable_with_one();
    for request in [
        JoinRequest {
            protocols: protocols(&["sticky"]),
            ..member("b")
        },
        JoinRequest {
            protocol_type: "connect".to_owned(),
            ..member("b")
        },
    ] {
        let ticket = d.join(request);
        assert_eq!(
            d.join_reply(ticket).error,
            Some(ResponseError::InconsistentGroupProtocol)
        );
    }
    assert_eq!(d.state(), GroupState::Stable);
}

#[test]
fn the_protocol_that_all_share_and_most_prefer_wins() {
    let mut d = Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 1_000,
        ..GroupConfig::default()
    });
    let preferences: [&[&str]; 3] = [
        &["own", "range", "sticky"],
        &["sticky", "range"],
        &["sticky", "range"],
    ];
    let tickets: Vec<u32> = preferences
        .iter()
        .zip(["a", "b", "c"])
        .map(|(names, client)| {
            d.join(JoinRequest {
                protocols: protocols(names),
                ..member(client)
            })
        })
        .collect();
    d.advance(2_000);
    for ticket in tickets {
        let reply = d.join_reply(ticket);
        assert_eq!(reply.protocol_name.as_deref(), Some("sticky"));
        let expected = if reply.leader == reply.member_id {
            3
        } else {
            0
        };
        assert_eq!(reply.members.len(), expected, "the leader alone gets them");
    }
}

#[test]
fn the_initial_delay_begins_anew_with_each_new_member_up_to_the_rebalance_timeout() {
    let mut d = Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 3_000,
        ..GroupConfig::default()
    });
    let with_timeout = |client: &str| JoinRequest {
        rebalance_timeout_ms: 7_000,
        ..member(client)
    };
    let first = d.join(with_timeout("a"));
    d.advance(2_500);
    d.join(with_timeout("b"));
    d.advance(2_500);
    d.join(with_timeout("c"));
    assert!(!d.replies.contains_key(&first), "until 5.5 s since b came");
    d.advance(1_999);
    assert!(!d.replies.contains_key(&first), "until 7 s since c came");
    d.advance(1);
    assert_eq!(d.join_reply(first).members.len(), 3);
}

fn with_delay_75() -> Driver {
    Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 75,
        ..GroupConfig::default()
    })
}

/// How many members the generation has that begins after so many milliseconds, and no earlier. `leader` is the ticket of who joined first.
fn members_after(d: &mut Driver, ms: u64, leader: u32) -> usize {
    d.advance(ms - 1);
    assert!(!d.replies.contains_key(&leader), "it begins earlier");
    d.advance(1);
    d.join_reply(leader).members.len()
}

#[test]
fn the_initial_delay_ends_when_nobody_new_has_come_for_its_length() {
    let mut d = with_delay_75();
    let first = d.join(member("a"));
    d.advance(50);
    d.join(member("b"));
    assert_eq!(members_after(&mut d, 75, first), 2);
}

#[test]
fn the_initial_delay_counts_from_the_question_for_the_coordinator() {
    let mut d = with_delay_75();
    d.asked();
    d.advance(10);
    let first = d.join(member("a"));
    assert_eq!(members_after(&mut d, 65, first), 1);
}

#[test]
fn a_third_of_the_initial_delay_follows_every_member_that_joins() {
    let mut d = with_delay_75();
    d.asked();
    d.asked();
    d.advance(53);
    let first = d.join(member("a"));
    d.advance(5);
    d.join(member("b"));
    assert_eq!(members_after(&mut d, 25, first), 2);
}

#[test]
fn while_somebody_is_on_the_way_the_initial_delay_counts_from_the_last_who_asked() {
    let mut d = with_delay_75();
    d.asked();
    d.advance(53);
    let first = d.join(member("a"));
    d.advance(24);
    d.asked();
    d.advance(74);
    assert!(!d.replies.contains_key(&first));
    d.join(member("b"));
    assert_eq!(members_after(&mut d, 25, first), 2);
}

#[test]
fn while_somebody_is_on_the_way_the_initial_delay_counts_from_the_last_who_joined() {
    let mut d = with_delay_75();
    d.asked();
    d.asked();
    d.advance(53);
    let first = d.join(member("a"));
    assert_eq!(members_after(&mut d, 75, first), 1);
}

#[test]
fn whoever_asks_and_does_not_join_makes_the_initial_delay_no_longer_than_twice() {
    let mut d = with_delay_75();
    d.asked();
    d.asked();
    d.advance(53);
    let first = d.join(member("a"));
    for _ in 0..149 {
        d.advance(1);
        d.asked();
        d.asked();
    }
    assert_eq!(members_after(&mut d, 1, first), 1);
}

#[test]
fn nobody_waits_for_those_who_asked_without_an_initial_delay() {
    let mut d = Driver::new();
    d.asked();
    d.asked();
    let first = d.join(member("a"));
    assert_eq!(d.join_reply(first).members.len(), 1);
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut d = Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 0,
        max_size: 1,
        ..GroupConfig::default()
    });
    d.stable_with_one();
    let ticket = d.join(member("b"));
    let reply = d.join_reply(ticket);
    assert_eq!(reply.error, Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(d.state(), GroupState::Stable);
}

#[test]
fn a_rebalance_goes_without_those_that_do_not_join_in_time() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    let ticket = d.join(rejoin("a", &leader));
    assert_eq!(d.state(), GroupState::PreparingRebalance);
    for _ in 0..4 {
        let heartbeat = d.heartbeat(2, &follower);
        assert_eq!(heartbeat, Err(ResponseError::RebalanceInProgress));
        d.advance(7_500);
    }
    let reply = d.join_reply(ticket);
    assert_eq!((reply.generation, reply.members.len()), (3, 1));
    let heartbeat = d.heartbeat(2, &follower);
    assert_eq!(heartbeat, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_follower_that_joins_again_unchanged_causes_no_rebalance() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    let ticket = d.join(rejoin("b", &follower));
    assert_eq!(d.join_reply(ticket).generation, 2);
    assert_eq!(d.state(), GroupState::Stable);
    d.join(rejoin("a", &leader));
    assert_eq!(d.state(), GroupState::PreparingRebalance, "the leader does");
}

#[test]
fn a_sync_is_checked_and_waits_for_the_leader() {
    let mut d = Driver::new();
    let leader = d.stable_with_one();
    let second = d.join(member("b"));
    let ticket = d.sync(1, &leader, &[]);
    assert_eq!(
        d.assignment(ticket),
        Err(ResponseError::RebalanceInProgress)
    );
    d.join(rejoin("a", &leader));
    let follower = d.join_reply(second).member_id.clone();

    let ticket = d.sync(1, &follower, &[]);
    assert_eq!(d.assignment(ticket), Err(ResponseError::IllegalGeneration));
    let ticket = d.sync(2, "nobody", &[]);
    assert_eq!(d.assignment(ticket), Err(ResponseError::UnknownMemberId));

    let waits = d.sync(2, &follower, &[]);
    assert!(!d.replies.contains_key(&waits));
    d.sync(2, &leader, &[(&leader, "x")]);
    assert_eq!(d.assignment(waits), Ok(b"".as_slice()), "left out");
    assert_eq!(d.state(), GroupState::Stable);
}

#[test]
fn members_that_do_not_sync_are_removed() {
    let mut d = Driver::new();
    let leader = d.stable_with_one();
    let second = d.join(member("b"));
    d.join(rejoin("a", &leader));
    let follower = d.join_reply(second).member_id.clone();
    d.sync(2, &leader, &[(&leader, "x")]);
    for _ in 0..6 {
        assert!(d.heartbeat(2, &leader).is_ok());
        assert!(d.heartbeat(2, &follower).is_ok());
        d.advance(5_000);
    }
    assert_eq!(d.state(), GroupState::PreparingRebalance);
    let heartbeat = d.heartbeat(2, &follower);
    assert_eq!(heartbeat, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_misses_its_session_timeout_is_removed() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    d.advance(9_999);
    assert_eq!(d.heartbeat(2, &leader), Ok(()));
    d.advance(1);
    assert_eq!(d.state(), GroupState::PreparingRebalance);
    let heartbeat = d.heartbeat(2, &follower);
    assert_eq!(heartbeat, Err(ResponseError::UnknownMemberId));
    d.advance(20_000);
    assert_eq!(d.state(), GroupState::Empty);
}

#[test]
fn a_group_that_all_leave_is_empty_with_a_new_generation() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    let results = d.leave(&[(&leader, None), (&follower, None), ("nobody", None)]);
    let errors: Vec<_> = results
        .expect("the group exists")
        .into_iter()
        .map(|(_, error)| error)
        .collect();
    assert_eq!(errors, [None, None, Some(ResponseError::UnknownMemberId)]);
    assert_eq!(d.state(), GroupState::Empty);
    let ticket = d.join(member("c"));
    assert_eq!(d.join_reply(ticket).generation, 4);
}

#[test]
fn nobody_is_a_member_of_a_group_that_does_not_exist() {
    let mut d = Driver::new();
    let results = d.leave(&[("a", None)]).expect("answered by member");
    assert_eq!(results[0].1, Some(ResponseError::UnknownMemberId));
    let heartbeat = d.heartbeat(0, "a");
    assert_eq!(heartbeat, Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_static_member_that_restarts_keeps_its_assignment_without_a_rebalance() {
    let mut d = Driver::new();
    let ticket = d.join(static_member("one", "1"));
    let old = d.join_reply(ticket).member_id.clone();
    assert_eq!(old, "one-1");
    d.sync(1, &old, &[(&old, "x")]);

    let ticket = d.join(static_member("one", "2"));
    let reply = d.join_reply(ticket).clone();
    assert_eq!((reply.error, reply.generation), (None, 1));
    assert_eq!(
        (reply.member_id.as_str(), reply.leader.as_str()),
        ("one-2", "one-2")
    );
    assert!(reply.skip_assignment && reply.members.len() == 1);
    let ticket = d.sync(1, "one-2", &[]);
    assert_eq!(d.assignment(ticket), Ok(b"x".as_slice()));

    let heartbeat = d.heartbeat_as(1, &old, Some("one"));
    assert_eq!(heartbeat, Err(ResponseError::FencedInstanceId));
    assert_eq!(d.heartbeat_as(1, "one-2", Some("one")), Ok(()));
    d.restart();
    assert_eq!(d.heartbeat_as(1, "one-2", Some("one")), Ok(()));
}

#[test]
fn a_static_leader_before_kip_814_is_told_the_old_leader() {
    let mut d = Driver::new();
    d.join(static_member("one", "1"));
    d.sync(1, "one-1", &[("one-1", "x")]);
    let ticket = d.join(JoinRequest {
        supports_skip_assignment: false,
        ..static_member("one", "2")
    });
    let reply = d.join_reply(ticket);
    assert_eq!(reply.leader, "one-1");
    assert!(reply.members.is_empty() && !reply.skip_assignment);
}

#[test]
fn a_static_member_that_comes_twice_fences_the_one_that_waits() {
    let mut d = Driver::with(GroupConfig::default());
    let first = d.join(static_member("one", "1"));
    let second = d.join(static_member("one", "2"));
    let reply = d.join_reply(first);
    assert_eq!(reply.error, Some(ResponseError::FencedInstanceId));
    d.advance(3_000);
    assert_eq!(d.join_reply(second).generation, 1);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let mut d = Driver::new();
    d.join(static_member("one", "1"));
    d.sync(1, "one-1", &[]);
    let results = d.leave(&[("", Some("one")), ("", Some("two"))]);
    let errors: Vec<_> = results
        .expect("the group exists")
        .into_iter()
        .map(|(_, error)| error)
        .collect();
    assert_eq!(errors, [None, Some(ResponseError::UnknownMemberId)]);
    assert_eq!(d.state(), GroupState::Empty);
}

#[test]
fn members_of_a_stable_group_go_on_after_a_restart_of_the_broker() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    d.advance(9_000);
    d.restart();
    d.advance(9_000);
    assert_eq!(d.heartbeat(2, &leader), Ok(()), "sessions start anew");
    assert_eq!(d.heartbeat(2, &follower), Ok(()));
    assert_eq!(d.state(), GroupState::Stable);
    let ticket = d.sync(2, &follower, &[]);
    assert_eq!(d.assignment(ticket), Ok(b"y".as_slice()));
    d.advance(10_000);
    assert_eq!(d.state(), GroupState::Empty, "and end");
}

#[test]
fn members_show_their_last_assignment_while_the_group_rebalances() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    let shown = |d: &Driver| -> Vec<(Bytes, Bytes)> {
        let group = d.machine.describe(GROUP).expect("the group is there");
        let members = group.members.into_iter();
        members.map(|m| (m.metadata, m.assignment)).collect()
    };
    let last = [
        (Bytes::new(), Bytes::from_static(b"x")),
        (Bytes::new(), Bytes::from_static(b"y")),
    ];
    d.join(rejoin("a", &leader));
    assert_eq!(d.state(), GroupState::PreparingRebalance);
    assert_eq!(shown(&d), last);
    d.join(rejoin("b", &follower));
    assert_eq!(d.state(), GroupState::CompletingRebalance);
    assert_eq!(shown(&d), last);

    // What the leader leaves out is gone, and nobody is ever answered with what was.
    d.sync(3, &leader, &[(&leader, "z")]);
    let ticket = d.sync(3, &follower, &[]);
    assert_eq!(d.assignment(ticket), Ok(b"".as_slice()));
}

#[test]
fn the_initial_delay_is_kept_when_a_pending_member_is_given_up() {
    let mut d = Driver::with(GroupConfig {
        initial_rebalance_delay_ms: 20_000,
        ..GroupConfig::default()
    });
    let early = d.join(member("a"));
    d.join(JoinRequest {
        require_known_member_id: true,
        ..member("b")
    });
    // The session of the second ends after ten seconds.
    d.advance(11_000);
    assert_eq!(d.state(), GroupState::PreparingRebalance);
    assert!(!d.replies.contains_key(&early));
    d.advance(10_000);
    assert_eq!(d.join_reply(early).generation, 1);
}

#[test]
fn a_rebalance_ends_when_the_pending_member_it_waits_for_is_given_up() {
    let mut d = Driver::new();
    let first = d.stable_with_one();
    let pending = JoinRequest {
        require_known_member_id: true,
        ..member("b")
    };
    d.join(pending);
    // Static members never wait for an id, so this one starts the rebalance.
    let second = d.join(static_member("s", "1"));
    let again = d.join(rejoin("a", &first));
    assert!(!d.replies.contains_key(&second));
    d.advance(10_000);
    assert_eq!(d.join_reply(second).generation, 2);
    assert_eq!(d.join_reply(again).generation, 2);
}

#[test]
fn a_static_member_that_changes_its_subscription_alone_causes_no_rebalance() {
    let mut d = Driver::new();
    let ticket = d.join(static_member("s", "1"));
    let old = d.join_reply(ticket).member_id.clone();
    d.sync(1, &old, &[(&old, "all")]);
    let other_topic = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01u");
    let changed = JoinRequest {
        protocols: vec![member::Protocol {
            name: "range".to_owned(),
            metadata: other_topic,
        }],
        ..static_member("s", "2")
    };
    let ticket = d.join(changed);
    let reply = d.join_reply(ticket).clone();
    assert_eq!((reply.error, reply.generation), (None, 1));
    assert_eq!(d.state(), GroupState::Stable);
    assert_eq!(d.heartbeat(1, &reply.member_id), Ok(()));

    // Another preferred protocol, in contrast, is one for all to agree on.
    let ticket = d.join(JoinRequest {
        protocols: protocols(&["sticky", "range"]),
        ..static_member("s", "3")
    });
    let reply = d.join_reply(ticket);
    assert_eq!((reply.error, reply.generation), (None, 2));
    assert_eq!(reply.protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn heartbeats_keep_members_alive_and_call_them_to_join_while_the_group_rebalances() {
    let mut d = Driver::new();
    let (leader, follower) = d.stable_with_two();
    let third = d.join(member("c"));
    let calls = Err(ResponseError::RebalanceInProgress);
    // Twice as long as a session, within the rebalance timeout.
    for _ in 0..5 {
        d.advance(4_000);
        assert_eq!(d.heartbeat(2, &leader), calls);
        assert_eq!(d.heartbeat(2, &follower), calls);
    }
    d.join(rejoin("a", &leader));
    d.join(rejoin("b", &follower));
    assert_eq!(d.join_reply(third).generation, 3);
    assert_eq!(d.heartbeat(3, &leader), Ok(()));
    assert_eq!(
        d.heartbeat(2, &leader),
        Err(ResponseError::IllegalGeneration)
    );
}
