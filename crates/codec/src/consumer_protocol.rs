//! The embedded protocol of consumers, decoded within bounds: subscriptions and assignments are bytes of one member that
//! another reads, so neither the broker between them nor the member is trusted.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Message};

use crate::shape;

/// Why a member's bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MemberError(String);

/// A subscription, its version in front. A version above those that are known is read as the highest of them, since versions
/// only add fields at the end; bytes behind the last known field are left alone.
pub fn subscription(bytes: Bytes) -> Result<ConsumerProtocolSubscription, MemberError> {
    decode(bytes, shape::check_subscription)
}

/// An assignment, by the same rules.
pub fn assignment(bytes: Bytes) -> Result<ConsumerProtocolAssignment, MemberError> {
    decode(bytes, shape::check_assignment)
}

fn decode<M: Message + Decodable>(
    mut bytes: Bytes,
    check: fn(i16, &[u8]) -> Result<(), String>,
) -> Result<M, MemberError> {
    let version = bytes
        .try_get_i16()
        .map_err(|_| MemberError("the version is missing".to_owned()))?;
    if version < 0 {
        return Err(MemberError(format!("version {version} is negative")));
    }
    let version = version.min(M::VERSIONS.max);
    check(version, &bytes).map_err(MemberError)?;
    M::decode(&mut bytes, version).map_err(|e| MemberError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::consumer_protocol_assignment;
    use kafka_protocol::messages::consumer_protocol_subscription;
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use proptest::prelude::*;

    use super::*;

    fn written<M: Encodable>(version: i16, message: &M) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        message.encode(&mut bytes, version).unwrap();
        bytes.to_vec()
    }

    fn name() -> TopicName {
        TopicName(StrBytes::from_static_str("topic"))
    }

    fn a_subscription(version: i16) -> ConsumerProtocolSubscription {
        let owned = consumer_protocol_subscription::TopicPartition::default()
            .with_topic(name())
            .with_partitions(vec![1, 2]);
        let mut all = ConsumerProtocolSubscription::default()
            .with_topics(vec![name().0, name().0])
            .with_user_data(Some(Bytes::from_static(b"data")));
        if version >= 1 {
            all = all.with_owned_partitions(vec![owned]);
        }
        if version >= 2 {
            all = all.with_generation_id(7);
        }
        if version >= 3 {
            all = all.with_rack_id(Some(StrBytes::from_static_str("rack")));
        }
        all
    }

    fn an_assignment() -> ConsumerProtocolAssignment {
        let assigned = consumer_protocol_assignment::TopicPartition::default()
            .with_topic(name())
            .with_partitions(vec![1, 2, 3]);
        ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned])
    }

    #[test]
    fn every_version_reads_back() {
        for version in 0..=3 {
            let expected = a_subscription(version);
            let bytes = written(version, &expected);
            assert_eq!(subscription(bytes.into()), Ok(expected));
            let expected = an_assignment();
            let bytes = written(version, &expected);
            assert_eq!(assignment(bytes.into()), Ok(expected));
        }
    }

    #[test]
    fn a_version_to_come_is_read_as_far_as_it_is_known() {
        let mut bytes = written(3, &a_subscription(3));
        bytes[1] = 9;
        bytes.extend_from_slice(&[1, 2, 3]);
        assert_eq!(subscription(bytes.into()), Ok(a_subscription(3)));
    }

    #[test]
    fn a_claim_of_more_than_there_is_names_its_field() {
        let claim = Bytes::from_static(&[0, 1, 0x7f, 0xff, 0xff, 0xff]);
        let told = subscription(claim.clone()).unwrap_err().to_string();
        assert!(told.starts_with("topics: claims 2147483647"), "{told}");
        let told = assignment(claim).unwrap_err().to_string();
        assert!(told.starts_with("assigned_partitions: claims"), "{told}");
    }

    proptest! {
        #[test]
        fn what_is_cut_short_is_refused_and_what_is_changed_never_panics(
            version in 0i16..4, at: usize, with: u8,
        ) {
            let mut bytes = written(version, &a_subscription(version));
            let cut = Bytes::copy_from_slice(&bytes[..at % bytes.len()]);
            prop_assert!(subscription(cut).is_err());
            let len = bytes.len();
            bytes[at % len] = with;
            let _ = subscription(bytes.clone().into());
            let _ = assignment(bytes.into());
        }
    }
}
