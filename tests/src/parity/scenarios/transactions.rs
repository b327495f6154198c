use std::time::{Duration, Instant};

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest,
    InitProducerIdRequest, ListOffsetsRequest, ListTransactionsRequest, OffsetFetchRequest,
    ProduceRequest, ProducerId, TransactionalId, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};

use bytes::Bytes;
use ottla_codec::newer::{self, NewerField};

use crate::parity::batch::Batch;
use crate::parity::both::{Both, Side};
use crate::parity::words::{fetch, group_id, list_offsets, produce, s, topic_name};

/// The first versions in which a partition or group joins by its first batch or commit, and an end bumps the epoch (KIP-890).
pub(super) const JOINING_PRODUCE: i16 = 12;
pub(super) const JOINING_COMMIT: i16 = 5;
pub(super) const BUMPING_END: i16 = 5;
/// Records of long ago, and markers of now, in one segment.
pub(super) const KEPT_TOGETHER: &[(&str, &str)] = &[
    ("retention.ms", "-1"),
    ("segment.ms", "9223372036854775807"),
];

pub(super) fn id(name: &str) -> TransactionalId {
    TransactionalId(s(name))
}

pub(super) fn producer_id(side: &Side) -> ProducerId {
    ProducerId(side.number("producer id"))
}

pub(super) fn init(name: &str, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(id(name)))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

