use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};

use crate::parity::both::Both;
use crate::parity::words::{s, topic_name};

fn topic(name: &str, partitions: i32, replication: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
}

fn with_config(topic: CreatableTopic, name: &str, value: Option<&str>) -> CreatableTopic {
    topic.with_configs(vec![
        CreatableTopicConfig::default()
            .with_name(s(name))
            .with_value(value.map(s)),
    ])
}

fn create(topics: Vec<CreatableTopic>, validate_only: bool) -> CreateTopicsRequest {
    CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(10_000)
        .with_validate_only(validate_only)
}

fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment::default()
        .with_partition_index(partition)
        .with_broker_ids(brokers.iter().map(|id| (*id).into()).collect())
}

pub async fn creation(both: &mut Both) -> anyhow::Result<()> {
    for v in both.versions::<CreateTopicsRequest>() {
        let plain = both.name(&format!("plain{v}"));
        let default = both.name(&format!("default{v}"));
        let assigned = both.name(&format!("assigned{v}"));
        let retained = both.name(&format!("retained{v}"));
        let topics = vec![
            topic(&plain, 2, 1),
            topic(&assigned, -1, -1)
                .with_assignments(vec![assignment(0, &[1]), assignment(1, &[1])]),
            with_config(topic(&retained, 1, 1), "retention.ms", Some("1234")),
        ];
        for (step, validate_only) in [
            ("only validated", true),
            ("made", false),
            ("there already", false),
        ] {
            both.call::<CreateTopicsRequest>(step, v, |_| create(topics.clone(), validate_only))
                .await;
        }
        if v >= 4 {
            both.call::<CreateTopicsRequest>("with defaults", v, |_| {
                create(vec![topic(&default, -1, -1)], false)
            })
            .await;
        }
    }
    Ok(())
}

pub async fn refused_creation(both: &mut Both) -> anyhow::Result<()> {
    let name = both.name("x");
    let dots = both.name("with.dots");
    both.call::<CreateTopicsRequest>("dots", 7, |_| create(vec![topic(&dots, 1, 1)], false))
        .await;
    let underscores = dots.replace('.', "_");
    let fresh = |partitions, replication| topic(&name, partitions, replication);
    let config = |config: &str, value: Option<&str>| with_config(fresh(1, 1), config, value);
    let long = "x".repeat(250);
    let mut cases = vec![
        ("empty name", vec![topic("", 1, 1)]),
        ("name .", vec![topic(".", 1, 1)]),
        ("name ..", vec![topic("..", 1, 1)]),
        ("name with a slash", vec![topic("../x", 1, 1)]),
        ("name too long", vec![topic(&long, 1, 1)]),
        ("name that collides", vec![topic(&underscores, 1, 1)]),
        ("a name twice", vec![fresh(1, 1), fresh(1, 1)]),
        ("0 partitions", vec![fresh(0, 1)]),
        ("-2 partitions", vec![fresh(-2, 1)]),
        ("replication factor 0", vec![fresh(1, 0)]),
        ("replication factor -2", vec![fresh(1, -2)]),
        ("unknown config", vec![config("no.such.config", Some("1"))]),
        ("a null config value", vec![config("retention.ms", None)]),
        (
            "partitions and assignments",
            vec![fresh(1, -1).with_assignments(vec![assignment(0, &[1])])],
        ),
        (
            "assignment to an unknown broker",
            vec![fresh(-1, -1).with_assignments(vec![assignment(0, &[99])])],
        ),
        (
            "assignment with a gap",
            vec![fresh(-1, -1).with_assignments(vec![assignment(0, &[1]), assignment(2, &[1])])],
        ),
        (
            "assignment to a broker twice",
            vec![fresh(-1, -1).with_assignments(vec![assignment(0, &[1, 1])])],
        ),
        (
            "assignment to nobody",
            vec![fresh(-1, -1).with_assignments(vec![assignment(0, &[])])],
        ),
        ("an internal topic", vec![topic("__consumer_offsets", 1, 1)]),
    ];
    for (key, value) in [
        ("retention.ms", "-2"),
        ("retention.ms", "soon"),
        ("segment.bytes", "1"),
        ("segment.bytes", "99999999999"),
        ("cleanup.policy", "shred"),
        ("compression.type", "rar"),
        ("message.timestamp.type", "Never"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("min.insync.replicas", "0"),
        ("max.message.bytes", "-1"),
        ("preallocate", "perhaps"),
    ] {
        cases.push(("a bad config value", vec![config(key, Some(value))]));
    }
    for v in [2, 5, both.latest::<CreateTopicsRequest>()] {
        for (step, topics) in &cases {
            both.call::<CreateTopicsRequest>(step, v, |_| create(topics.clone(), false))
                .await;
        }
    }
    Ok(())
}

pub async fn deletion(both: &mut Both) -> anyhow::Result<()> {
    for v in both.versions::<DeleteTopicsRequest>() {
        let name = both.topic(&format!("t{v}"), 1, &[]).await?;
        let missing = both.name("missing");
        let by_name = |name: &str| match v {
            ..6 => DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]),
            _ => DeleteTopicsRequest::default().with_topics(vec![
                DeleteTopicState::default().with_name(Some(topic_name(name))),
            ]),
        };
        for (step, name) in [
            ("a topic", name.as_str()),
            ("an unknown topic", missing.as_str()),
            ("an impossible name", "a/b"),
        ] {
            both.call::<DeleteTopicsRequest>(step, v, |_| by_name(name).with_timeout_ms(10_000))
                .await;
        }
        both.eventually::<MetadataRequest>("it is gone", 9, |_| {
            MetadataRequest::default()
                .with_topics(Some(vec![
                    MetadataRequestTopic::default().with_name(Some(topic_name(&name))),
                ]))
                .with_allow_auto_topic_creation(false)
        })
        .await;
    }
    let name = both.topic("by-id", 1, &[]).await?;
    let states = |states: Vec<DeleteTopicState>| {
        DeleteTopicsRequest::default()
            .with_topics(states)
            .with_timeout_ms(10_000)
    };
    let by_id = |id: uuid::Uuid| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    };
    both.call::<DeleteTopicsRequest>("by an unknown id", 6, |_| {
        states(vec![by_id(uuid::Uuid::from_u128(3))])
    })
    .await;
    both.call::<DeleteTopicsRequest>("neither name nor id", 6, |_| {
        states(vec![by_id(uuid::Uuid::nil())])
    })
    .await;
    both.call::<DeleteTopicsRequest>("name and id", 6, |side| {
        states(vec![
            by_id(side.topic_id(&name)).with_name(Some(topic_name(&name))),
        ])
    })
    .await;
    both.call::<DeleteTopicsRequest>("by id", 6, |side| states(vec![by_id(side.topic_id(&name))]))
        .await;
    Ok(())
}

