use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
    ProduceRequest,
};

use ottla_codec::compression::{Compression, compress};

use crate::parity::batch::{Batch, TIME};
use crate::parity::both::Both;
use crate::parity::words::{fetch, list_offsets, produce, topic_name};

fn delete(topic: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(partition)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000)
}

pub async fn deletion(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let compacted = both.topic("c", 1, &[("cleanup.policy", "compact")]).await?;
    let missing = both.name("missing");
    for topic in [&topic, &topic, &compacted] {
        both.call::<ProduceRequest>("fill", 9, |side| {
            produce(side, 9, topic, 0, Batch::of(&["a", "b", "c"]).build())
        })
        .await;
    }
    for (step, topic, partition, offset) in [
        ("the start", &topic, 0, 0),
        ("inside a batch", &topic, 0, 2),
        ("below the start", &topic, 0, 1),
        ("past the end", &topic, 0, 7),
        ("below -1", &topic, 0, -2),
        ("unknown partition", &topic, 9, 0),
        ("unknown topic", &missing, 0, 0),
        ("compacted topic", &compacted, 0, 1),
    ] {
        both.call_in_each_version::<DeleteRecordsRequest>(step, |_, _| {
            delete(topic, partition, offset)
        })
        .await;
    }
    both.call::<ListOffsetsRequest>("earliest now", 6, |_| list_offsets(&topic, 0, -2))
        .await;
    for offset in [0, 1, 2] {
        both.call::<FetchRequest>("around the new start", 12, |side| {
            fetch(side, 12, &topic, &[(0, offset)])
        })
        .await;
    }
    both.call_in_each_version::<DeleteRecordsRequest>("to the high watermark", |_, _| {
        delete(&topic, 0, -1)
    })
    .await;
    both.call::<ListOffsetsRequest>("earliest at the end", 6, |_| list_offsets(&topic, 0, -2))
        .await;
    Ok(())
}

/// Times inside of batches, compressed and not, while their records go.
pub async fn times_after_deletion(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let with_times = |times: [i64; 3], codec: Compression| {
        Batch::of(&["a", "b", "c"]).with(|b| {
            for (record, time) in b.records.iter_mut().zip(times) {
                record.2 = time;
            }
            b.max_timestamp = times.iter().max().map(|max| TIME + max);
            b.attributes = codec as i16;
            if codec != Compression::None {
                b.body = Some(compress(codec, &b.record_bytes()));
            }
        })
    };
    for batch in [
        with_times([0, 900, 200], Compression::Gzip),
        with_times([300, 150, 700], Compression::None),
        with_times([400, 600, 500], Compression::Zstd),
    ] {
        both.call::<ProduceRequest>("fill", 9, |side| produce(side, 9, &topic, 0, batch.build()))
            .await;
    }
    let v = both.latest::<ListOffsetsRequest>();
    for start in [0, 2, 4, 6, 9] {
        both.call::<DeleteRecordsRequest>("move the start", 2, |_| delete(&topic, 0, start))
            .await;
        for time in [0, 1, 201, 250, 450, 601, 800, 901] {
            let step = format!("start {start}, time T+{time}");
            both.call::<ListOffsetsRequest>(&step, v, |_| list_offsets(&topic, 0, TIME + time))
                .await;
        }
        let step = format!("start {start}, the largest time");
        both.call::<ListOffsetsRequest>(&step, v, |_| list_offsets(&topic, 0, -3))
            .await;
    }
    Ok(())
}

pub async fn leader_epochs(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let missing = both.name("missing");
    both.call::<ProduceRequest>("fill", 9, |side| {
        produce(side, 9, &topic, 0, Batch::of(&["a", "b", "c"]).build())
    })
    .await;
    for (step, topic, partition, current, epoch) in [
        ("the epoch of the data", &topic, 0, -1, 0),
        ("an epoch of the future", &topic, 0, -1, 5),
        ("an undefined epoch", &topic, 0, -1, -1),
        ("an empty partition", &topic, 1, -1, 0),
        ("current epoch too new", &topic, 0, 3, 0),
        ("current epoch right", &topic, 0, 0, 0),
        ("unknown partition", &topic, 4, -1, 0),
        ("unknown topic", &missing, 0, -1, 0),
    ] {
        both.call_in_each_version::<OffsetForLeaderEpochRequest>(step, |_, v| {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch);
            OffsetForLeaderEpochRequest::default()
                .with_replica_id(if v >= 3 { -1 } else { -2 }.into())
                .with_topics(vec![
                    OffsetForLeaderTopic::default()
                        .with_topic(topic_name(topic))
                        .with_partitions(vec![partition]),
                ])
        })
        .await;
    }
    Ok(())
}
