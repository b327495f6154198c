//! Resets of a running broker, with clients connected.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::{
    FetchRequest, GroupId, JoinGroupRequest, ListGroupsRequest, MetadataRequest,
    join_group_request::JoinGroupRequestProtocol,
};
use serde_json::{Value, json};
use support::http::{Answer, ask, get};
use support::member::{Member, commit_outside, committed, create_topic, fetch, text};
use support::*;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);

async fn reset(running: &Running, scope: &str) -> Answer {
    let body = json!({"scope": scope}).to_string();
    let answer = ask(&running.address(), "POST", "/v1/reset", &[], &body).await;
    if answer.status == 200 {
        described(&running.address(), "ResetDone", &answer.json()).await;
    }
    answer
}

/// The answer is as openapi.json describes it.
async fn described(address: &str, schema: &str, value: &Value) {
    let whole = get(address, "/openapi.json").await.json();
    let schema = &whole["components"]["schemas"][schema];
    support::schema::check(&whole, schema, value).unwrap();
}

/// Names and ids.
async fn topics(connection: &mut Connection) -> Vec<(String, Uuid, usize)> {
    let request = MetadataRequest::default().with_topics(None);
    let answer = connection.call(12, &request).await.unwrap();
    let topics = answer.topics.iter();
    topics
        .map(|t| {
            let name = t.name.as_ref().unwrap().to_string();
            (name, t.topic_id, t.partitions.len())
        })
        .collect()
}

async fn groups(connection: &mut Connection) -> Vec<String> {
    let answer = connection.call(4, &ListGroupsRequest::default()).await;
    let groups = answer.unwrap().groups;
    groups.iter().map(|g| g.group_id.to_string()).collect()
}

async fn produce(connection: &mut Connection, topic: &str) -> (i16, i64) {
    let request = produce_request(topic, -1, batch(&["a", "b"]));
    produced(&connection.call(9, &request).await.unwrap())
}

/// A member of the group `workers` on `orders`, which has records and a commit.
async fn busy(running: &Running) -> Member {
    let mut setup = running.connect().await;
    create_topic(&mut setup, "orders", 3, &[("retention.ms", "12345")]).await;
    create_topic(&mut setup, "empty", 1, &[]).await;
    assert_eq!(produce(&mut setup, "orders").await, (0, 0));
    let connections = (running.connect().await, running.connect().await);
    let mut member = Member::join(connections, "workers", "orders", &[0, 1, 2]).await;
    assert_eq!(member.commit(0, 2, "").await, 0);
    assert_eq!(
        commit_outside(&mut setup, "tool", "orders", &[(0, 1, "")]).await,
        [0]
    );
    member
}

#[tokio::test]
async fn all_topics_and_groups_go_and_who_waits_is_told() {
    let running = start(&[]).await;
    let mut member = busy(&running).await;
    let (mut admin, mut waiting) = (running.connect().await, running.connect().await);
    let before = topics(&mut admin).await;
    assert_eq!(before.len(), 2);
    waiting
        .send(11, &fetch_request("orders", 2, LONG))
        .await
        .unwrap();
    let done = reset(&running, "all").await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.json(), json!({"topics": 2, "groups": 2}));
    let answer = waiting.receive::<FetchRequest>(11).await.unwrap();
    let gone = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(answer.responses[0].partitions[0].error_code, gone);
    assert_eq!(topics(&mut admin).await, []);
    assert_eq!(groups(&mut admin).await, Vec::<String>::new());
    assert_eq!(
        member.heartbeat().await,
        ResponseError::UnknownMemberId.code()
    );
    assert_eq!(produce(&mut admin, "other").await.0, gone);
    // The same again, from the beginning.
    create_topic(&mut admin, "orders", 3, &[]).await;
    let after = topics(&mut admin).await;
    assert!(before.iter().all(|old| old.1 != after[0].1));
    assert_eq!(produce(&mut admin, "orders").await, (0, 0));
    assert_eq!(committed(&mut admin, "tool", "orders", 0).await.0, -1);
    let connections = (running.connect().await, running.connect().await);
    let mut again = Member::join(connections, "workers", "orders", &[0]).await;
    assert_eq!(again.generation, 1);
    assert_eq!(again.position(0).await, -1);
    assert_eq!(again.fetch(0, 0).await.len(), 2);
    // Nothing is left to take away.
    assert_eq!(reset(&running, "all").await.json()["topics"], 1);
    assert_eq!(
        reset(&running, "all").await.json(),
        json!({"topics": 0, "groups": 0})
    );
}

#[tokio::test]
async fn a_join_that_waits_for_others_is_told_to_try_again() {
    let running = start(&[("group.initial.rebalance.delay.ms", "60000")]).await;
    let mut joining = running.connect().await;
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(text("range")),
        ]);
    joining.send(3, &request).await.unwrap();
    let mut admin = running.connect().await;
    // It is not there before the broker has read it.
    while groups(&mut admin).await != ["g"] {
        tokio::task::yield_now().await;
    }
    assert_eq!(reset(&running, "all").await.status, 200);
    let answer = joining.receive::<JoinGroupRequest>(3).await.unwrap();
    let again = ResponseError::CoordinatorNotAvailable.code();
    assert_eq!(answer.error_code, again);
    assert_eq!(groups(&mut admin).await, Vec::<String>::new());
}

