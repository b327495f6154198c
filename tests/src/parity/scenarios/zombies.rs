//! Producers whose epoch is over, who ask again, and what else goes wrong within a transaction.

use std::time::{Duration, Instant};

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, BrokerId, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeTransactionsRequest, EndTxnRequest, InitProducerIdRequest,
    ListTransactionsRequest, OffsetForLeaderEpochRequest, ProduceRequest, ProducerId,
    TxnOffsetCommitRequest,
};

use super::transactions::{
    BUMPING_END, JOINING_COMMIT, JOINING_PRODUCE, KEPT_TOGETHER, add, add_group, batch, commit,
    end, id, init, producer_id, read, start,
};
use crate::parity::batch::Batch;
use crate::parity::both::{Both, Side};
use crate::parity::words::{produce, s, topic_name};

/// How long Kafka may take until it looks for transactions that are open for too long.
const LOOKS_WITHIN: Duration = Duration::from_secs(30);

fn init_again(side: &Side, name: &str, timeout_ms: i32) -> InitProducerIdRequest {
    init(name, timeout_ms)
        .with_producer_id(producer_id(side))
        .with_producer_epoch(side.number("epoch"))
}

/// Initialises the producer anew with its own epoch, which it keeps.
async fn renew(both: &mut Both, step: &str, name: &str, timeout_ms: i32) {
    let pair = both
        .eventually::<InitProducerIdRequest>(step, 4, |side| init_again(side, name, timeout_ms))
        .await;
    both.keep(&pair, |side, answer| {
        side.keep("producer id", answer.producer_id.0);
        side.keep("epoch", answer.producer_epoch);
    });
}

/// The first batch of a transaction, which joins by it.
async fn begin(both: &mut Both, step: &str, name: &str, topic: &str) {
    both.eventually::<ProduceRequest>(step, JOINING_PRODUCE, |side| {
        batch(side, JOINING_PRODUCE, name, topic, 0)
    })
    .await;
}

