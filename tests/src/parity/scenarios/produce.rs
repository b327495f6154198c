use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};

use crate::parity::batch::{Batch, TIME};
use crate::parity::both::Both;
use crate::parity::words::{fetch, produce, s, topic_name};

/// What was accepted is read back, so that the batches as they are kept are compared too.
async fn read_back(both: &mut Both, topic: &str) {
    both.call::<FetchRequest>("read back", 12, |side| fetch(side, 12, topic, &[(0, 0)]))
        .await;
}

pub async fn good_batches(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    for (step, batch) in [
        ("one record", Batch::of(&["a"])),
        ("three records", Batch::of(&["a", "b", "c"])),
        (
            "a null key and a null value",
            Batch::of(&["a"]).with(|b| b.records[0] = (None, None, 0)),
        ),
        (
            "a base offset and a leader epoch that are not ours",
            Batch::of(&["a"]).with(|b| {
                b.base_offset = 77;
                b.leader_epoch = 5;
            }),
        ),
    ] {
        both.call_in_each_version::<ProduceRequest>(step, |side, v| {
            produce(side, v, &topic, 0, batch.build())
        })
        .await;
    }
    both.call_in_each_version::<ProduceRequest>("acks=1", |side, v| {
        produce(side, v, &topic, 1, Batch::of(&["x"]).build()).with_acks(1)
    })
    .await;
    read_back(both, &topic).await;
    Ok(())
}

pub async fn bad_batches(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let good = Batch::of(&["a", "b"]);
    let cut = good.build().slice(..70);
    let two = [good.build(), good.build()].concat();
    let trailing = [&good.build()[..], &[1, 2, 3]].concat();
    let body = good.record_bytes();
    let cases: Vec<(&str, Bytes)> = vec![
        ("bad CRC", good.clone().with(|b| b.crc_error = 1).build()),
        ("magic 0", good.clone().with(|b| b.magic = 0).build()),
        ("magic 1", good.clone().with(|b| b.magic = 1).build()),
        ("magic 3", good.clone().with(|b| b.magic = 3).build()),
        (
            "control batch",
            good.clone().with(|b| b.attributes = 0x20).build(),
        ),
        (
            "transactional batch without a transaction",
            good.clone().with(|b| b.attributes = 0x10).build(),
        ),
        (
            "unknown codec",
            good.clone().with(|b| b.attributes = 6).build(),
        ),
        (
            "count too high",
            good.clone().with(|b| b.count = Some(3)).build(),
        ),
        (
            "count too low",
            good.clone().with(|b| b.count = Some(1)).build(),
        ),
        (
            "count negative",
            good.clone().with(|b| b.count = Some(-1)).build(),
        ),
        (
            "last offset delta too high",
            good.clone().with(|b| b.last_offset_delta = Some(5)).build(),
        ),
        (
            "last offset delta negative",
            good.clone()
                .with(|b| b.last_offset_delta = Some(-1))
                .build(),
        ),
        (
            "no records",
            good.clone().with(|b| b.records.clear()).build(),
        ),
        (
            "records cut short",
            good.clone()
                .with(|b| b.body = Some(body[..body.len() - 1].to_vec()))
                .build(),
        ),
        (
            "garbage compressed",
            good.clone()
                .with(|b| {
                    b.attributes = 1;
                    b.body = Some(b"not gzip at all".to_vec());
                })
                .build(),
        ),
        ("two batches", two.into()),
        ("bytes after the batch", trailing.into()),
        ("batch cut short", cut),
        (
            "length too small",
            good.clone().with(|b| b.length_error = -8).build(),
        ),
        ("empty records", Bytes::new()),
        (
            "a sequence without a producer id",
            good.clone().with(|b| b.base_sequence = 0).build(),
        ),
        (
            "a producer id without a sequence",
            good.clone()
                .with(|b| {
                    b.producer_id = 900;
                    b.producer_epoch = 0;
                })
                .build(),
        ),
    ];
    for (step, records) in cases {
        for version in [3, 7, 8, both.latest::<ProduceRequest>()] {
            both.call::<ProduceRequest>(step, version, |side| {
                produce(side, version, &topic, 0, records.clone())
            })
            .await;
        }
    }
    // Null records are left out: Kafka never answers them.
    read_back(both, &topic).await;
    Ok(())
}

