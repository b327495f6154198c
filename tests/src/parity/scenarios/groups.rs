use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};

use crate::parity::both::{Both, Side};
use crate::parity::words::{group_id, s};

/// A join of a consumer with one protocol, `range`.
pub fn join(v: i16, group: &str, member: &str) -> JoinGroupRequest {
    let request = JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(10_000)
        .with_member_id(s(member))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol("range")]);
    match v {
        0 => request,
        _ => request.with_rebalance_timeout_ms(10_000),
    }
}

fn protocol(name: &str) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol::default()
        .with_name(s(name))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"))
}

/// A sync that gives `assignment` to each of `members`.
pub fn sync(
    v: i16,
    group: &str,
    generation: i32,
    member: &str,
    members: &[String],
) -> SyncGroupRequest {
    let assignments = members.iter().map(|member| {
        SyncGroupRequestAssignment::default()
            .with_member_id(s(member))
            .with_assignment(Bytes::from_static(b"some assignment"))
    });
    let request = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_assignments(assignments.collect());
    match v {
        5.. => request
            .with_protocol_type(Some(s("consumer")))
            .with_protocol_name(Some(s("range"))),
        _ => request,
    }
}

pub fn heartbeat(group: &str, generation: i32, member: &str) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(generation)
        .with_member_id(s(member))
}

pub fn leave(v: i16, group: &str, member: &str, instance: Option<&str>) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group_id(group));
    match v {
        ..3 => request.with_member_id(s(member)),
        _ => request.with_members(vec![
            MemberIdentity::default()
                .with_member_id(s(member))
                .with_group_instance_id(instance.map(s)),
        ]),
    }
}

fn describe(v: i16, group: &str) -> DescribeGroupsRequest {
    DescribeGroupsRequest::default()
        .with_groups(vec![group_id(group)])
        .with_include_authorized_operations(v >= 3)
}

/// Joins on connection `on` and keeps the member id and generation under `note`; with a version from 4 on,
/// the first answer is MEMBER_ID_REQUIRED.
pub async fn joined(both: &mut Both, on: u8, v: i16, group: &str, note: &str) {
    for _ in 0..=i32::from(v >= 4) {
        let answer = both
            .call_on::<JoinGroupRequest>(on, "join", v, |side| join(v, group, &side.note(note)))
            .await;
        keep_member(both, &answer, note);
    }
}

fn keep_member(
    both: &mut Both,
    answer: &crate::parity::both::Pair<kafka_protocol::messages::JoinGroupResponse>,
    note: &str,
) {
    both.keep(answer, |side, answer| {
        side.keep(note, &answer.member_id);
        side.keep(&format!("{note} generation"), answer.generation_id);
    });
}

fn generation(side: &Side, note: &str) -> i32 {
    side.number(&format!("{note} generation"))
}

/// A group with one member, synced.
pub async fn one_member(both: &mut Both, v: i16, group: &str) {
    joined(both, 0, v, group, "a").await;
    let sync_v = v.min(both.latest::<SyncGroupRequest>());
    both.call::<SyncGroupRequest>("sync", sync_v, |side| {
        let member = side.note("a");
        let all = [member.clone()];
        sync(sync_v, group, generation(side, "a"), &member, &all)
    })
    .await;
}

pub async fn a_life_in_each_version(both: &mut Both) -> anyhow::Result<()> {
    for v in both.versions::<JoinGroupRequest>() {
        let group = both.name(&format!("g{v}"));
        both.ottla.keep("a", "");
        both.kafka.keep("a", "");
        one_member(both, v, &group).await;
        let at = |latest: i16| v.min(latest);
        let version = at(both.latest::<HeartbeatRequest>());
        both.call::<HeartbeatRequest>("heartbeat", version, |side| {
            heartbeat(&group, generation(side, "a"), &side.note("a"))
        })
        .await;
        for version in both.versions::<DescribeGroupsRequest>() {
            both.call::<DescribeGroupsRequest>("stable", version, |_| describe(version, &group))
                .await;
        }
        both.call::<JoinGroupRequest>("join again unchanged", v, |side| {
            join(v, &group, &side.note("a"))
        })
        .await;
        both.call::<DeleteGroupsRequest>("delete while it has members", 2, |_| {
            DeleteGroupsRequest::default().with_groups_names(vec![group_id(&group)])
        })
        .await;
        let version = at(both.latest::<LeaveGroupRequest>());
        both.call::<LeaveGroupRequest>("leave", version, |side| {
            leave(version, &group, &side.note("a"), None)
        })
        .await;
        both.call::<LeaveGroupRequest>("leave again", version, |side| {
            leave(version, &group, &side.note("a"), None)
        })
        .await;
        both.call::<DescribeGroupsRequest>("empty", 6, |_| describe(6, &group))
            .await;
    }
    Ok(())
}