/// Waits until neither has the transaction open.
async fn until_ended(both: &mut Both, name: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    let before = (both.findings.len(), both.transcript.len());
    loop {
        let pair = both
            .call::<DescribeTransactionsRequest>("when it has ended", 0, |_| {
                DescribeTransactionsRequest::default().with_transactional_ids(vec![id(name)])
            })
            .await;
        let ended = |answer: Option<kafka_protocol::messages::DescribeTransactionsResponse>| {
            let states = answer.into_iter().flat_map(|a| a.transaction_states);
            states
                .map(|state| state.transaction_state.to_string())
                .all(|state| state.starts_with("Complete"))
        };
        if ended(pair.ottla) && ended(pair.kafka) {
            return Ok(());
        }
        both.findings.truncate(before.0);
        both.transcript.truncate(before.1);
        anyhow::ensure!(
            started.elapsed() < LOOKS_WITHIN,
            "a transaction does not time out"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Everything that a producer may ask for under an epoch that is over, but for what ends or renews it.
async fn late_requests(both: &mut Both, name: &str, topic: &str, group: &str) {
    for version in both.versions::<ProduceRequest>() {
        both.call::<ProduceRequest>("a late batch", version, |side| {
            batch(side, version, name, topic, 1)
        })
        .await;
        both.call::<ProduceRequest>("a late batch that begins anew", version, |side| {
            batch(side, version, name, topic, 0)
        })
        .await;
    }
    for version in both.versions::<AddPartitionsToTxnRequest>() {
        both.call::<AddPartitionsToTxnRequest>("add late", version, |side| {
            add(side, version, name, topic, &[0])
        })
        .await;
    }
    both.call_in_each_version::<AddOffsetsToTxnRequest>("add a group late", |side, _| {
        add_group(side, name, group)
    })
    .await;
    for version in both.versions::<TxnOffsetCommitRequest>() {
        both.call::<TxnOffsetCommitRequest>("commit offsets late", version, |side| {
            commit(side, name, group, topic, 1)
        })
        .await;
    }
    for version in both
        .versions::<EndTxnRequest>()
        .take_while(|v| *v < BUMPING_END)
    {
        for committed in [true, false] {
            both.call::<EndTxnRequest>("end late", version, |side| end(side, name, committed))
                .await;
        }
    }
    both.call::<EndTxnRequest>("commit late", BUMPING_END, |side| end(side, name, true))
        .await;
}

/// A transaction that is open for too long. Its producer may abort it once more, or begin anew, and goes on.
pub async fn time_outs(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, KEPT_TOGETHER).await?;
    let group = both.name("g");
    let name = start(both).await?;
    renew(both, "a short time", &name, 1_000).await;
    begin(both, "begin", &name, &topic).await;
    until_ended(both, &name).await?;
    late_requests(both, &name, &topic, &group).await;
    read(both, "after it", &topic).await;
    let pair = both
        .call::<EndTxnRequest>("abort late", BUMPING_END, |side| end(side, &name, false))
        .await;
    both.keep(&pair, |side, answer| {
        if answer.error_code == 0 {
            side.keep("epoch", answer.producer_epoch);
        }
    });
    begin(both, "go on after the abort", &name, &topic).await;
    until_ended(both, &name).await?;
    for version in 3..=both.latest::<InitProducerIdRequest>() {
        both.call::<InitProducerIdRequest>("begin anew late", version, |side| {
            init_again(side, &name, 60_000)
        })
        .await;
    }
    renew(both, "begin anew late, and go on", &name, 1_000).await;
    begin(both, "go on after a beginning", &name, &topic).await;
    until_ended(both, &name).await?;
    // Somebody else comes: there is no way back.
    both.eventually::<InitProducerIdRequest>("a successor", 4, |_| init(&name, 60_000))
        .await;
    late_requests(both, &name, &topic, &group).await;
    both.call::<EndTxnRequest>("abort behind a successor", BUMPING_END, |side| {
        end(side, &name, false)
    })
    .await;
    for version in 3..=both.latest::<InitProducerIdRequest>() {
        both.call::<InitProducerIdRequest>("begin anew behind a successor", version, |side| {
            init_again(side, &name, 60_000)
        })
        .await;
    }
    Ok(())
}

/// Who asks for an end twice, in each state: the table in Kafka's `TransactionCoordinator`.
pub async fn ends_again(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    renew(both, "a second epoch", &name, 60_000).await;
    for committed in [true, false] {
        both.call::<EndTxnRequest>("an empty one, by its last epoch", BUMPING_END, |side| {
            end(side, &name, committed).with_producer_epoch(side.number::<i16>("epoch") - 1)
        })
        .await;
    }
    both.call::<EndTxnRequest>("commit an empty one", BUMPING_END, |side| {
        end(side, &name, true)
    })
    .await;
    for step in ["abort an empty one", "abort an aborted one"] {
        let pair = both
            .eventually::<EndTxnRequest>(step, BUMPING_END, |side| end(side, &name, false))
            .await;
        both.keep(&pair, |side, answer| {
            if answer.error_code == 0 {
                side.keep("epoch", answer.producer_epoch);
            }
        });
        until_ended(both, &name).await?;
    }
    for outcome in [true, false] {
        begin(both, "begin", &name, &topic).await;
        let pair = both
            .call::<EndTxnRequest>("end", BUMPING_END, |side| end(side, &name, outcome))
            .await;
        until_ended(both, &name).await?;
        for again in [true, false] {
            both.call::<EndTxnRequest>("by its last epoch", BUMPING_END, |side| {
                end(side, &name, again)
            })
            .await;
            both.call::<EndTxnRequest>("by its last epoch, as of old", 3, |side| {
                end(side, &name, again)
            })
            .await;
        }
        both.keep(&pair, |side, answer| {
            side.keep("epoch", answer.producer_epoch)
        });
        both.call::<EndTxnRequest>("commit once more", BUMPING_END, |side| {
            end(side, &name, true)
        })
        .await;
        for again in [true, false] {
            both.call::<EndTxnRequest>("once more, as of old", 3, |side| end(side, &name, again))
                .await;
        }
    }
    Ok(())
}

fn batch_of(side: &Side, sequence: i32, change: impl FnOnce(&mut Batch)) -> Batch {
    Batch::of(&["v"]).with(|b| {
        b.producer_id = side.number("producer id");
        b.producer_epoch = side.number("epoch");
        b.base_sequence = sequence;
        b.attributes = 0x10;
        change(b);
    })
}

/// What goes wrong while a transaction is open, and what becomes of it.
pub async fn troubles(both: &mut Both) -> anyhow::Result<()> {
    let small = [KEPT_TOGETHER, &[("max.message.bytes", "200")]].concat();
    let topic = both.topic("t", 1, &small).await?;
    let doomed = both.topic("doomed", 1, KEPT_TOGETHER).await?;
    let name = start(both).await?;
    let version = JOINING_PRODUCE;
    both.eventually::<ProduceRequest>("a beginning that is none", version, |side| {
        batch(side, version, &name, &topic, 3)
    })
    .await;
    both.call::<ProduceRequest>("too large a beginning", version, |side| {
        let large = batch_of(side, 0, |b| {
            b.records = Batch::of(&[&"x".repeat(300)]).records;
        });
        produce(side, version, &topic, 0, large.build()).with_transactional_id(Some(id(&name)))
    })
    .await;
    begin(both, "begin", &name, &topic).await;
    both.call::<ProduceRequest>("too large", version, |side| {
        let large = batch_of(side, 1, |b| {
            b.records = Batch::of(&[&"x".repeat(300)]).records;
        });
        produce(side, version, &topic, 0, large.build()).with_transactional_id(Some(id(&name)))
    })
    .await;
    both.call::<ProduceRequest>("a gap", version, |side| {
        batch(side, version, &name, &topic, 5)
    })
    .await;
    both.call::<ProduceRequest>("again", version, |side| {
        batch(side, version, &name, &topic, 0)
    })
    .await;
    for version in [version - 1, version] {
        both.call::<ProduceRequest>("without being part of it", version, |side| {
            let plain = batch_of(side, 1, |b| b.attributes = 0);
            produce(side, version, &topic, 0, plain.build())
        })
        .await;
    }
    both.call::<ProduceRequest>("a later epoch", version, |side| {
        let later = batch_of(side, 0, |b| b.producer_epoch += 1);
        produce(side, version, &topic, 0, later.build()).with_transactional_id(Some(id(&name)))
    })
    .await;
    both.call::<ProduceRequest>("to a topic that will go", version, |side| {
        batch(side, version, &name, &doomed, 0)
    })
    .await;
    both.call::<DeleteRecordsRequest>("delete what is open", 2, |_| {
        let partition = DeleteRecordsPartition::default().with_offset(-1);
        DeleteRecordsRequest::default()
            .with_timeout_ms(5_000)
            .with_topics(vec![
                DeleteRecordsTopic::default()
                    .with_name(topic_name(&topic))
                    .with_partitions(vec![partition]),
            ])
    })
    .await;
    read(both, "when what is open was deleted", &topic).await;
    both.call::<OffsetForLeaderEpochRequest>("the end of an epoch", 4, |_| {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(-1)
            .with_leader_epoch(0);
        OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-2))
            .with_topics(vec![
                OffsetForLeaderTopic::default()
                    .with_topic(topic_name(&topic))
                    .with_partitions(vec![partition]),
            ])
    })
    .await;
    both.call::<DeleteTopicsRequest>("delete a topic of it", 6, |_| {
        DeleteTopicsRequest::default()
            .with_timeout_ms(5_000)
            .with_topics(vec![
                DeleteTopicState::default().with_name(Some(topic_name(&doomed))),
            ])
    })
    .await;
    let pair = both
        .call::<EndTxnRequest>("commit all the same", BUMPING_END, |side| {
            end(side, &name, true)
        })
        .await;
    both.keep(&pair, |side, answer| {
        side.keep("epoch", answer.producer_epoch);
    });
    read(both, "when it was committed", &topic).await;
    until_ended(both, &name).await?;
    begin(both, "the next", &name, &topic).await;
    both.call::<EndTxnRequest>("commit the next", BUMPING_END, |side| {
        end(side, &name, true)
    })
    .await;
    read(both, "when the next was committed", &topic).await;
    Ok(())
}

