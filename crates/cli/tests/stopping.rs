//! How a broker stops: what waits is answered, nobody holds it up, a second signal ends it at once.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::time::{Duration, Instant};

use ottla_client::kafka_protocol::ResponseError;
use ottla_client::kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_client::kafka_protocol::messages::{
    FetchRequest, GroupId, JoinGroupRequest, JoinGroupResponse, ListGroupsRequest, SyncGroupRequest,
};
use support::wire::*;
use support::{PATIENCE, Served};
use tokio::io::AsyncWriteExt;

const SYNC: i16 = 1;

fn sync_request(group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let member = joined.member_id.clone();
    SyncGroupRequest::default()
        .with_group_id(GroupId(string(group)))
        .with_generation_id(joined.generation_id)
        .with_member_id(member.clone())
        .with_assignments(match joined.leader == joined.member_id {
            true => vec![SyncGroupRequestAssignment::default().with_member_id(member)],
            false => vec![],
        })
}

#[tokio::test]
async fn sigterm_answers_everything_that_waits_and_ends_within_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Served::start_with(dir.path(), &["-o", "group.initial.rebalance.delay.ms=0"]);
    let mut setup = broker.connect().await;
    assert_eq!(auto_create(&mut setup, "t").await, 0);

    // Idle, and waiting for data.
    let idle = broker.connect().await;
    let mut fetches = Vec::new();
    for _ in 0..20 {
        let mut connection = broker.connect().await;
        let request = fetch_request("t", 0, PATIENCE);
        connection.send(FETCH, &request).await.unwrap();
        fetches.push(connection);
    }
    // Half a request.
    let mut half = broker.connect().await;
    half.write_bytes(&frame(&header(3, 9))[..9]).await.unwrap();

    // A second member, which waits for the first to join again.
    let mut first = broker.connect().await;
    let joined = first.call(JOIN, &join_request("g", "")).await.unwrap();
    assert_eq!(joined.error_code, 0);
    first.call(SYNC, &sync_request("g", &joined)).await.unwrap();
    let mut second = broker.connect().await;
    second.send(JOIN, &join_request("g", "")).await.unwrap();

    // A follower that waits for its leader's assignment.
    let mut leader = broker.connect().await;
    let joined = leader.call(JOIN, &join_request("h", "")).await.unwrap();
    let mut follower = broker.connect().await;
    follower.send(JOIN, &join_request("h", "")).await.unwrap();
    // Until the follower's join is there, the leader's would begin no new generation.
    let again = loop {
        let request = join_request("h", &joined.member_id);
        let again = leader.call(JOIN, &request).await.unwrap();
        if again.members.len() == 2 {
            break again;
        }
    };
    assert_eq!(again.error_code, 0);
    let followed = follower.receive::<JoinGroupRequest>(JOIN).await.unwrap();
    assert_eq!(followed.generation_id, again.generation_id);
    follower
        .send(SYNC, &sync_request("h", &followed))
        .await
        .unwrap();

    // Answered on a connection after them: requests sent before are taken up by now, or as good as.
    setup.call(2, &ListGroupsRequest::default()).await.unwrap();
    let begun = Instant::now();
    broker.signal("-TERM");
    let joined = second.receive::<JoinGroupRequest>(JOIN).await.unwrap();
    let synced = follower.receive::<SyncGroupRequest>(SYNC).await.unwrap();
    for code in [joined.error_code, synced.error_code] {
        let error = ResponseError::try_from_code(code).unwrap();
        assert!(error.is_retriable(), "{error:?}");
    }
    for mut connection in fetches {
        let answer = connection.receive::<FetchRequest>(FETCH).await.unwrap();
        assert_eq!(answer.error_code, 0);
    }
    let (status, told) = broker.wait();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("Stopped."), "{told}");
    drop((idle, half));
}

#[tokio::test]
async fn a_second_sigint_ends_it_at_once() {
    // Whoever does not read its answers may hold up a stop for a moment, in which the second signal comes; a machine
    // that is busy enough can miss that moment.
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let mut broker = Served::start(dir.path());
        let mut deaf = tokio::net::TcpStream::connect(&*broker.address)
            .await
            .unwrap();
        let many = frame(&header(18, 0)).repeat(4096);
        while let Ok(written) =
            tokio::time::timeout(Duration::from_millis(300), deaf.write_all(&many)).await
        {
            written.unwrap();
        }
        broker.signal("-INT");
        let line = broker.wait_for("Stopping on SIGINT");
        assert!(line.contains("once more"), "{line}");
        broker.signal("-INT");
        let (status, told) = broker.wait();
        if status.code() == Some(130) {
            assert!(!told.contains("Stopped."), "{told}");
            return;
        }
        assert_eq!(status.code(), Some(0), "{told}");
    }
    panic!("five times the second signal came too late");
}
