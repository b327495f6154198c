//! DeleteRecords: moves the beginning of partitions.

use std::collections::BTreeMap;

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

use super::admin_timeout_ms;
use crate::client::Client;
use crate::error::ClientError;
use crate::metadata::topic_name;

impl Client {
    /// Deletes a partition's records before `offset`, or all with -1; answers with where the partition begins now.
    pub async fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<i64, ClientError> {
        let request = DeleteRecordsRequest::default()
            .with_timeout_ms(admin_timeout_ms())
            .with_topics(vec![
                DeleteRecordsTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(vec![
                        DeleteRecordsPartition::default()
                            .with_partition_index(partition)
                            .with_offset(offset),
                    ]),
            ]);
        self.retry(async |client| {
            let leader = client.leader(topic, partition).await?;
            let answer = client.node(leader).await?.call(&request).await?;
            let result = answer
                .topics
                .into_iter()
                .flat_map(|topic| topic.partitions)
                .next()
                .ok_or_else(|| {
                    ClientError::Invalid(format!(
                        "the broker's answer leaves {topic}-{partition} out"
                    ))
                })?;
            ClientError::check(result.error_code, None, || {
                format!("deleting records of {topic}-{partition}")
            })?;
            Ok(result.low_watermark)
        })
        .await
    }

    /// As [`delete_records`](Client::delete_records) for several partitions, a result for each.
    pub async fn delete_records_of(
        &mut self,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> BTreeMap<(String, i32), Result<i64, ClientError>> {
        let mut results = BTreeMap::new();
        for ((topic, partition), offset) in offsets {
            let result = self.delete_records(topic, *partition, *offset).await;
            results.insert((topic.clone(), *partition), result);
        }
        results
    }
}