pub async fn refused_joins(both: &mut Both) -> anyhow::Result<()> {
    let group = both.name("g");
    let fresh = both.name("fresh");
    one_member(both, 9, &group).await;
    for v in both.versions::<JoinGroupRequest>() {
        for (step, request) in [
            ("an unknown member", join(v, &group, "nobody")),
            (
                "an unknown member of an unknown group",
                join(v, &fresh, "nobody"),
            ),
            ("an empty group id", join(v, "", "")),
            (
                "a session timeout too short",
                join(v, &fresh, "").with_session_timeout_ms(10),
            ),
            (
                "a session timeout too long",
                join(v, &fresh, "").with_session_timeout_ms(100_000_000),
            ),
            ("no protocols", join(v, &fresh, "").with_protocols(vec![])),
            (
                "no protocol type",
                join(v, &fresh, "").with_protocol_type(s("")),
            ),
            (
                "another protocol type",
                join(v, &group, "").with_protocol_type(s("connect")),
            ),
            (
                "no protocol in common",
                join(v, &group, "").with_protocols(vec![protocol("sticky")]),
            ),
        ] {
            both.call::<JoinGroupRequest>(step, v, |_| request.clone())
                .await;
        }
        if v >= 5 {
            for (number, instance) in ["", "..", "a b", &"x".repeat(250)].into_iter().enumerate() {
                // Brokers take them; a group of its own each, so that no join waits for another member.
                let own = both.name(&format!("instance.{v}.{number}"));
                both.call::<JoinGroupRequest>("an odd instance id", v, |_| {
                    join(v, &own, "").with_group_instance_id(Some(s(instance)))
                })
                .await;
            }
        }
    }
    both.call::<DescribeGroupsRequest>("what is left", 6, |_| describe(6, &group))
        .await;
    Ok(())
}

pub async fn wrong_members(both: &mut Both) -> anyhow::Result<()> {
    let group = both.name("g");
    let missing = both.name("missing");
    one_member(both, 9, &group).await;
    let cases = [
        ("a wrong generation", &group, 7, None),
        ("generation -1", &group, -1, None),
        ("an unknown member", &group, 1, Some("nobody")),
        ("an empty member", &group, 1, Some("")),
        ("an unknown group", &missing, 1, Some("nobody")),
    ];
    for (step, group, generation, member) in cases {
        let member_of = |side: &Side| member.map_or_else(|| side.note("a"), str::to_owned);
        both.call_in_each_version::<HeartbeatRequest>(step, |side, _| {
            heartbeat(group, generation, &member_of(side))
        })
        .await;
        both.call_in_each_version::<SyncGroupRequest>(step, |side, v| {
            sync(v, group, generation, &member_of(side), &[])
        })
        .await;
    }
    for v in both.versions::<HeartbeatRequest>() {
        both.call::<HeartbeatRequest>("an empty group id", v, |_| heartbeat("", 1, "x"))
            .await;
        if v >= 3 {
            both.call::<HeartbeatRequest>("an unknown instance", v, |side| {
                heartbeat(&group, 1, &side.note("a")).with_group_instance_id(Some(s("nobody")))
            })
            .await;
        }
    }
    both.call_in_each_version::<SyncGroupRequest>("an empty group id", |_, v| {
        sync(v, "", 1, "x", &[])
    })
    .await;
    let v = both.latest::<SyncGroupRequest>();
    for (step, kind, name) in [
        ("another protocol", "consumer", "sticky"),
        ("another protocol type", "connect", "range"),
    ] {
        both.call::<SyncGroupRequest>(step, v, |side| {
            sync(v, &group, 1, &side.note("a"), &[])
                .with_protocol_type(Some(s(kind)))
                .with_protocol_name(Some(s(name)))
        })
        .await;
    }
    for v in both.versions::<LeaveGroupRequest>() {
        for (step, group) in [
            ("leave: nobody", &group),
            ("leave: unknown group", &missing),
        ] {
            both.call::<LeaveGroupRequest>(step, v, |_| leave(v, group, "nobody", None))
                .await;
        }
        both.call::<LeaveGroupRequest>("leave: an empty group id", v, |_| leave(v, "", "x", None))
            .await;
    }
    for v in 3..=both.latest::<LeaveGroupRequest>() {
        both.call::<LeaveGroupRequest>("leave: an unknown instance", v, |_| {
            leave(v, &group, "", Some("nobody"))
        })
        .await;
        both.call::<LeaveGroupRequest>("leave: no members", v, |_| {
            LeaveGroupRequest::default().with_group_id(group_id(&group))
        })
        .await;
    }
    Ok(())
}

