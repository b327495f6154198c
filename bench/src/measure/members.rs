//! Members of a classic group, by hand: what heartbeats and commits need.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;

/// The group.
pub const GROUP: &str = "bench";
/// Nobody is put out while it is measured.
const SESSION_TIMEOUT_MS: i32 = 600_000;
/// Apache Kafka makes its topic of offsets first.
const COORDINATOR_DEADLINE: Duration = Duration::from_secs(30);

/// One member of the group in its one generation.
#[derive(Debug, Clone)]
pub struct Member {
    /// The id that the broker gave.
    pub id: StrBytes,
    /// The generation.
    pub generation: i32,
}

/// The group's id as messages have it.
pub fn group_id() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

/// `count` members that have joined together. Their connections are closed; a member is known by its id.
pub async fn join(address: &str, count: usize) -> Result<Vec<Member>> {
    find_coordinator(address).await?;
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Connection::connect(address).await?);
    }
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str("range"))
        .with_metadata(Bytes::from_static(b"bench"));
    // A version without the second round for the member's id.
    let request = JoinGroupRequest::default()
        .with_group_id(group_id())
        .with_session_timeout_ms(SESSION_TIMEOUT_MS)
        .with_rebalance_timeout_ms(SESSION_TIMEOUT_MS)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    for connection in &mut connections {
        connection.send(3, &request).await?;
    }
    let mut members = Vec::new();
    let mut leader = 0;
    for (number, connection) in connections.iter_mut().enumerate() {
        let joined = connection.receive::<JoinGroupRequest>(3).await?;
        ensure!(joined.error_code == 0, "not joined: {joined:?}");
        if joined.leader == joined.member_id {
            ensure!(joined.members.len() == count, "the group is not whole");
            leader = number;
        }
        members.push(Member {
            id: joined.member_id,
            generation: joined.generation_id,
        });
    }
    let assignments = members.iter().map(|member| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.id.clone())
            .with_assignment(Bytes::from_static(b"bench"))
    });
    let assignments: Vec<_> = assignments.collect();
    for (number, (connection, member)) in connections.iter_mut().zip(&members).enumerate() {
        let mine = (number == leader).then(|| assignments.clone());
        let request = SyncGroupRequest::default()
            .with_group_id(group_id())
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone())
            .with_assignments(mine.unwrap_or_default());
        connection.send(2, &request).await?;
    }
    for connection in &mut connections {
        let synced = connection.receive::<SyncGroupRequest>(2).await?;
        ensure!(synced.error_code == 0, "not synced: {synced:?}");
    }
    Ok(members)
}

/// Waits until the broker has the group.
async fn find_coordinator(address: &str) -> Result<()> {
    let mut connection = Connection::connect(address).await?;
    let find = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str(GROUP));
    // Of a member that it does not know: it says so once it has loaded what there is.
    let probe = HeartbeatRequest::default()
        .with_group_id(group_id())
        .with_member_id(StrBytes::from_static_str("nobody"));
    let started = Instant::now();
    loop {
        let found = connection.call(2, &find).await?;
        let told = connection.call(2, &probe).await?;
        if found.error_code == 0 && told.error_code == ResponseError::UnknownMemberId.code() {
            return Ok(());
        }
        ensure!(
            started.elapsed() < COORDINATOR_DEADLINE,
            "no coordinator: {found:?}, {told:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
