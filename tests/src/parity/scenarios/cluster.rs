use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeLogDirsRequest, FindCoordinatorRequest,
    ProduceRequest,
};

use crate::parity::batch::Batch;
use crate::parity::both::Both;
use crate::parity::words::{produce, s, topic_name};

pub async fn versions(both: &mut Both) -> anyhow::Result<()> {
    let named = |v: i16| match v {
        3.. => ApiVersionsRequest::default()
            .with_client_software_name(s("parity"))
            .with_client_software_version(s("1.0")),
        _ => ApiVersionsRequest::default(),
    };
    both.call_in_each_version::<ApiVersionsRequest>("the list", |_, v| named(v))
        .await;
    for name in ["", "with space", "-dash"] {
        both.call::<ApiVersionsRequest>("an impossible software name", 3, |_| {
            named(3).with_client_software_name(s(name))
        })
        .await;
    }
    // Key 18, version 99, correlation id 5, no client id: answered in version 0 (KIP-511).
    let too_new = [&[0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff, 0][..]].concat();
    both.raw("a version too new", &too_new).await;
    both.call::<ApiVersionsRequest>("and the connection lives on", 3, |_| named(3))
        .await;
    Ok(())
}

pub async fn description(both: &mut Both) -> anyhow::Result<()> {
    for operations in [false, true] {
        both.call_in_each_version::<DescribeClusterRequest>("brokers", |_, _| {
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(operations)
        })
        .await;
    }
    for v in 2..=both.latest::<DescribeClusterRequest>() {
        both.call::<DescribeClusterRequest>("fenced brokers too", v, |_| {
            DescribeClusterRequest::default().with_include_fenced_brokers(true)
        })
        .await;
    }
    for v in 1..=both.latest::<DescribeClusterRequest>() {
        for endpoint in [2, 9] {
            both.call::<DescribeClusterRequest>("other endpoints", v, |_| {
                DescribeClusterRequest::default().with_endpoint_type(endpoint)
            })
            .await;
        }
    }
    Ok(())
}

pub async fn log_directories(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    both.call::<ProduceRequest>("fill", 9, |side| {
        produce(side, 9, &topic, 0, Batch::of(&["a", "b", "c"]).build())
    })
    .await;
    let ask = |name: &str, partitions: &[i32]| {
        DescribeLogDirsRequest::default().with_topics(Some(vec![
            DescribableLogDirTopic::default()
                .with_topic(topic_name(name))
                .with_partitions(partitions.to_vec()),
        ]))
    };
    for (step, name, partitions) in [
        ("two partitions", topic.as_str(), &[0, 1][..]),
        ("an unknown partition", &topic, &[0, 9]),
        ("an unknown topic", &missing, &[0]),
    ] {
        both.call_in_each_version::<DescribeLogDirsRequest>(step, |_, _| ask(name, partitions))
            .await;
    }
    both.call_in_each_version::<DescribeLogDirsRequest>("no topics", |_, _| {
        DescribeLogDirsRequest::default().with_topics(Some(vec![]))
    })
    .await;
    Ok(())
}

pub async fn coordinators(both: &mut Both) -> anyhow::Result<()> {
    let ask = |v: i16, key: &str, kind: i8| {
        let request = FindCoordinatorRequest::default().with_key_type(kind);
        match v {
            ..4 => request.with_key(s(key)),
            _ => request.with_coordinator_keys(vec![s(key), s("another")]),
        }
    };
    both.call_in_each_version::<FindCoordinatorRequest>("of a group", |_, v| ask(v, "g", 0))
        .await;
    for v in 1..=both.latest::<FindCoordinatorRequest>() {
        both.call::<FindCoordinatorRequest>("of transactions", v, |_| ask(v, "x", 1))
            .await;
        for kind in [2, 9, -1] {
            both.call::<FindCoordinatorRequest>("of another kind", v, |_| ask(v, "g", kind))
                .await;
        }
    }
    both.call_in_each_version::<FindCoordinatorRequest>("of a group without a name", |_, v| {
        ask(v, "", 0)
    })
    .await;
    Ok(())
}

pub async fn unknown_requests(both: &mut Both) -> anyhow::Result<()> {
    for (step, body) in [
        (
            "an unknown API",
            &[0x27, 0x0f, 0, 0, 0, 0, 0, 1, 0xff, 0xff][..],
        ),
        (
            "a negative API",
            &[0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        ),
        (
            "Metadata in a version too new",
            &[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        ),
        (
            "Metadata in a negative version",
            &[0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff],
        ),
        (
            "Fetch in a version too old",
            &[0, 1, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        ),
        ("a header cut short", &[0, 3, 0]),
        ("an empty frame", &[]),
        (
            "Metadata with a count that is a lie",
            &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        ),
        (
            "Metadata without a body",
            &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff],
        ),
    ] {
        both.raw(step, body).await;
    }
    Ok(())
}