pub async fn two_members(both: &mut Both) -> anyhow::Result<()> {
    let group = both.name("g");
    let (v, sync_v) = (
        both.latest::<JoinGroupRequest>(),
        both.latest::<SyncGroupRequest>(),
    );
    let beat_v = both.latest::<HeartbeatRequest>();
    one_member(both, v, &group).await;
    // The second member waits in its join until the first has joined again.
    let answer = both
        .call_on::<JoinGroupRequest>(1, "second: needs an id", v, |_| join(v, &group, ""))
        .await;
    keep_member(both, &answer, "b");
    both.send::<JoinGroupRequest>(1, v, |side| join(v, &group, &side.note("b")))
        .await;
    // Each hears of the second member on another connection, one of them perhaps later.
    both.until::<HeartbeatRequest>(
        "a rebalance is called",
        beat_v,
        |side| heartbeat(&group, generation(side, "a"), &side.note("a")),
        |answer| answer.error_code == ResponseError::RebalanceInProgress.code(),
    )
    .await;
    both.call::<DescribeGroupsRequest>("preparing", 6, |_| describe(6, &group))
        .await;
    both.call::<SyncGroupRequest>("sync of the old generation", sync_v, |side| {
        sync(sync_v, &group, generation(side, "a"), &side.note("a"), &[])
    })
    .await;
    let answer = both
        .call::<JoinGroupRequest>("first joins again", v, |side| {
            join(v, &group, &side.note("a"))
        })
        .await;
    keep_member(both, &answer, "a");
    let answer = both
        .receive::<JoinGroupRequest>(1, "second has joined", v)
        .await;
    keep_member(both, &answer, "b");
    both.call::<DescribeGroupsRequest>("completing", 6, |_| describe(6, &group))
        .await;
    both.call::<HeartbeatRequest>("heartbeat before the sync", beat_v, |side| {
        heartbeat(&group, generation(side, "a"), &side.note("a"))
    })
    .await;
    // The follower waits in its sync for the leader's.
    both.send::<SyncGroupRequest>(1, sync_v, |side| {
        sync(sync_v, &group, generation(side, "b"), &side.note("b"), &[])
    })
    .await;
    both.call::<SyncGroupRequest>("the leader's sync", sync_v, |side| {
        let all = [side.note("a"), side.note("b")];
        sync(sync_v, &group, generation(side, "a"), &side.note("a"), &all)
    })
    .await;
    both.receive::<SyncGroupRequest>(1, "the follower's sync", sync_v)
        .await;
    both.call::<DescribeGroupsRequest>("stable", 6, |_| describe(6, &group))
        .await;
    both.call_on::<JoinGroupRequest>(1, "a follower joins again unchanged", v, |side| {
        join(v, &group, &side.note("b"))
    })
    .await;
    both.call::<LeaveGroupRequest>("the leader leaves", 5, |side| {
        leave(5, &group, &side.note("a"), None)
    })
    .await;
    both.call_on::<HeartbeatRequest>(1, "the follower is told", beat_v, |side| {
        heartbeat(&group, generation(side, "b"), &side.note("b"))
    })
    .await;
    let answer = both
        .call_on::<JoinGroupRequest>(1, "and leads now", v, |side| {
            join(v, &group, &side.note("b"))
        })
        .await;
    keep_member(both, &answer, "b");
    Ok(())
}

