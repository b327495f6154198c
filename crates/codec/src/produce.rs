//! Produce requests on the hot path: decoded by hand over the frame, so that the batches stay in place and can be patched there.

use bytes::{Buf, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::Api;
use crate::budget::Budget;
use crate::request::RequestError;
use crate::wire::{Reader, WireError};

/// A produce request whose record batches are still in their frame.
#[derive(Debug)]
pub struct ProduceRequest {
    /// Set by transactional producers.
    pub transactional_id: Option<StrBytes>,
    /// -1 (all), 0 (no answer), 1; anything else is INVALID_REQUIRED_ACKS.
    pub acks: i16,
    /// How long the producer waits, milliseconds.
    pub timeout_ms: i32,
    /// The topics in the order of the request.
    pub topics: Vec<ProduceTopic>,
}

/// One topic of a produce request.
#[derive(Debug)]
pub struct ProduceTopic {
    /// The name, up to version 12; empty from 13.
    pub name: StrBytes,
    /// The id, from version 13; nil before.
    pub topic_id: Uuid,
    /// The partitions in the order of the request.
    pub partitions: Vec<ProducePartition>,
}

/// One partition of a produce request.
#[derive(Debug)]
pub struct ProducePartition {
    /// The partition's index.
    pub index: i32,
    /// Zero or more record batches, not yet checked. A null is `None`.
    ///
    /// For a frame in an allocation of its own these are parts of the frame, not copies.
    pub records: Option<BytesMut>,
}

/// Decodes a produce request of versions 3 to 13 from `body` (the frame after the request header).
/// The names and record batches are parts of `body`; nothing is copied.
pub fn decode(version: i16, body: BytesMut) -> Result<ProduceRequest, RequestError> {
    let error = |reason: String| RequestError::Body {
        api: Api::Produce.name(),
        version,
        reason,
    };
    if !Api::Produce.versions().contains(&version) {
        return Err(error("version is not supported".to_owned()));
    }
    let mut decoder = Decoder {
        budget: Budget::for_request(body.len()),
        flexible: version >= 9,
        topic_ids: version >= 13,
        body,
    };
    decoder
        .request()
        .map_err(|(field, cause)| error(format!("{field}: {cause}")))
}

/// A field's name and what is wrong with it.
type FieldError = (&'static str, String);

struct Decoder {
    body: BytesMut,
    budget: Budget,
    flexible: bool,
    topic_ids: bool,
}

impl Decoder {
    fn request(&mut self) -> Result<ProduceRequest, FieldError> {
        let transactional_id = self.nullable_string("transactional_id")?;
        let (acks, timeout_ms) = self.read("acks", |r, _| Ok((r.i16()?, r.i32()?)))?;
        let topics = self.array("topic_data", Self::topic)?;
        self.tagged_fields("tagged fields")?;
        // Bytes after the end are no harm: see `request::decode`.
        Ok(ProduceRequest {
            transactional_id,
            acks,
            timeout_ms,
            topics,
        })
    }

    fn topic(&mut self) -> Result<ProduceTopic, FieldError> {
        let (name, topic_id) = if self.topic_ids {
            let id = self.read("topic_data.topic_id", |r, _| r.uuid())?;
            (StrBytes::new(), id)
        } else {
            const NAME: &str = "topic_data.name";
            let name = self.nullable_string(NAME)?;
            (name.ok_or((NAME, "is null".to_owned()))?, Uuid::nil())
        };
        let partitions = self.array("topic_data.partition_data", Self::partition)?;
        self.tagged_fields("topic_data tagged fields")?;
        Ok(ProduceTopic {
            name,
            topic_id,
            partitions,
        })
    }

    fn partition(&mut self) -> Result<ProducePartition, FieldError> {
        const RECORDS: &str = "topic_data.partition_data.records";
        let (index, len) =
            self.read(RECORDS, |r, flexible| Ok((r.i32()?, r.long_len(flexible)?)))?;
        let records = len.map(|len| self.split(RECORDS, len)).transpose()?;
        self.tagged_fields("topic_data.partition_data tagged fields")?;
        Ok(ProducePartition { index, records })
    }

    /// The elements are reserved as they come, so a false count costs nothing; what they take is charged.
    fn array<T>(
        &mut self,
        field: &'static str,
        element: fn(&mut Self) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, FieldError> {
        let count = self
            .read(field, |r, flexible| r.long_len(flexible))?
            .ok_or((field, "is null".to_owned()))?;
        if count > self.body.len() {
            return Err((
                field,
                format!("claims {count} elements in {} bytes", self.body.len()),
            ));
        }
        let mut elements = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            self.budget
                .charge(size_of::<T>())
                .map_err(|e| (field, e.to_string()))?;
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn nullable_string(&mut self, field: &'static str) -> Result<Option<StrBytes>, FieldError> {
        let Some(len) = self.read(field, |r, flexible| r.string_len(flexible))? else {
            return Ok(None);
        };
        let bytes = self.split(field, len)?.freeze();
        StrBytes::from_utf8(bytes)
            .map(Some)
            .map_err(|e| (field, e.to_string()))
    }

    fn tagged_fields(&mut self, field: &'static str) -> Result<(), FieldError> {
        if self.flexible {
            self.read(field, |r, _| r.skip_tagged_fields())?;
        }
        Ok(())
    }

    /// Reads primitives off the front.
    #[inline]
    fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'_>, bool) -> Result<T, WireError>,
    ) -> Result<T, FieldError> {
        let mut reader = Reader::new(&self.body);
        let value = read(&mut reader, self.flexible).map_err(|e| (field, e.to_string()))?;
        let read = reader.position();
        self.body.advance(read);
        Ok(value)
    }

    fn split(&mut self, field: &'static str, len: usize) -> Result<BytesMut, FieldError> {
        let have = self.body.len();
        if len > have {
            return Err((field, WireError::Short { need: len, have }.to_string()));
        }
        Ok(self.body.split_to(len))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{ProduceRequest as Message, TopicName, TransactionalId};
    use kafka_protocol::protocol::Encodable;
    use proptest::prelude::*;

    use super::*;

    type Partitions = Vec<(i32, Option<Vec<u8>>)>;

    fn message(
        version: i16,
        id: Option<&str>,
        topics: &[(String, Partitions)],
        tagged: bool,
    ) -> Message {
        let tags = || {
            let tag = (version >= 9 && tagged).then(|| (9, Bytes::from_static(b"new")));
            tag.into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        let topics = topics.iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(|(index, records)| {
                PartitionProduceData::default()
                    .with_index(*index)
                    .with_records(records.clone().map(Bytes::from))
                    .with_unknown_tagged_fields(tags())
            });
            let topic = TopicProduceData::default()
                .with_partition_data(partitions.collect())
                .with_unknown_tagged_fields(tags());
            if version >= 13 {
                topic.with_topic_id(Uuid::from_u128(name.len() as u128))
            } else {
                topic.with_name(TopicName(StrBytes::from_string(name.clone())))
            }
        });
        Message::default()
            .with_transactional_id(id.map(|id| TransactionalId(StrBytes::from_string(id.into()))))
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(topics.collect())
            .with_unknown_tagged_fields(tags())
    }

    fn encoded(version: i16, message: &Message) -> BytesMut {
        let mut out = BytesMut::new();
        message.encode(&mut out, version).unwrap();
        out
    }

    proptest! {
        #[test]
        fn requests_of_every_version_read_as_kafka_protocol_wrote_them(
            id in proptest::option::of("[a-z]{0,10}"),
            topics in prop::collection::vec(
                ("[a-z.]{1,200}", prop::collection::vec(
                    (any::<i32>(), proptest::option::of(prop::collection::vec(any::<u8>(), 0..300))), 0..4)),
                0..4),
            tagged: bool,
        ) {
            for version in Api::Produce.versions() {
                let message = message(version, id.as_deref(), &topics, tagged);
                let body = encoded(version, &message);
                let range = body.as_ptr_range();
                let request = decode(version, body).unwrap();
                prop_assert_eq!(request.transactional_id.as_deref(), id.as_deref());
                prop_assert_eq!((request.acks, request.timeout_ms), (-1, 30_000));
                prop_assert_eq!(request.topics.len(), topics.len());
                for (topic, (name, partitions)) in request.topics.iter().zip(&topics) {
                    if version >= 13 {
                        prop_assert_eq!(topic.topic_id.as_u128(), name.len() as u128);
                    } else {
                        prop_assert_eq!(&*topic.name, name.as_str());
                    }
                    prop_assert_eq!(topic.partitions.len(), partitions.len());
                    for (partition, (index, records)) in topic.partitions.iter().zip(partitions) {
                        prop_assert_eq!(partition.index, *index);
                        prop_assert_eq!(partition.records.as_deref(), records.as_deref());
                        if let Some(records) = partition.records.as_ref().filter(|r| !r.is_empty()) {
                            prop_assert!(range.contains(&records.as_ptr()), "copied");
                        }
                    }
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(version in 3i16..=13, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(version, BytesMut::from(&bytes[..]));
        }
    }

    #[test]
    fn a_request_cut_short_anywhere_is_refused_and_bytes_after_it_are_left_alone() {
        for version in Api::Produce.versions() {
            let topics = [("topic".to_owned(), vec![(0, Some(vec![1; 70])), (1, None)])];
            let body = encoded(version, &message(version, Some("tx"), &topics, true));
            for len in 0..body.len() {
                assert!(
                    decode(version, BytesMut::from(&body[..len])).is_err(),
                    "v{version} {len}"
                );
            }
            let mut longer = body.clone();
            longer.extend_from_slice(&[0, 7, 0]);
            let read = |body| format!("{:?}", decode(version, body));
            assert_eq!(read(longer), read(body));
        }
    }

    #[test]
    fn a_hostile_count_is_refused_and_named() {
        let mut body = BytesMut::new();
        body.extend_from_slice(&(-1_i16).to_be_bytes());
        body.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
        body.extend_from_slice(&i32::MAX.to_be_bytes());
        let error = decode(3, body).unwrap_err().to_string();
        assert_eq!(
            error,
            "malformed Produce v3 request: topic_data: claims 2147483647 elements in 0 bytes"
        );
    }

    #[test]
    fn many_tiny_topics_are_refused_when_they_would_take_many_times_their_bytes() {
        let count = 8_000_000_u32;
        let mut body = BytesMut::from(&[0, 0xff, 0xff, 0, 0, 0, 0][..]);
        crate::wire::put_uvarint(&mut body, count + 1);
        body.resize(body.len() + 3 * count as usize + 1, 1);
        let error = decode(9, body).unwrap_err().to_string();
        assert!(error.contains("memory"), "{error}");
    }

    #[test]
    fn batches_can_be_patched_while_names_are_held() {
        let topics = [(
            "topic".to_owned(),
            vec![(0, Some(vec![1; 70])), (1, Some(vec![2; 70]))],
        )];
        let mut request = decode(9, encoded(9, &message(9, None, &topics, false))).unwrap();
        let name = request.topics[0].name.clone();
        let [first, second] = &mut request.topics[0].partitions[..] else {
            panic!("two partitions");
        };
        first.records.as_mut().unwrap().fill(8);
        assert_eq!(second.records.as_deref(), Some(&[2; 70][..]));
        assert_eq!(&*name, "topic");
    }
}
