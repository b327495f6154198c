//! What a reader of a topic is told.

use std::time::Duration;

use ottla_client::Connection;
use ottla_codec::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_codec::messages::{BrokerId, ListOffsetsRequest};

use crate::support::*;

/// What a reader gets from offset 0 on: values, last stable offset, and the aborted transactions it is told of.
pub struct Seen {
    pub values: Vec<String>,
    pub last_stable: i64,
    pub high_watermark: i64,
    pub aborted: Vec<(i64, i64)>,
}

pub async fn see(connection: &mut Connection, topic: &str, committed: bool) -> Seen {
    let mut request = fetch_request(topic, 0, Duration::ZERO);
    request.isolation_level = i8::from(committed);
    let answer = connection.call(11, &request).await.unwrap();
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let aborted = partition.aborted_transactions.iter().flatten();
    let mut bytes = partition.records.clone().unwrap_or_default();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let header = ottla_codec::batch::BatchHeader::parse(&bytes).unwrap();
        let batch = bytes.split_to(header.size);
        if header.is_control() {
            continue;
        }
        for record in ottla_codec::records::iterate(batch, 1 << 20).unwrap() {
            let value = record.unwrap().value.unwrap();
            values.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    Seen {
        values,
        last_stable: partition.last_stable_offset,
        high_watermark: partition.high_watermark,
        aborted: aborted.map(|a| (a.producer_id.0, a.first_offset)).collect(),
    }
}

pub async fn list_offsets(connection: &mut Connection, topic: &str, isolation: i8) -> i64 {
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)]),
        ]);
    let answer = connection.call(5, &request).await.unwrap();
    answer.topics[0].partitions[0].offset
}