pub async fn partitions(both: &mut Both) -> anyhow::Result<()> {
    let name = both.topic("t", 1, &[]).await?;
    let missing = both.name("missing");
    let ask = |topics: Vec<CreatePartitionsTopic>, validate_only: bool| {
        CreatePartitionsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(10_000)
            .with_validate_only(validate_only)
    };
    let to = |name: &str, count: i32| {
        CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(None)
    };
    let placed = |count: i32, brokers: &[&[i32]]| {
        to(&name, count).with_assignments(Some(
            brokers
                .iter()
                .map(|ids| {
                    CreatePartitionsAssignment::default()
                        .with_broker_ids(ids.iter().map(|id| (*id).into()).collect())
                })
                .collect(),
        ))
    };
    for v in both.versions::<CreatePartitionsRequest>() {
        let more = 2 + i32::from(v);
        for (step, topics, validate_only) in [
            ("fewer", vec![to(&name, 0)], false),
            ("negative", vec![to(&name, -1)], false),
            ("as many", vec![to(&name, more - 1)], false),
            ("unknown topic", vec![to(&missing, 3)], false),
            ("a topic twice", vec![to(&name, 9), to(&name, 10)], false),
            (
                "assignment too short",
                vec![placed(more + 1, &[&[1]])],
                false,
            ),
            ("unknown broker", vec![placed(more, &[&[7]])], false),
            ("assignment to nobody", vec![placed(more, &[&[]])], false),
            ("only validated", vec![to(&name, more)], true),
            ("one more", vec![placed(more, &[&[1]])], false),
        ] {
            both.call::<CreatePartitionsRequest>(step, v, |_| ask(topics.clone(), validate_only))
                .await;
        }
        both.eventually::<MetadataRequest>("they are there", 9, |_| {
            MetadataRequest::default().with_topics(Some(vec![
                MetadataRequestTopic::default().with_name(Some(topic_name(&name))),
            ]))
        })
        .await;
    }
    Ok(())
}
