//! A transactional producer, by hand.

use bytes::Bytes;
use ottla_client::Connection;
use ottla_codec::ResponseError;
use ottla_codec::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_codec::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_codec::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId,
    InitProducerIdRequest, ProducerId, TransactionalId, TxnOffsetCommitRequest,
};
use ottla_codec::records::{BatchBuilder, Record};

use crate::support::member::text;
use crate::support::*;

pub const V1: Versions = Versions {
    produce: 11,
    end: 4,
    commit: 4,
};
pub const V2: Versions = Versions {
    produce: 12,
    end: 5,
    commit: 5,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub produce: i16,
    pub end: i16,
    pub commit: i16,
}

pub fn transactional(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

pub fn code(error: ResponseError) -> i16 {
    error.code()
}

/// A transactional producer, by hand.
pub struct Producer {
    pub connection: Connection,
    pub id: &'static str,
    pub producer_id: i64,
    pub epoch: i16,
    sequences: std::collections::BTreeMap<(String, i32), i32>,
    pub versions: Versions,
}

impl Producer {
    pub async fn init(
        running: &Running,
        id: &'static str,
        versions: Versions,
        timeout_ms: i32,
    ) -> Producer {
        let mut producer = Producer {
            connection: running.connect().await,
            id,
            producer_id: -1,
            epoch: -1,
            sequences: Default::default(),
            versions,
        };
        assert_eq!(producer.init_again(timeout_ms).await, 0);
        producer
    }

    pub async fn init_again(&mut self, timeout_ms: i32) -> i16 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional(self.id)))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch);
        let answer = self.connection.call(4, &request).await.unwrap();
        if answer.error_code == 0 {
            self.producer_id = answer.producer_id.0;
            self.epoch = answer.producer_epoch;
            self.sequences.clear();
        }
        answer.error_code
    }

    pub async fn add(&mut self, topic: &str, partitions: &[i32]) -> Vec<i16> {
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(self.id))
            .with_v3_and_below_producer_id(ProducerId(self.producer_id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![
                AddPartitionsToTxnTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions.to_vec()),
            ]);
        let answer = self.connection.call(3, &request).await.unwrap();
        let topic = &answer.results_by_topic_v3_and_below[0];
        topic
            .results_by_partition
            .iter()
            .map(|p| p.partition_error_code)
            .collect()
    }

    /// Sends a record, after adding the partition where that is due.
    pub async fn send(&mut self, topic: &str, partition: i32, value: &'static str) -> i16 {
        if self.versions == V1 {
            let added = self.add(topic, &[partition]).await;
            if added != [0] {
                return added[0];
            }
        }
        self.send_alone(topic, partition, value).await
    }

    pub async fn send_alone(&mut self, topic: &str, partition: i32, value: &'static str) -> i16 {
        let sequence = self
            .sequences
            .entry((topic.to_owned(), partition))
            .or_default();
        let batch = BatchBuilder {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            base_sequence: *sequence,
            transactional: true,
            ..BatchBuilder::default()
        }
        .build(&[Record {
            offset: 0,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: vec![],
        }]);
        let mut request =
            produce_request(topic, -1, batch).with_transactional_id(Some(transactional(self.id)));
        request.topic_data[0].partition_data[0].index = partition;
        let answer = self
            .connection
            .call(self.versions.produce, &request)
            .await
            .unwrap();
        let (error, _) = produced(&answer);
        if error == 0 {
            *sequence += 1;
        }
        error
    }

    pub async fn end(&mut self, commit: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional(self.id))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(commit);
        let answer = self
            .connection
            .call(self.versions.end, &request)
            .await
            .unwrap();
        if answer.error_code == 0 && self.versions == V2 {
            if (self.producer_id, self.epoch) != (answer.producer_id.0, answer.producer_epoch) {
                self.sequences.clear();
            }
            self.producer_id = answer.producer_id.0;
            self.epoch = answer.producer_epoch;
        }
        answer.error_code
    }

    pub async fn commit_offset(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        if self.versions == V1 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(transactional(self.id))
                .with_producer_id(ProducerId(self.producer_id))
                .with_producer_epoch(self.epoch)
                .with_group_id(GroupId(text(group)));
            let answer = self.connection.call(3, &request).await.unwrap();
            if answer.error_code != 0 {
                return answer.error_code;
            }
        }
        self.commit_offset_alone(group, topic, offset).await
    }

    pub async fn commit_offset_alone(&mut self, group: &str, topic: &str, offset: i64) -> i16 {
        let codes = self
            .commit_noted(group, topic, &[(0, offset, "note")])
            .await;
        codes[0]
    }

    /// Partition, offset and metadata of each.
    pub async fn commit_noted(
        &mut self,
        group: &str,
        topic: &str,
        offsets: &[(i32, i64, &str)],
    ) -> Vec<i16> {
        let partitions = offsets.iter().map(|(partition, offset, note)| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text(note)))
        });
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional(self.id))
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![
                TxnOffsetCommitRequestTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions.collect()),
            ]);
        let answer = self
            .connection
            .call(self.versions.commit, &request)
            .await
            .unwrap();
        let partitions = answer.topics[0].partitions.iter();
        partitions.map(|p| p.error_code).collect()
    }
}