/// Ids by a pattern, which is of RE2's syntax.
pub async fn patterns(both: &mut Both) -> anyhow::Result<()> {
    let name = start(both).await?;
    let all = format!("{}.*", &name[..name.len() - 2]);
    let quoted = format!(r"\Q{name}\E");
    for version in both
        .versions::<ListTransactionsRequest>()
        .filter(|v| *v >= 2)
    {
        for pattern in [
            &all,
            &quoted,
            &name,
            "",
            ".*",
            "x",
            "zombies",
            r"[\w.-]+",
            r"\d+",
            r"\D+\d+",
            "(?i)ZOMBIES.*",
            "[[:alpha:]-]+.*",
            "z{1}.*",
            "z{,1}.*",
            "[z[].*",
            "(",
            ")",
            "[",
            "*",
            "a**",
            r"\",
            r"(a)\1",
            "(?x)z",
            "(?=z).*",
            r"\pL.*",
            r"\z",
            r"\Z",
            "z++.*",
            "[z-a]",
            r"\y",
            "(?P<n>z).*",
            "(?<n>z).*",
            r"\C.*",
            "[a&&b]",
            r"\x{7a}.*",
            r"\172.*",
            r"\b.*",
            "^z.*$",
            "}",
            "{",
            "z{2,1}",
            "z{1001}",
        ] {
            both.eventually::<ListTransactionsRequest>(
                &format!("like {}", pattern.replace(&name, "NAME")),
                version,
                |side| {
                    ListTransactionsRequest::default()
                        .with_producer_id_filters(vec![producer_id(side)])
                        .with_transactional_id_pattern(Some(s(pattern)))
                },
            )
            .await;
        }
        both.eventually::<ListTransactionsRequest>("no pattern", version, |side| {
            ListTransactionsRequest::default()
                .with_producer_id_filters(vec![producer_id(side)])
                .with_transactional_id_pattern(None)
        })
        .await;
    }
    for longer_than in [0, 1, 3_600_000, i64::MAX] {
        both.eventually::<ListTransactionsRequest>("open for a while", 1, |side| {
            ListTransactionsRequest::default()
                .with_producer_id_filters(vec![producer_id(side)])
                .with_duration_filter(longer_than)
        })
        .await;
    }
    Ok(())
}