/// A producer, and its transactional id. Kafka makes its log of transactions for the first and then loads it, part by part: an id for
/// which it is not ready is left to it.
pub(super) async fn start(both: &mut Both) -> anyhow::Result<String> {
    let started = Instant::now();
    let findings = both.findings.len();
    loop {
        // Never used before: what only one of the two has heard of must not count.
        let name = both.name(&format!("x{}", both.transcript.len()));
        both.call::<FindCoordinatorRequest>("the coordinator", 4, |_| {
            FindCoordinatorRequest::default()
                .with_key_type(1)
                .with_coordinator_keys(vec![s(&name)])
        })
        .await;
        let pair = both
            .call::<InitProducerIdRequest>("init", 4, |_| init(&name, 60_000))
            .await;
        if let (Some(ottla), Some(kafka)) = (pair.ottla, pair.kafka)
            && kafka.error_code == 0
        {
            for (side, answer) in [(&mut both.ottla, ottla), (&mut both.kafka, kafka)] {
                side.keep("producer id", answer.producer_id.0);
                side.keep("epoch", answer.producer_epoch);
            }
            return Ok(name);
        }
        both.findings.truncate(findings);
        anyhow::ensure!(
            started.elapsed() < Duration::from_secs(60),
            "Kafka has no coordinator of transactions"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(super) fn add(
    side: &Side,
    version: i16,
    name: &str,
    topic: &str,
    partitions: &[i32],
) -> AddPartitionsToTxnRequest {
    let topics = vec![
        AddPartitionsToTxnTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.to_vec()),
    ];
    match version {
        ..4 => AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id(name))
            .with_v3_and_below_producer_id(producer_id(side))
            .with_v3_and_below_producer_epoch(side.number("epoch"))
            .with_v3_and_below_topics(topics),
        _ => AddPartitionsToTxnRequest::default().with_transactions(vec![
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(id(name))
                .with_producer_id(producer_id(side))
                .with_producer_epoch(side.number("epoch"))
                .with_topics(topics),
        ]),
    }
}

pub(super) fn batch(
    side: &Side,
    version: i16,
    name: &str,
    topic: &str,
    sequence: i32,
) -> ProduceRequest {
    let batch = Batch::of(&["v"]).with(|b| {
        b.producer_id = side.number("producer id");
        b.producer_epoch = side.number("epoch");
        b.base_sequence = sequence;
        b.attributes = 0x10;
    });
    produce(side, version, topic, 0, batch.build()).with_transactional_id(Some(id(name)))
}

pub(super) fn end(side: &Side, name: &str, committed: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(producer_id(side))
        .with_producer_epoch(side.number("epoch"))
        .with_committed(committed)
}

/// What readers see, once Kafka has written its markers.
pub(super) async fn read(both: &mut Both, step: &str, topic: &str) {
    let version = both.latest::<FetchRequest>();
    for isolation in [0, 1] {
        both.eventually::<ListOffsetsRequest>(step, 5, |_| {
            list_offsets(topic, 0, -1).with_isolation_level(isolation)
        })
        .await;
        both.eventually::<FetchRequest>(step, version, |side| {
            fetch(side, version, topic, &[(0, 0)]).with_isolation_level(isolation)
        })
        .await;
    }
}

/// A transaction with versions of before KIP-890, and one with those from it on.
pub async fn lives(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    let mut sequence = 0;
    for version in both
        .versions::<AddPartitionsToTxnRequest>()
        .take_while(|v| *v < 4)
    {
        for committed in [true, false] {
            both.eventually::<AddPartitionsToTxnRequest>("add", version, |side| {
                add(side, version, &name, &topic, &[0])
            })
            .await;
            let produce_version = (JOINING_PRODUCE - 1).min(both.latest::<ProduceRequest>());
            both.call::<ProduceRequest>("produce", produce_version, |side| {
                batch(side, produce_version, &name, &topic, sequence)
            })
            .await;
            sequence += 1;
            read(both, "while it is open", &topic).await;
            let end_version = version.min(BUMPING_END - 1);
            both.call::<EndTxnRequest>("end", end_version, |side| end(side, &name, committed))
                .await;
            read(both, "when it has ended", &topic).await;
            both.eventually::<EndTxnRequest>("end again", end_version, |side| {
                end(side, &name, committed)
            })
            .await;
            both.eventually::<EndTxnRequest>("end otherwise", end_version, |side| {
                end(side, &name, !committed)
            })
            .await;
        }
    }
    let name = start(both).await?;
    for version in JOINING_PRODUCE..=both.latest::<ProduceRequest>() {
        for committed in [true, false] {
            for sequence in 0..2 {
                both.eventually::<ProduceRequest>("the first joins", version, |side| {
                    batch(side, version, &name, &topic, sequence)
                })
                .await;
            }
            let pair = both
                .call::<EndTxnRequest>("end with a bump", BUMPING_END, |side| {
                    end(side, &name, committed)
                })
                .await;
            both.eventually::<EndTxnRequest>("end with a bump again", BUMPING_END, |side| {
                end(side, &name, committed)
            })
            .await;
            both.eventually::<EndTxnRequest>("end with a bump otherwise", BUMPING_END, |side| {
                end(side, &name, !committed)
            })
            .await;
            read(both, "after a bump", &topic).await;
            for (side, answer) in [(&mut both.ottla, pair.ottla), (&mut both.kafka, pair.kafka)] {
                if let Some(answer) = answer {
                    side.keep("producer id", answer.producer_id.0);
                    side.keep("epoch", answer.producer_epoch);
                }
            }
        }
    }
    both.eventually::<EndTxnRequest>("commit without a transaction", BUMPING_END, |side| {
        end(side, &name, true)
    })
    .await;
    let pair = both
        .eventually::<EndTxnRequest>("abort without a transaction", BUMPING_END, |side| {
            end(side, &name, false)
        })
        .await;
    drop(pair);
    Ok(())
}

pub async fn refusals(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    both.call_in_each_version::<InitProducerIdRequest>("too long a time-out", |_, _| {
        init(&name, 900_001)
    })
    .await;
    both.call_in_each_version::<InitProducerIdRequest>("no time-out", |_, _| init(&name, 0))
        .await;
    for version in 3..=both.latest::<InitProducerIdRequest>() {
        both.call::<InitProducerIdRequest>("going on as somebody else", version, |_| {
            init(&name, 60_000)
                .with_producer_id(ProducerId(999_999))
                .with_producer_epoch(7)
        })
        .await;
    }
    both.call_in_each_version::<EndTxnRequest>("nothing to commit", |side, _| {
        end(side, &name, true)
    })
    .await;
    let nobody = both.name("nobody");
    both.call_in_each_version::<EndTxnRequest>("an unknown id", |side, _| end(side, &nobody, true))
        .await;
    both.call_in_each_version::<EndTxnRequest>("an empty id", |side, _| end(side, "", true))
        .await;
    both.call_in_each_version::<EndTxnRequest>("another producer", |side, _| {
        end(side, &name, true).with_producer_id(ProducerId(999_999))
    })
    .await;
    both.call_in_each_version::<EndTxnRequest>("another epoch", |side, _| {
        end(side, &name, true).with_producer_epoch(77)
    })
    .await;
    for version in both.versions::<AddPartitionsToTxnRequest>() {
        both.call::<AddPartitionsToTxnRequest>("a partition that is not there", version, |side| {
            add(side, version, &name, &topic, &[0, 9])
        })
        .await;
        both.call::<AddPartitionsToTxnRequest>("add to an unknown id", version, |side| {
            add(side, version, &nobody, &topic, &[0])
        })
        .await;
        both.call::<AddPartitionsToTxnRequest>("add to an empty id", version, |side| {
            add(side, version, "", &topic, &[0])
        })
        .await;
    }
    for version in 3..=both.latest::<ProduceRequest>() {
        both.call::<ProduceRequest>("produce under another epoch", version, |side| {
            let mut request = batch(side, version, &name, &topic, 0);
            let records = Batch::of(&["v"]).with(|b| {
                b.producer_id = side.number("producer id");
                b.producer_epoch = 77;
                b.base_sequence = 0;
                b.attributes = 0x10;
            });
            request.topic_data[0].partition_data[0].records = Some(records.build());
            request
        })
        .await;
        if version < JOINING_PRODUCE {
            // Kafka answers several that it checks at once as it does the first of them, which may be of a version
            // with another error (`AddPartitionsToTxnManager.addTxnData`).
            both.eventually::<ProduceRequest>("produce to what was not added", version, |side| {
                batch(side, version, &name, &topic, 0)
            })
            .await;
        }
        both.call::<ProduceRequest>("produce without the id", version, |side| {
            batch(side, version, &name, &topic, 0).with_transactional_id(None)
        })
        .await;
    }
    Ok(())
}

pub(super) fn add_group(side: &Side, name: &str, group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(producer_id(side))
        .with_producer_epoch(side.number("epoch"))
        .with_group_id(group_id(group))
}

pub(super) fn commit(
    side: &Side,
    name: &str,
    group: &str,
    topic: &str,
    offset: i64,
) -> TxnOffsetCommitRequest {
    let partition = |index: i32| {
        TxnOffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(s("note")))
    };
    TxnOffsetCommitRequest::default()
        .with_transactional_id(id(name))
        .with_group_id(group_id(group))
        .with_producer_id(producer_id(side))
        .with_producer_epoch(side.number("epoch"))
        .with_generation_id(-1)
        .with_topics(vec![
            TxnOffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![partition(0), partition(9)]),
        ])
}

