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

use crate::parity::batch::Batch;
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