#[tokio::test]
async fn groups_stay_when_topics_alone_go_without_their_offsets() {
    let running = start(&[]).await;
    let mut member = busy(&running).await;
    let done = reset(&running, "topics").await;
    assert_eq!(done.json(), json!({"topics": 2, "groups": 0}));
    let mut admin = running.connect().await;
    assert_eq!(topics(&mut admin).await, []);
    assert_eq!(member.heartbeat().await, 0);
    create_topic(&mut admin, "orders", 3, &[]).await;
    assert_eq!(member.position(0).await, -1);
    assert_eq!(produce(&mut admin, "orders").await, (0, 0));
    assert_eq!(member.commit(0, 1, "").await, 0);
}

#[tokio::test]
async fn kept_topics_are_empty_and_have_their_partitions_and_settings() {
    let running = start(&[]).await;
    let mut member = busy(&running).await;
    let mut admin = running.connect().await;
    let before = topics(&mut admin).await;
    let done = reset(&running, "keep-topics").await;
    assert_eq!(done.json(), json!({"topics": 2, "groups": 2}));
    let after = topics(&mut admin).await;
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((&old.0, old.2), (&new.0, new.2));
        assert_ne!(old.1, new.1);
    }
    assert_eq!(
        member.heartbeat().await,
        ResponseError::UnknownMemberId.code()
    );
    let waited = fetch(&mut admin, "orders", 0, 2, Duration::ZERO).await;
    assert_eq!(waited, Err(ResponseError::OffsetOutOfRange.code()));
    assert_eq!(produce(&mut admin, "orders").await, (0, 0));
    assert_eq!(retention(&mut admin).await, "12345");
    // As durable as any other change.
    let running = running.restart(&[]).await;
    let mut admin = running.connect().await;
    assert_eq!(topics(&mut admin).await, after);
    assert_eq!(groups(&mut admin).await, Vec::<String>::new());
    assert_eq!(produce(&mut admin, "orders").await, (0, 2));
}

async fn retention(connection: &mut Connection) -> String {
    use ottla_codec::messages::DescribeConfigsRequest;
    use ottla_codec::messages::describe_configs_request::DescribeConfigsResource;
    let request = DescribeConfigsRequest::default().with_resources(vec![
        DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configuration_keys(Some(vec![text("retention.ms")])),
    ]);
    let answer = connection.call(1, &request).await.unwrap();
    let config = &answer.results[0].configs[0];
    config.value.clone().unwrap().to_string()
}

#[tokio::test]
async fn a_reset_is_for_those_who_may_delete_topics_and_for_no_other_page() {
    let running = start(&[("delete.topic.enable", "false")]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let refused = reset(&running, "all").await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (409, "deletion_disabled")
    );
    assert_eq!(topics(&mut admin).await.len(), 1);
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    for (header, code) in [
        (("Origin", "http://evil.example"), "origin"),
        (("Host", "evil.example"), "host"),
    ] {
        let refused = ask(&running.address(), "POST", "/v1/reset", &[header], "").await;
        assert_eq!((refused.status, &*refused.code()), (403, code));
    }
    for body in [
        r#"{"scope": "everything"}"#,
        r#"{"topic": "t"}"#,
        "[1]",
        "{",
    ] {
        let refused = ask(&running.address(), "POST", "/v1/reset", &[], body).await;
        assert_eq!(refused.status, 400, "{body}");
    }
    assert_eq!(topics(&mut admin).await.len(), 1);
    let done = ask(&running.address(), "POST", "/v1/reset", &[], "").await;
    assert_eq!(done.json(), json!({"topics": 1, "groups": 0}));
    assert_eq!(topics(&mut admin).await, []);
}

#[tokio::test]
async fn snapshots_are_told_as_they_are_described() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create_topic(&mut admin, "orders", 3, &[]).await;
    produce(&mut admin, "orders").await;
    let address = running.address();
    let saved = ask(&address, "POST", "/v1/snapshots", &[], r#"{"name": "one"}"#).await;
    assert_eq!(saved.status, 201, "{}", saved.body);
    described(&address, "Snapshot", &saved.json()).await;
    assert_eq!(
        (&saved.json()["topics"], &saved.json()["partitions"]),
        (&json!(1), &json!(3))
    );
    let listed = ask(&address, "GET", "/v1/snapshots", &[], "").await.json();
    described(&address, "Snapshots", &listed).await;
    assert_eq!(listed, json!({"snapshots": [saved.json()]}));
    for (body, status, code) in [
        (r#"{"name": "one"}"#, 409, "exists"),
        (r#"{"name": "../one"}"#, 400, "bad_name"),
        (r#"{"name": ""}"#, 400, "bad_name"),
        ("", 400, "bad_name"),
        (r#"{"name": "two", "path": "/etc"}"#, 400, "bad_body"),
    ] {
        let refused = ask(&address, "POST", "/v1/snapshots", &[], body).await;
        assert_eq!((refused.status, &*refused.code()), (status, code), "{body}");
    }
    for (name, status, code) in [
        ("two", 404, "unknown_snapshot"),
        ("..%2F..%2Fmeta", 400, "bad_name"),
    ] {
        let path = format!("/v1/snapshots/{name}");
        let refused = ask(&address, "DELETE", &path, &[], "").await;
        assert_eq!((refused.status, &*refused.code()), (status, code), "{name}");
    }
    let deleted = ask(&address, "DELETE", "/v1/snapshots/one", &[], "").await;
    described(&address, "SnapshotDeleted", &deleted.json()).await;
    assert_eq!(
        ask(&address, "GET", "/v1/snapshots", &[], "").await.json(),
        json!({"snapshots": []})
    );
    assert_eq!(produce(&mut admin, "orders").await, (0, 2));
}