async fn positions(both: &mut Both, step: &str, group: &str, topic: &str) {
    for stable in [false, true] {
        both.eventually::<OffsetFetchRequest>(step, 8, |_| {
            OffsetFetchRequest::default()
                .with_require_stable(stable)
                .with_groups(vec![
                    OffsetFetchRequestGroup::default()
                        .with_group_id(group_id(group))
                        .with_topics(Some(vec![
                            OffsetFetchRequestTopics::default()
                                .with_name(topic_name(topic))
                                .with_partition_indexes(vec![0, 1]),
                        ])),
                ])
        })
        .await;
    }
}

pub async fn offsets(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, KEPT_TOGETHER).await?;
    let group = both.name("g");
    let name = start(both).await?;
    for version in both.versions::<TxnOffsetCommitRequest>() {
        for committed in [false, true] {
            let joins = version >= JOINING_COMMIT;
            if !joins {
                both.eventually::<AddOffsetsToTxnRequest>("add a group", 3, |side| {
                    add_group(side, &name, &group)
                })
                .await;
            }
            both.eventually::<TxnOffsetCommitRequest>("commit", version, |side| {
                commit(side, &name, &group, &topic, i64::from(version))
            })
            .await;
            positions(both, "while it is open", &group, &topic).await;
            let end_version = if joins { BUMPING_END } else { BUMPING_END - 1 };
            let pair = both
                .call::<EndTxnRequest>("end", end_version, |side| end(side, &name, committed))
                .await;
            positions(both, "when it has ended", &group, &topic).await;
            for (side, answer) in [(&mut both.ottla, pair.ottla), (&mut both.kafka, pair.kafka)] {
                if let Some(answer) = answer.filter(|_| joins) {
                    side.keep("producer id", answer.producer_id.0);
                    side.keep("epoch", answer.producer_epoch);
                }
            }
        }
    }
    // The last transaction may still be on its way to its end, which Kafka looks at first.
    for version in both.versions::<AddOffsetsToTxnRequest>() {
        both.eventually::<AddOffsetsToTxnRequest>("a group without a name", version, |side| {
            add_group(side, &name, "")
        })
        .await;
    }
    both.call_in_each_version::<AddOffsetsToTxnRequest>("another epoch", |side, _| {
        add_group(side, &name, &group).with_producer_epoch(77)
    })
    .await;
    for version in 3..=both.latest::<TxnOffsetCommitRequest>() {
        both.eventually::<AddOffsetsToTxnRequest>("add a group", 3, |side| {
            add_group(side, &name, &group)
        })
        .await;
        both.call::<TxnOffsetCommitRequest>("a generation that is not", version, |side| {
            commit(side, &name, &group, &topic, 1).with_generation_id(5)
        })
        .await;
        both.call::<TxnOffsetCommitRequest>("a member that is not", version, |side| {
            commit(side, &name, &group, &topic, 1)
                .with_generation_id(5)
                .with_member_id(s("nobody"))
        })
        .await;
    }
    both.call_in_each_version::<TxnOffsetCommitRequest>("a commit of another epoch", |side, _| {
        commit(side, &name, &group, &topic, 1).with_producer_epoch(77)
    })
    .await;
    Ok(())
}

