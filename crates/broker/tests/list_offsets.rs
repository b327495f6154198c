//! ListOffsets by time, and by the largest time.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::StrBytes;
use ottla_codec::compression::Compression;
use ottla_codec::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_codec::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_codec::messages::{
    BrokerId, CreateTopicsRequest, DeleteRecordsRequest, ListOffsetsRequest,
};
use ottla_codec::records::{BatchBuilder, Record};
use support::*;

const MAX_TIMESTAMP: i64 = -3;
const NOTHING: (i64, i64) = (-1, -1);

fn timed(compression: Compression, times: &[i64]) -> Bytes {
    let records: Vec<Record> = times
        .iter()
        .enumerate()
        .map(|(i, time)| Record {
            offset: i as i64,
            timestamp: *time,
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: vec![],
        })
        .collect();
    BatchBuilder {
        compression,
        ..BatchBuilder::default()
    }
    .build(&records)
}

async fn send(connection: &mut Connection, batch: Bytes) {
    let answer = connection
        .call(9, &produce_request("t", -1, batch))
        .await
        .unwrap();
    assert_eq!(produced(&answer).0, 0);
}

/// Offset and timestamp.
async fn find(connection: &mut Connection, timestamp: i64) -> (i64, i64) {
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![
                    ListOffsetsPartition::default()
                        .with_partition_index(0)
                        .with_current_leader_epoch(-1)
                        .with_timestamp(timestamp),
                ]),
        ]);
    let answer = connection.call(7, &request).await.unwrap();
    let partition = &answer.topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    (partition.offset, partition.timestamp)
}

async fn delete_before(connection: &mut Connection, offset: i64) {
    let request = DeleteRecordsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            DeleteRecordsTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![
                    DeleteRecordsPartition::default()
                        .with_partition_index(0)
                        .with_offset(offset),
                ]),
        ]);
    let answer = connection.call(2, &request).await.unwrap();
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (0, offset));
}

#[tokio::test]
async fn a_time_is_found_inside_a_batch_compressed_or_not() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let running = start(&[]).await;
        let mut connection = running.connect().await;
        create(&mut connection, "t").await;
        send(&mut connection, timed(compression, &[100, 300, 200])).await;
        send(&mut connection, timed(compression, &[400, 600, 500])).await;
        for (time, found) in [
            (0, (0, 100)),
            (100, (0, 100)),
            (101, (1, 300)),
            (301, (3, 400)),
            (450, (4, 600)),
            (600, (4, 600)),
            (601, NOTHING),
            (MAX_TIMESTAMP, (4, 600)),
        ] {
            assert_eq!(
                find(&mut connection, time).await,
                found,
                "{compression:?} {time}"
            );
        }
    }
}

#[tokio::test]
async fn the_largest_time_is_the_first_of_those_and_not_in_the_last_batch() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    assert_eq!(find(&mut connection, MAX_TIMESTAMP).await, NOTHING);
    for times in [&[10, 90, 90][..], &[90], &[20, 30]] {
        send(&mut connection, timed(Compression::None, times)).await;
    }
    assert_eq!(find(&mut connection, MAX_TIMESTAMP).await, (1, 90));
}

#[tokio::test]
async fn deleted_records_are_not_found() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    send(&mut connection, timed(Compression::Gzip, &[100, 900, 200])).await;
    send(&mut connection, timed(Compression::None, &[300, 150])).await;
    delete_before(&mut connection, 2).await;
    assert_eq!(find(&mut connection, 100).await, (2, 200));
    assert_eq!(find(&mut connection, 250).await, (3, 300));
    assert_eq!(find(&mut connection, 301).await, NOTHING);
    assert_eq!(find(&mut connection, MAX_TIMESTAMP).await, (3, 300));
    delete_before(&mut connection, 4).await;
    assert_eq!(find(&mut connection, MAX_TIMESTAMP).await, (4, 150));
    delete_before(&mut connection, 5).await;
    assert_eq!(find(&mut connection, MAX_TIMESTAMP).await, NOTHING);
}

#[tokio::test]
async fn append_times_are_found_by_the_brokers_clock() {
    let running = start(&[]).await;
    let mut connection = running.connect().await;
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("message.timestamp.type"))
        .with_value(Some(StrBytes::from_static_str("LogAppendTime")));
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(name("t"))
                .with_num_partitions(1)
                .with_replication_factor(1)
                .with_configs(vec![config]),
        ]);
    let created = connection.call(5, &request).await.unwrap();
    assert_eq!(created.topics[0].error_code, 0);
    for _ in 0..2 {
        send(&mut connection, timed(Compression::None, &[5, 7])).await;
    }
    // The records' own times are long ago; what counts is when the broker took them.
    let (offset, time) = find(&mut connection, 8).await;
    assert_eq!(offset, 0);
    assert!(time > 1_600_000_000_000);
    let (_, largest) = find(&mut connection, MAX_TIMESTAMP).await;
    assert!(largest >= time);
    assert_eq!(find(&mut connection, largest + 1).await, NOTHING);
}

#[tokio::test]
async fn the_largest_time_is_looked_for_in_what_is_left_of_a_segment_and_in_those_behind() {
    // Two batches a segment.
    let running = start(&[("log.segment.bytes", "250")]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    for times in [[100, 900, 200], [300, 150, 160], [250, 260, 270], [1, 2, 3]] {
        send(&mut connection, timed(Compression::None, &times)).await;
    }
    for (start, found) in [
        (0, (1, 900)),
        (1, (1, 900)),
        (2, (3, 300)),
        (4, (8, 270)),
        (6, (8, 270)),
        (9, (11, 3)),
    ] {
        if start > 0 {
            delete_before(&mut connection, start).await;
        }
        let largest = find(&mut connection, MAX_TIMESTAMP).await;
        assert_eq!(largest, found, "log start {start}");
    }
}