pub async fn static_members(both: &mut Both) -> anyhow::Result<()> {
    let group = both.name("g");
    let v = both.latest::<JoinGroupRequest>();
    let sync_v = both.latest::<SyncGroupRequest>();
    let as_static = |member: &str| join(v, &group, member).with_group_instance_id(Some(s("one")));
    let answer = both
        .call::<JoinGroupRequest>("needs no id first", v, |_| as_static(""))
        .await;
    keep_member(both, &answer, "a");
    both.call::<SyncGroupRequest>("sync", sync_v, |side| {
        let all = [side.note("a")];
        sync(sync_v, &group, generation(side, "a"), &side.note("a"), &all)
            .with_group_instance_id(Some(s("one")))
    })
    .await;
    let answer = both
        .call_on::<JoinGroupRequest>(1, "comes back without its id", v, |_| as_static(""))
        .await;
    keep_member(both, &answer, "b");
    both.call::<HeartbeatRequest>("the old one is fenced", 4, |side| {
        heartbeat(&group, generation(side, "a"), &side.note("a"))
            .with_group_instance_id(Some(s("one")))
    })
    .await;
    both.call::<SyncGroupRequest>("the old one's sync is fenced", sync_v, |side| {
        sync(sync_v, &group, generation(side, "a"), &side.note("a"), &[])
            .with_group_instance_id(Some(s("one")))
    })
    .await;
    both.call::<JoinGroupRequest>("the old one's join is fenced", v, |side| {
        as_static(&side.note("a"))
    })
    .await;
    both.call::<HeartbeatRequest>("the new one goes on", 4, |side| {
        heartbeat(&group, generation(side, "b"), &side.note("b"))
            .with_group_instance_id(Some(s("one")))
    })
    .await;
    both.call::<DescribeGroupsRequest>("described", 6, |_| describe(6, &group))
        .await;
    both.call::<LeaveGroupRequest>("leave under the old id", 5, |side| {
        leave(5, &group, &side.note("a"), Some("one"))
    })
    .await;
    both.call::<LeaveGroupRequest>("removed by its instance id alone", 5, |_| {
        leave(5, &group, "", Some("one"))
    })
    .await;
    both.call::<DescribeGroupsRequest>("empty", 6, |_| describe(6, &group))
        .await;
    Ok(())
}

pub async fn description(both: &mut Both) -> anyhow::Result<()> {
    let missing = both.name("missing");
    both.call_in_each_version::<DescribeGroupsRequest>("an unknown group", |_, v| {
        describe(v, &missing)
    })
    .await;
    for names in [vec![missing.as_str()], vec![&missing, &missing]] {
        both.call_in_each_version::<DeleteGroupsRequest>("delete what is not there", |_, _| {
            DeleteGroupsRequest::default().with_groups_names(names.iter().map(group_id).collect())
        })
        .await;
    }
    for v in 5..=both.latest::<ListGroupsRequest>() {
        for kind in ["consumer", "share", "nonsense"] {
            both.call::<ListGroupsRequest>("all of a type", v, |_| {
                ListGroupsRequest::default().with_types_filter(vec![s(kind)])
            })
            .await;
        }
    }
    Ok(())
}

/// Runs before all others: the list holds what every scenario leaves.
pub async fn listing(both: &mut Both) -> anyhow::Result<()> {
    // Here, since commits of other scenarios make a group of that name on Kafka.
    both.call_in_each_version::<DescribeGroupsRequest>("a group without a name", |_, v| {
        describe(v, "")
    })
    .await;
    both.call_in_each_version::<DeleteGroupsRequest>("delete a group without a name", |_, _| {
        DeleteGroupsRequest::default().with_groups_names(vec![group_id("")])
    })
    .await;
    both.call_in_each_version::<ListGroupsRequest>("everything", |_, _| {
        ListGroupsRequest::default()
    })
    .await;
    let group = both.name("g");
    one_member(both, 9, &group).await;
    for v in both.versions::<ListGroupsRequest>() {
        both.call::<ListGroupsRequest>("with a stable group", v, |_| ListGroupsRequest::default())
            .await;
        for state in ["Stable", "stable", "Empty", "Sleeping"] {
            if v >= 4 {
                both.call::<ListGroupsRequest>("by state", v, |_| {
                    ListGroupsRequest::default().with_states_filter(vec![s(state)])
                })
                .await;
            }
        }
    }
    Ok(())
}
