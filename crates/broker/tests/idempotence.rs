//! Idempotent producers over what happens to a broker: a crash, and records that go away.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_codec::messages::{DeleteRecordsRequest, InitProducerIdRequest, ProducerId};
use ottla_codec::records::{BatchBuilder, Record};
use support::*;

async fn producer_id(connection: &mut Connection) -> i64 {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(1000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = connection.call(4, &request).await.unwrap();
    assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    answer.producer_id.0
}

fn two_records(producer_id: i64, base_sequence: i32) -> Bytes {
    let record = |offset| Record {
        offset,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from_static(b"v")),
        headers: vec![],
    };
    BatchBuilder {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        ..BatchBuilder::default()
    }
    .build(&[record(0), record(1)])
}

async fn send(connection: &mut Connection, producer_id: i64, sequence: i32) -> (i16, i64) {
    let request = produce_request("t", -1, two_records(producer_id, sequence));
    produced(&connection.call(9, &request).await.unwrap())
}

#[tokio::test]
async fn a_crash_forgets_neither_sequences_nor_ids() {
    let mut running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let id = producer_id(&mut connection).await;
    assert_eq!(send(&mut connection, id, 0).await, (0, 0));
    assert_eq!(send(&mut connection, id, 2).await, (0, 2));
    // Twice: once replayed from the journal, once from what the first start kept.
    for round in 0..2 {
        running = running.crash(&[]).await;
        connection = running.connect().await;
        let again = "the answer to what was sent before the crash was lost";
        assert_eq!(send(&mut connection, id, 2).await, (0, 2), "{again}");
        let gap = ResponseError::OutOfOrderSequenceNumber.code();
        assert_eq!(send(&mut connection, id, 90).await.0, gap);
        assert_eq!(send(&mut connection, id, 0).await, (0, 0), "{round}");
        let other = producer_id(&mut connection).await;
        assert_ne!(other, id);
    }
    assert_eq!(send(&mut connection, id, 4).await, (0, 4));
}

#[tokio::test]
async fn a_producer_goes_on_after_all_its_records_were_deleted() {
    let mut running = start(&[]).await;
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    let id = producer_id(&mut connection).await;
    assert_eq!(send(&mut connection, id, 0).await, (0, 0));
    let request = DeleteRecordsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(vec![
            DeleteRecordsTopic::default()
                .with_name(name("t"))
                .with_partitions(vec![
                    DeleteRecordsPartition::default()
                        .with_partition_index(0)
                        .with_offset(-1),
                ]),
        ]);
    let answer = connection.call(2, &request).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].low_watermark, 2);
    running = running.crash(&[]).await;
    connection = running.connect().await;
    assert_eq!(send(&mut connection, id, 0).await, (0, 0), "a duplicate");
    assert_eq!(send(&mut connection, id, 2).await, (0, 2));
}
