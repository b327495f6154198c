//! Where partitions are led and kept, and what a cluster of one node says of its quorum and its features.

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId,
    DescribeLogDirsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};

use crate::parity::both::Both;
use crate::parity::words::{s, topic_name};

pub async fn elections(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    let ask = |topics: &[(&str, &[i32])]| {
        let topics = topics.iter().map(|(name, partitions)| {
            TopicPartitions::default()
                .with_topic(topic_name(name))
                .with_partitions(partitions.to_vec())
        });
        ElectLeadersRequest::default()
            .with_topic_partitions(Some(topics.collect()))
            .with_timeout_ms(10_000)
    };
    both.call_in_each_version::<ElectLeadersRequest>("of what is led, and of unknowns", |_, _| {
        ask(&[(&topic, &[0, 1, 2, -1]), (&missing, &[0]), ("", &[0])])
    })
    .await;
    both.call_in_each_version::<ElectLeadersRequest>("of nothing", |_, _| ask(&[]))
        .await;
    both.call_in_each_version::<ElectLeadersRequest>("of everything", |_, _| {
        ask(&[]).with_topic_partitions(None)
    })
    .await;
    for v in 1..=both.latest::<ElectLeadersRequest>() {
        for (step, kind) in [
            ("unclean", 1),
            ("of an unknown type", 7),
            ("of a negative type", -1),
        ] {
            both.call::<ElectLeadersRequest>(step, v, |_| {
                ask(&[(&topic, &[0]), (&missing, &[0])]).with_election_type(kind)
            })
            .await;
        }
    }
    Ok(())
}

pub async fn reassignments(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    let ask = |name: &str, partition: i32, replicas: Option<&[i32]>| {
        let replicas = replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
        AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![
                ReassignableTopic::default()
                    .with_name(topic_name(name))
                    .with_partitions(vec![
                        ReassignablePartition::default()
                            .with_partition_index(partition)
                            .with_replicas(replicas),
                    ]),
            ])
    };
    for (step, name, partition, replicas) in [
        ("to where it is", topic.as_str(), 1, Some(&[1][..])),
        ("to an unknown broker", &topic, 0, Some(&[9])),
        ("to a negative broker", &topic, 0, Some(&[-1])),
        ("to the same broker twice", &topic, 0, Some(&[1, 1])),
        ("to one more broker", &topic, 0, Some(&[1, 2])),
        ("to nowhere", &topic, 0, Some(&[])),
        ("taken back", &topic, 0, None),
        ("of an unknown partition", &topic, 7, Some(&[1])),
        ("of a negative partition", &topic, -1, Some(&[1])),
        ("of an unknown topic", &missing, 0, Some(&[1])),
        ("of an unknown topic, taken back", &missing, 0, None),
        ("of an unknown partition, taken back", &topic, 7, None),
    ] {
        both.call_in_each_version::<AlterPartitionReassignmentsRequest>(step, |_, _| {
            ask(name, partition, replicas)
        })
        .await;
    }
    for v in 1..=both.latest::<AlterPartitionReassignmentsRequest>() {
        for replicas in [&[1][..], &[1, 2], &[]] {
            both.call::<AlterPartitionReassignmentsRequest>("with the factor held", v, |_| {
                ask(&topic, 0, Some(replicas)).with_allow_replication_factor_change(false)
            })
            .await;
        }
    }
    both.call_in_each_version::<AlterPartitionReassignmentsRequest>("of nothing", |_, _| {
        AlterPartitionReassignmentsRequest::default()
    })
    .await;
    let of = |name: &str, partitions: &[i32]| {
        ListPartitionReassignmentsRequest::default().with_topics(Some(vec![
            ListPartitionReassignmentsTopics::default()
                .with_name(topic_name(name))
                .with_partition_indexes(partitions.to_vec()),
        ]))
    };
    both.call_in_each_version::<ListPartitionReassignmentsRequest>("listed", |_, _| {
        ListPartitionReassignmentsRequest::default().with_topics(None)
    })
    .await;
    for (name, partitions) in [(&topic, &[0, 1, 9][..]), (&topic, &[]), (&missing, &[0])] {
        both.call_in_each_version::<ListPartitionReassignmentsRequest>(
            "listed by topic",
            |_, _| of(name, partitions),
        )
        .await;
    }
    Ok(())
}