pub async fn bad_requests(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let missing = both.name("missing");
    let batch = Batch::of(&["a"]).build();
    both.call_in_each_version::<ProduceRequest>("unknown topic", |side, v| {
        produce(side, v, &missing, 0, batch.clone())
    })
    .await;
    both.call_in_each_version::<ProduceRequest>("unknown partition", |side, v| {
        produce(side, v, &topic, 1, batch.clone())
    })
    .await;
    both.call_in_each_version::<ProduceRequest>("negative partition", |side, v| {
        produce(side, v, &topic, -1, batch.clone())
    })
    .await;
    for acks in [2, -2, 100] {
        both.call_in_each_version::<ProduceRequest>("impossible acks", |side, v| {
            produce(side, v, &topic, 0, batch.clone()).with_acks(acks)
        })
        .await;
    }
    both.call::<ProduceRequest>("unknown topic id", 13, |_| {
        ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_topic_id(uuid::Uuid::from_u128(7))
                    .with_partition_data(vec![
                        PartitionProduceData::default().with_records(Some(batch.clone())),
                    ]),
            ])
    })
    .await;
    both.call_in_each_version::<ProduceRequest>("one bad partition among good ones", |side, v| {
        let mut request = produce(side, v, &topic, 0, batch.clone());
        let bad = PartitionProduceData::default()
            .with_index(4)
            .with_records(Some(batch.clone()));
        request.topic_data[0].partition_data.push(bad);
        request
    })
    .await;
    both.call_in_each_version::<ProduceRequest>("no topics", |_, _| {
        ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(5000)
    })
    .await;
    both.call::<ProduceRequest>("internal topic", 9, |side| {
        produce(side, 9, "__consumer_offsets", 0, batch.clone())
    })
    .await;
    both.call::<ProduceRequest>("impossible topic name", 9, |_| {
        let partition = PartitionProduceData::default().with_records(Some(batch.clone()));
        ProduceRequest::default()
            .with_acks(-1)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic_name("a b/../c"))
                    .with_partition_data(vec![partition]),
            ])
    })
    .await;
    both.call::<ProduceRequest>("transactional id without a transaction", 9, |side| {
        produce(side, 9, &topic, 0, batch.clone()).with_transactional_id(Some(
            kafka_protocol::messages::TransactionalId(s("parity-tx")),
        ))
    })
    .await;
    read_back(both, &topic).await;
    Ok(())
}

pub async fn timestamps(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let limited = both
        .topic(
            "limited",
            1,
            &[("message.timestamp.before.max.ms", "60000")],
        )
        .await?;
    let far = 4_000_000_000_000; // the year 2096
    let at = |time: i64| Batch::of(&["a"]).with(|b| b.base_timestamp = time).build();
    for (step, topic, records) in [
        ("far in the future", &topic, at(far)),
        ("no timestamp", &topic, at(-1)),
        ("long ago", &topic, at(1)),
        ("long ago where it is limited", &limited, at(1)),
        (
            "a maximum that is not the records'",
            &topic,
            Batch::of(&["a"])
                .with(|b| b.max_timestamp = Some(TIME + 1000))
                .build(),
        ),
        (
            "LogAppendTime from a client",
            &topic,
            Batch::of(&["a"]).with(|b| b.attributes = 8).build(),
        ),
        (
            "descending times",
            &topic,
            Batch::of(&["a", "b"])
                .with(|b| {
                    b.records[1].2 = -500;
                    b.max_timestamp = Some(TIME);
                })
                .build(),
        ),
    ] {
        both.call_in_each_version::<ProduceRequest>(step, |side, v| {
            produce(side, v, topic, 0, records.clone())
        })
        .await;
    }
    read_back(both, &topic).await;
    Ok(())
}

pub async fn compacted_topics(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[("cleanup.policy", "compact")]).await?;
    let keyless = Batch::of(&["a", "b"]).with(|b| b.records[1].0 = None);
    both.call_in_each_version::<ProduceRequest>("a null key", |side, v| {
        produce(side, v, &topic, 0, keyless.build())
    })
    .await;
    both.call_in_each_version::<ProduceRequest>("keys", |side, v| {
        produce(side, v, &topic, 0, Batch::of(&["a", "b"]).build())
    })
    .await;
    read_back(both, &topic).await;
    Ok(())
}

pub async fn sizes(both: &mut Both) -> anyhow::Result<()> {
    let small = both
        .topic("small", 1, &[("max.message.bytes", "200")])
        .await?;
    let usual = both.topic("usual", 1, &[]).await?;
    let tiny_segments = both
        .topic("segments", 1, &[("segment.bytes", "1048576")])
        .await?;
    let value = |len: usize| Batch::of(&[&"v".repeat(len)]).build();
    for (step, topic, records) in [
        ("just within max.message.bytes", &small, value(100)),
        ("above max.message.bytes", &small, value(200)),
        ("a megabyte by default", &usual, value(1_048_576)),
        ("just within the default", &usual, value(1_048_576 - 80)),
        (
            "as large as a segment",
            &tiny_segments,
            value(1_048_576 - 80),
        ),
    ] {
        for version in [3, 8, both.latest::<ProduceRequest>()] {
            both.call::<ProduceRequest>(step, version, |side| {
                produce(side, version, topic, 0, records.clone())
            })
            .await;
        }
    }
    read_back(both, &small).await;
    Ok(())
}

pub async fn append_time(both: &mut Both) -> anyhow::Result<()> {
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let topic = both.topic("t", 1, &configs).await?;
    let far = 4_000_000_000_000;
    for (step, time) in [("usual", TIME), ("far ahead", far), ("none", -1)] {
        both.call_in_each_version::<ProduceRequest>(step, |side, v| {
            let batch = Batch::of(&["a"]).with(|b| b.base_timestamp = time);
            produce(side, v, &topic, 0, batch.build())
        })
        .await;
    }
    read_back(both, &topic).await;
    Ok(())
}