/// Who asks for a producer under ids and epochs that nobody has given.
pub async fn strangers(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, KEPT_TOGETHER).await?;
    let group = both.name("g");
    let name = start(both).await?;
    let unknown = both.name("unknown");
    for version in 3..=both.latest::<InitProducerIdRequest>() {
        both.call::<InitProducerIdRequest>("a later epoch", version, |side| {
            init_again(side, &name, 60_000).with_producer_epoch(side.number::<i16>("epoch") + 1)
        })
        .await;
        both.call::<InitProducerIdRequest>("an id alone", version, |side| {
            init(&name, 60_000).with_producer_id(producer_id(side))
        })
        .await;
        both.call::<InitProducerIdRequest>("an epoch alone", version, |_| {
            init(&name, 60_000).with_producer_epoch(0)
        })
        .await;
        both.call::<InitProducerIdRequest>("no id at all", version, |_| init("", 60_000))
            .await;
        both.call::<InitProducerIdRequest>("without transactions, with an epoch", version, |_| {
            InitProducerIdRequest::default()
                .with_producer_id(ProducerId(7))
                .with_producer_epoch(3)
        })
        .await;
    }
    for version in JOINING_PRODUCE - 1..=both.latest::<ProduceRequest>() {
        for (step, whose) in [("somebody else's id", &unknown), ("no id", &String::new())] {
            both.call::<ProduceRequest>(step, version, |side| {
                batch(side, version, whose, &topic, 0)
            })
            .await;
        }
        both.call::<ProduceRequest>("a producer that nobody knows", version, |side| {
            let stranger = batch_of(side, 0, |b| b.producer_id = 999_999);
            produce(side, version, &topic, 0, stranger.build())
                .with_transactional_id(Some(id(&name)))
        })
        .await;
    }
    for version in both.versions::<TxnOffsetCommitRequest>() {
        both.call::<TxnOffsetCommitRequest>("offsets of an unknown id", version, |side| {
            commit(side, &unknown, &group, &topic, 1)
        })
        .await;
        both.call::<TxnOffsetCommitRequest>("offsets of another producer", version, |side| {
            commit(side, &name, &group, &topic, 1).with_producer_id(ProducerId(999_999))
        })
        .await;
        if version < JOINING_COMMIT {
            // Kafka answers several that it checks at once as it does the first of them: see `transactions`.
            both.eventually::<TxnOffsetCommitRequest>(
                "a group that was not added",
                version,
                |side| commit(side, &name, &group, &topic, 1),
            )
            .await;
        }
    }
    both.call_in_each_version::<AddOffsetsToTxnRequest>("a group for an unknown id", |side, _| {
        add_group(side, &unknown, &group)
    })
    .await;
    for version in 4..=both.latest::<AddPartitionsToTxnRequest>() {
        for (step, whose) in [("verify", &name), ("verify an unknown id", &unknown)] {
            both.call::<AddPartitionsToTxnRequest>(step, version, |side| {
                let mut request = add(side, version, whose, &topic, &[0]);
                for transaction in &mut request.transactions {
                    transaction.verify_only = true;
                }
                request
            })
            .await;
        }
    }
    Ok(())
}