pub async fn moves_between_directories(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    let described = both
        .call::<DescribeLogDirsRequest>("the directory", 2, |_| {
            DescribeLogDirsRequest::default().with_topics(Some(vec![
                DescribableLogDirTopic::default()
                    .with_topic(topic_name(&topic))
                    .with_partitions(vec![0]),
            ]))
        })
        .await;
    both.keep(&described, |side, answer| {
        if let Some(directory) = answer.results.first() {
            side.keep("directory", &*directory.log_dir);
        }
    });
    let ask = |path: &str, topics: &[(&str, &[i32])]| {
        let topics = topics.iter().map(|(name, partitions)| {
            AlterReplicaLogDirTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions.to_vec())
        });
        AlterReplicaLogDirsRequest::default().with_dirs(vec![
            AlterReplicaLogDir::default()
                .with_path(s(path))
                .with_topics(topics.collect()),
        ])
    };
    both.call_in_each_version::<AlterReplicaLogDirsRequest>("to where it is", |side, _| {
        let directory = side.note("directory");
        ask(&directory, &[(&topic, &[0, 1])])
    })
    .await;
    both.call_in_each_version::<AlterReplicaLogDirsRequest>("of unknowns", |side, _| {
        let directory = side.note("directory");
        ask(&directory, &[(&topic, &[7, -1]), (&missing, &[0])])
    })
    .await;
    for path in ["/nowhere", "relative", ""] {
        both.call_in_each_version::<AlterReplicaLogDirsRequest>("to another directory", |_, _| {
            ask(path, &[(&topic, &[0, 9]), (&missing, &[0])])
        })
        .await;
    }
    both.call_in_each_version::<AlterReplicaLogDirsRequest>("of nothing", |_, _| {
        AlterReplicaLogDirsRequest::default()
    })
    .await;
    Ok(())
}

pub async fn quorum(both: &mut Both) -> anyhow::Result<()> {
    let ask = |topics: &[(&str, &[i32])]| {
        let topics = topics.iter().map(|(name, partitions)| {
            let partitions = partitions
                .iter()
                .map(|index| PartitionData::default().with_partition_index(*index));
            TopicData::default()
                .with_topic_name(topic_name(name))
                .with_partitions(partitions.collect())
        });
        DescribeQuorumRequest::default().with_topics(topics.collect())
    };
    let metadata = "__cluster_metadata";
    for (step, topics) in [
        ("of the cluster", &[(metadata, &[0][..])][..]),
        ("of another partition", &[(metadata, &[1])]),
        ("of two partitions", &[(metadata, &[0, 1])]),
        ("of a topic", &[("t", &[0])]),
        ("of two topics", &[(metadata, &[0]), ("t", &[0])]),
        ("of no partition", &[(metadata, &[])]),
        ("of nothing", &[]),
    ] {
        both.call_in_each_version::<DescribeQuorumRequest>(step, |_, _| ask(topics))
            .await;
    }
    Ok(())
}

pub async fn features(both: &mut Both) -> anyhow::Result<()> {
    let ask = |v: i16, updates: &[(&str, i16, i8)]| {
        let updates = updates.iter().map(|(name, level, kind)| {
            let update = FeatureUpdateKey::default()
                .with_feature(s(name))
                .with_max_version_level(*level);
            match v {
                0 => update.with_allow_downgrade(*kind > 1),
                _ => update.with_upgrade_type(*kind),
            }
        });
        UpdateFeaturesRequest::default()
            .with_timeout_ms(10_000)
            .with_feature_updates(updates.collect())
    };
    let metadata = "metadata.version";
    for (step, updates) in [
        ("an unknown feature", &[("no.such", 1, 1)][..]),
        ("an unknown feature, off", &[("no.such", 0, 1)]),
        ("a feature without a name", &[("", 1, 1)]),
        ("the level that it has", &[(metadata, 30, 1)]),
        ("a level that is not known yet", &[(metadata, 9999, 1)]),
        ("a negative level", &[(metadata, -1, 1)]),
        ("down, as an upgrade", &[(metadata, 29, 1)]),
        ("one good, one bad", &[(metadata, 30, 1), ("no.such", 1, 1)]),
        ("nothing", &[]),
    ] {
        both.call_in_each_version::<UpdateFeaturesRequest>(step, |_, v| ask(v, updates))
            .await;
    }
    for v in 1..=both.latest::<UpdateFeaturesRequest>() {
        for kind in [0, 7, -1] {
            both.call::<UpdateFeaturesRequest>("an unknown kind", v, |_| {
                ask(v, &[(metadata, 30, kind)])
            })
            .await;
        }
        both.call::<UpdateFeaturesRequest>("only validated", v, |_| {
            ask(v, &[(metadata, 9999, 1)]).with_validate_only(true)
        })
        .await;
        both.call::<UpdateFeaturesRequest>("down, only validated", v, |_| {
            ask(v, &[(metadata, 29, 2)]).with_validate_only(true)
        })
        .await;
    }
    Ok(())
}

pub async fn unregistration(both: &mut Both) -> anyhow::Result<()> {
    // Not of the broker itself: Kafka would do it.
    for id in [9, -1] {
        both.call_in_each_version::<UnregisterBrokerRequest>("of an unknown broker", |_, _| {
            UnregisterBrokerRequest::default().with_broker_id(BrokerId(id))
        })
        .await;
    }
    Ok(())
}
