//! Many groups: each has a member that heartbeats, and positions in ten partitions.

use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;

use super::cost::{at_rest, lives, ms, per_request, per_round, settled_bytes};
use super::topics::{At, create};
use crate::measure::{Sample, lower};
use crate::process::resident_bytes;
use crate::target::{Programs, Server, Target};

const PARTITIONS: u64 = 10;
/// Longer than a run: members are measured with heartbeats and without.
const SESSION_MS: i32 = 1_000_000;
const HEARTBEAT: i16 = 4;
const COMMIT: i16 = 8;
/// What each member says it takes, and gets: an empty subscription.
const NOTHING: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// How many join at the same time, each over a connection of its own.
const AT_ONCE: usize = 200;

struct Member {
    group: GroupId,
    id: StrBytes,
    generation: i32,
}

/// Runs one size.
pub async fn run(programs: &Programs, target: Target, groups: u64) -> Result<Vec<Sample>> {
    let mut server = Server::start(target, programs).await?;
    let mut connection = Connection::connect(server.address.clone()).await?;
    let topic = create(&mut connection, 1, PARTITIONS).await?;
    let before = settled_bytes(&server).await?;
    let started = Instant::now();
    let mut members = Vec::new();
    let numbers: Vec<u64> = (0..groups).collect();
    for some in numbers.chunks(AT_ONCE) {
        let mut joining = tokio::task::JoinSet::new();
        for number in some {
            joining.spawn(join(server.address.clone(), *number));
        }
        while let Some(member) = joining.join_next().await {
            members.push(member??);
        }
    }
    let mut samples = vec![lower("all joined", "ms", ms(started.elapsed()))];
    for (number, member) in members.iter().enumerate() {
        commit(&mut connection, member, &topic, number as i64).await?;
    }
    samples.extend(at_rest(&server).await?);
    let after = resident_bytes(server.pid())? as f64;
    samples.push(lower(
        "memory a group",
        "kB",
        (after - before) / 1e3 / groups as f64,
    ));

    let mut add = |metric, cost| samples.push(lower(metric, "µs of CPU", cost));
    let beat = per_round(&server, async |round| {
        let member = &members[round as usize % members.len()];
        let request = HeartbeatRequest::default()
            .with_group_id(member.group.clone())
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone());
        let answer = connection.call(HEARTBEAT, &request).await?;
        ensure!(
            answer.error_code == 0,
            "a heartbeat failed: {}",
            answer.error_code
        );
        Ok(())
    });
    add("a heartbeat", beat.await?);
    let committed = per_round(&server, async |round| {
        let member = &members[round as usize % members.len()];
        commit(&mut connection, member, &topic, round as i64).await
    });
    add("a commit of ten positions", committed.await?);
    let list = ListGroupsRequest::default();
    add(
        "ListGroups",
        per_request(&server, &mut connection, 4, &list).await?,
    );
    let one = DescribeGroupsRequest::default().with_groups(vec![members[0].group.clone()]);
    add(
        "DescribeGroups of one",
        per_request(&server, &mut connection, 5, &one).await?,
    );
    let all = members.iter().map(|m| m.group.clone()).collect();
    let all = DescribeGroupsRequest::default().with_groups(all);
    add(
        "DescribeGroups of all",
        per_request(&server, &mut connection, 5, &all).await?,
    );

    drop(connection);
    samples.extend(lives(&mut server, "stop").await?);
    let resident = resident_bytes(server.pid())? as f64 / 1e6;
    samples.push(lower("resident after a start", "MB", resident));
    Ok(samples)
}

async fn join(address: String, number: u64) -> Result<Member> {
    let mut connection = Connection::connect(address).await?;
    let group = GroupId(StrBytes::from_string(format!("scale-{number:05}")));
    let mut request = JoinGroupRequest::default()
        .with_group_id(group.clone())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(SESSION_MS)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str("range"))
                .with_metadata(Bytes::from_static(NOTHING)),
        ]);
    let started = Instant::now();
    loop {
        let answer = connection.call(5, &request).await?;
        match answer.error_code {
            0 => {
                let member = Member {
                    group,
                    id: answer.member_id,
                    generation: answer.generation_id,
                };
                sync(&mut connection, &member).await?;
                return Ok(member);
            }
            // The coordinator is loading, or a member id is to be used.
            14..=16 | 79 if started.elapsed().as_secs() < 60 => {
                request.member_id = answer.member_id;
            }
            error => anyhow::bail!("not joined: {error}"),
        }
    }
}

async fn sync(connection: &mut Connection, member: &Member) -> Result<()> {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(member.id.clone())
        .with_assignment(Bytes::from_static(NOTHING));
    let request = SyncGroupRequest::default()
        .with_group_id(member.group.clone())
        .with_generation_id(member.generation)
        .with_member_id(member.id.clone())
        .with_assignments(vec![assignment]);
    let answer = connection.call(3, &request).await?;
    ensure!(
        answer.error_code == 0,
        "no assignment: {}",
        answer.error_code
    );
    Ok(())
}

async fn commit(
    connection: &mut Connection,
    member: &Member,
    topic: &[At],
    offset: i64,
) -> Result<()> {
    let partitions = topic.iter().map(|at| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(at.index)
            .with_committed_offset(offset)
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic[0].topic.clone())
        .with_partitions(partitions.collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(member.group.clone())
        .with_generation_id_or_member_epoch(member.generation)
        .with_member_id(member.id.clone())
        .with_topics(vec![topic]);
    let answer = connection.call(COMMIT, &request).await?;
    for partition in answer.topics.iter().flat_map(|t| &t.partitions) {
        ensure!(partition.error_code == 0, "not committed: {partition:?}");
    }
    Ok(())
}