pub async fn descriptions(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    let describe = |_: &Side| {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![
            id(&name),
            id("nobody at all"),
            id(""),
        ])
    };
    both.eventually::<DescribeTransactionsRequest>("before any", 0, describe)
        .await;
    both.eventually::<AddPartitionsToTxnRequest>("add", 3, |side| {
        add(side, 3, &name, &topic, &[1, 0])
    })
    .await;
    both.call::<ProduceRequest>("produce", 9, |side| batch(side, 9, &name, &topic, 0))
        .await;
    both.eventually::<DescribeTransactionsRequest>("while it is open", 0, describe)
        .await;
    let producers = |_: &Side| {
        DescribeProducersRequest::default().with_topics(vec![
            kafka_protocol::messages::describe_producers_request::TopicRequest::default()
                .with_name(topic_name(&topic))
                .with_partition_indexes(vec![0, 1, 9]),
        ])
    };
    both.eventually::<DescribeProducersRequest>("while it is open", 0, producers)
        .await;
    for version in both.versions::<ListTransactionsRequest>() {
        for (step, states, longer_than) in [
            ("all of this producer", vec![], -1),
            ("those that are open", vec!["Ongoing"], -1),
            ("those that are not", vec!["Empty"], -1),
            ("an unknown state", vec!["Nonsense"], -1),
            (
                "a known state and an unknown one",
                vec!["Ongoing", "Nonsense"],
                -1,
            ),
            ("long ones", vec![], 86_400_000),
        ] {
            both.eventually::<ListTransactionsRequest>(step, version, |side| {
                let request = ListTransactionsRequest::default()
                    .with_state_filters(states.iter().map(s).collect())
                    .with_producer_id_filters(vec![producer_id(side)]);
                match version {
                    0 => request,
                    _ => request.with_duration_filter(longer_than),
                }
            })
            .await;
        }
    }
    both.call::<EndTxnRequest>("end", 3, |side| end(side, &name, true))
        .await;
    both.eventually::<DescribeTransactionsRequest>("when it has ended", 0, describe)
        .await;
    both.eventually::<DescribeProducersRequest>("when it has ended", 0, producers)
        .await;
    Ok(())
}

/// Markers as `kafka-transactions.sh abort` sends them, behind the coordinator.
pub async fn markers(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    let pair = both
        .eventually::<InitProducerIdRequest>("init again", 4, |side| {
            init(&name, 60_000)
                .with_producer_id(producer_id(side))
                .with_producer_epoch(side.number("epoch"))
        })
        .await;
    for (side, answer) in [(&mut both.ottla, pair.ottla), (&mut both.kafka, pair.kafka)] {
        if let Some(answer) = answer {
            side.keep("epoch", answer.producer_epoch);
        }
    }
    let write = |side: &Side, epoch: i16, commit: bool| {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name(&topic))
            .with_partition_indexes(vec![0, 9]);
        WriteTxnMarkersRequest::default().with_markers(vec![
            WritableTxnMarker::default()
                .with_producer_id(producer_id(side))
                .with_producer_epoch(epoch)
                .with_transaction_result(commit)
                .with_topics(vec![topic]),
        ])
    };
    for (sequence, commit) in [(0, false), (1, true)] {
        both.eventually::<AddPartitionsToTxnRequest>("add", 3, |side| {
            add(side, 3, &name, &topic, &[0])
        })
        .await;
        both.call::<ProduceRequest>("produce", 9, |side| batch(side, 9, &name, &topic, sequence))
            .await;
        both.call_in_each_version::<WriteTxnMarkersRequest>("an epoch that is over", |side, _| {
            write(side, side.number::<i16>("epoch") - 1, commit)
        })
        .await;
        read(both, "while it is open", &topic).await;
        for transaction_version in [0, 1, 2] {
            both.call_in_each_version::<WriteTxnMarkersRequest>(
                "a marker of the transaction's own epoch",
                |side, version| {
                    let mut request = write(side, side.number("epoch"), commit);
                    if version >= 2 && transaction_version == 2 {
                        let bytes = Bytes::copy_from_slice(&[transaction_version]);
                        let tagged = &mut request.markers[0].unknown_tagged_fields;
                        newer::set(tagged, NewerField::TransactionVersion, bytes);
                    } else {
                        request.markers[0].producer_epoch -= 1;
                    }
                    request
                },
            )
            .await;
        }
        read(both, "while it is open yet", &topic).await;
        both.call_in_each_version::<WriteTxnMarkersRequest>("a marker", |side, _| {
            write(side, side.number("epoch"), commit)
        })
        .await;
        read(both, "when it was ended", &topic).await;
    }
    Ok(())
}
