//! What the members of a group tell each other through the coordinator: subscriptions and assignments.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Encodable, StrBytes};
use ottla_codec::consumer_protocol::{self, MemberError};

use crate::error::ClientError;
use crate::metadata::topic_name;

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// The version that is written; members may read any, since later versions only add fields.
const VERSION: i16 = 1;

pub(crate) fn encode_subscription(topics: &[String]) -> Result<Bytes, ClientError> {
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics.iter().cloned().map(StrBytes::from_string).collect());
    encode("ConsumerProtocolSubscription", &subscription)
}

/// The topics of a subscription.
pub(crate) fn decode_subscription(bytes: Bytes) -> Result<Vec<String>, ClientError> {
    let api = "ConsumerProtocolSubscription";
    let subscription = consumer_protocol::subscription(bytes).map_err(|e| malformed(api, &e))?;
    Ok(subscription.topics.iter().map(|t| t.to_string()).collect())
}

pub(crate) fn encode_assignment(
    partitions: impl IntoIterator<Item = (String, Vec<i32>)>,
) -> Result<Bytes, ClientError> {
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(
        partitions
            .into_iter()
            .map(|(topic, partitions)| {
                TopicPartition::default()
                    .with_topic(topic_name(&topic))
                    .with_partitions(partitions)
            })
            .collect(),
    );
    encode("ConsumerProtocolAssignment", &assignment)
}

pub(crate) fn decode_assignment(bytes: Bytes) -> Result<ConsumerProtocolAssignment, ClientError> {
    consumer_protocol::assignment(bytes).map_err(|e| malformed("ConsumerProtocolAssignment", &e))
}

fn encode(api: &'static str, message: &impl Encodable) -> Result<Bytes, ClientError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message
        .encode(&mut bytes, VERSION)
        .map_err(|e| ClientError::Encode {
            api,
            version: VERSION,
            reason: e.to_string(),
        })?;
    Ok(bytes.freeze())
}

fn malformed(what: &'static str, error: &MemberError) -> ClientError {
    ClientError::Invalid(format!("cannot decode {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_and_assignments_survive_the_way() {
        let topics = vec!["a".to_owned(), "b".to_owned()];
        let bytes = encode_subscription(&topics).unwrap();
        assert_eq!(decode_subscription(bytes).unwrap(), topics);

        let bytes = encode_assignment([("a".to_owned(), vec![0, 2])]).unwrap();
        let assignment = decode_assignment(bytes).unwrap();
        assert_eq!(assignment.assigned_partitions[0].partitions, [0, 2]);
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [&b""[..], b"\0", b"\xff\xff", b"\0\x01\0\0\0\x05"] {
            assert!(decode_subscription(Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
