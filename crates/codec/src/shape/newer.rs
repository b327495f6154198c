//! Versions that `kafka-protocol` does not know yet, carried by the newest that it knows.
//!
//! Such a body differs from one of the version below by a field or two, and both are flexible (KIP-482). So a field that only the
//! newer one has becomes a tagged field of the older one, under a tag of ours: the message keeps it among its unknown tagged
//! fields, and there it is read and set ([`get`], [`set`]). What only the older one has is at its default.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use super::{Field, Kind, Shape};
use crate::wire::{Reader, WireError, put_uvarint};

/// A field of a version that `kafka-protocol` does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewerField {
    /// A topic's id in requests of OffsetCommit and OffsetFetch, 16 bytes, from version 10 on.
    TopicId,
    /// The transaction version of a marker in WriteTxnMarkers, one byte, from version 2 on (KIP-1228).
    TransactionVersion,
    /// Whether a directory in the answer of DescribeLogDirs takes no new replicas, one byte, from version 5 on.
    IsCordoned,
}

impl NewerField {
    /// A tag that nobody gives out, since they are given out from 0 on.
    fn tag(self) -> u32 {
        0x7fff_ff00 + self as u32
    }
}

/// The bytes of `field` in a message's `unknown_tagged_fields`; `None`: it was of an older version.
pub fn get(tagged: &BTreeMap<i32, Bytes>, field: NewerField) -> Option<&Bytes> {
    tagged.get(&field.tag().cast_signed())
}

/// Puts `field` among a message's `unknown_tagged_fields`, to be encoded in a version that has it.
pub fn set(tagged: &mut BTreeMap<i32, Bytes>, field: NewerField, value: Bytes) {
    tagged.insert(field.tag().cast_signed(), value);
}

/// A topic's id from `unknown_tagged_fields`; nil if there is none.
pub fn topic_id(tagged: &BTreeMap<i32, Bytes>) -> Uuid {
    get(tagged, NewerField::TopicId)
        .and_then(|id| Uuid::from_slice(id).ok())
        .unwrap_or_default()
}

/// Puts a topic's id there.
pub fn set_topic_id(tagged: &mut BTreeMap<i32, Bytes>, id: Uuid) {
    set(
        tagged,
        NewerField::TopicId,
        Bytes::copy_from_slice(id.as_bytes()),
    );
}

/// Whether the versions have different fields.
pub(super) fn differ(shape: &Shape, one: i16, other: i16) -> bool {
    fn in_fields(fields: &[Field], one: i16, other: i16) -> bool {
        fields.iter().any(|field| {
            field.exists_in(one) != field.exists_in(other) || in_kind(&field.kind, one, other)
        })
    }
    fn in_kind(kind: &Kind, one: i16, other: i16) -> bool {
        match kind {
            Kind::Array(element) => in_kind(element, one, other),
            Kind::Struct(fields) => in_fields(fields, one, other),
            _ => false,
        }
    }
    one != other && in_fields(shape.fields, one, other)
}

/// A body of version `from` as one of version `to`; both are flexible.
pub(super) fn rewrite(
    shape: &Shape,
    from: i16,
    to: i16,
    body: &[u8],
) -> Result<Vec<u8>, WireError> {
    let mut rewrite = Rewrite {
        reader: Reader::new(body),
        from,
        to,
    };
    let mut out = Vec::with_capacity(body.len() + body.len() / 4);
    rewrite.fields(shape.fields, &mut out)?;
    // What follows is left alone: see `request::decode`.
    let left = rewrite.reader.remaining();
    out.extend_from_slice(rewrite.reader.take(left)?);
    Ok(out)
}

struct Rewrite<'a> {
    reader: Reader<'a>,
    from: i16,
    to: i16,
}

impl<'a> Rewrite<'a> {
    fn fields(&mut self, fields: &[Field], out: &mut Vec<u8>) -> Result<(), WireError> {
        // Fields that become tagged, and those that are waited for: their place in `out`.
        let mut taken: Vec<(u32, &[u8])> = Vec::new();
        let mut wanted: Vec<(&Field, usize)> = Vec::new();
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            match (field.exists_in(self.from), field.exists_in(self.to)) {
                (true, true) => self.field(field, out)?,
                (true, false) => {
                    let value = self.skipped(field)?;
                    taken.extend(field.newer.map(|newer| (newer.tag(), value)));
                }
                (false, true) => wanted.push((field, out.len())),
                (false, false) => {}
            }
        }
        let mut tagged = self.tagged_fields()?;
        let mut given = BTreeMap::new();
        // A peer's use of our tags means nothing.
        let ours = |tag: u32| {
            fields
                .iter()
                .any(|f| f.newer.is_some_and(|n| n.tag() == tag))
        };
        tagged.retain(|(tag, value)| {
            let is_ours = ours(*tag);
            if is_ours {
                given.insert(*tag, *value);
            }
            !is_ours
        });
        tagged.extend(taken);
        put_uvarint(out, tagged.len() as u32);
        for (tag, value) in tagged {
            put_uvarint(out, tag);
            put_uvarint(out, value.len() as u32);
            out.extend_from_slice(value);
        }
        for (field, at) in wanted.into_iter().rev() {
            let value = field.newer.and_then(|newer| given.get(&newer.tag()));
            let value = value.map_or_else(|| default(&field.kind), |value| value.to_vec());
            out.splice(at..at, value);
        }
        Ok(())
    }

    fn tagged_fields(&mut self) -> Result<Vec<(u32, &'a [u8])>, WireError> {
        let count = self.reader.uvarint()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let tag = self.reader.uvarint()?;
            let size = self.reader.uvarint()? as usize;
            fields.push((tag, self.reader.take(size)?));
        }
        Ok(fields)
    }

    fn field(&mut self, field: &Field, out: &mut Vec<u8>) -> Result<(), WireError> {
        if let Kind::Struct(fields) = field.kind
            && field.is_nullable_in(self.from)
        {
            let there = self.reader.u8()?;
            out.put_u8(there);
            return match there as i8 {
                ..0 => Ok(()),
                _ => self.fields(fields, out),
            };
        }
        self.value(&field.kind, out)
    }

    fn value(&mut self, kind: &Kind, out: &mut Vec<u8>) -> Result<(), WireError> {
        match kind {
            Kind::Struct(fields) => self.fields(fields, out),
            Kind::Array(element) => {
                let count = self.reader.long_len(true)?;
                put_uvarint(out, count.map_or(0, |count| count as u32 + 1));
                (0..count.unwrap_or(0)).try_for_each(|_| self.value(element, out))
            }
            Kind::String | Kind::Bytes => {
                let len = self.reader.long_len(true)?;
                put_uvarint(out, len.map_or(0, |len| len as u32 + 1));
                out.extend_from_slice(self.reader.take(len.unwrap_or(0))?);
                Ok(())
            }
            Kind::Fixed(_) | Kind::Bool => {
                out.extend_from_slice(self.fixed(kind)?);
                Ok(())
            }
        }
    }

    fn fixed(&mut self, kind: &Kind) -> Result<&'a [u8], WireError> {
        self.reader.take(match kind {
            Kind::Fixed(len) => *len,
            _ => 1,
        })
    }

    /// The bytes of a field that the other version does not have.
    fn skipped(&mut self, field: &Field) -> Result<&'a [u8], WireError> {
        match field.kind {
            Kind::Fixed(_) | Kind::Bool => self.fixed(&field.kind),
            _ => {
                self.value(&field.kind, &mut Vec::new())?;
                Ok(&[])
            }
        }
    }
}

/// Zero, nothing in it, or no element.
fn default(kind: &Kind) -> Vec<u8> {
    match kind {
        Kind::Fixed(len) => vec![0; *len],
        Kind::Bool => vec![0],
        Kind::String | Kind::Bytes | Kind::Array(_) => vec![1],
        Kind::Struct(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
    use kafka_protocol::messages::{OffsetCommitRequest, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::api::Api;
    use crate::request;

    fn request(id: Uuid) -> OffsetCommitRequest {
        let mut topic = OffsetCommitRequestTopic::default();
        set_topic_id(&mut topic.unknown_tagged_fields, id);
        OffsetCommitRequest::default().with_topics(vec![topic])
    }

    #[test]
    fn a_field_of_a_newer_version_is_carried() {
        let id = Uuid::from_u128(7);
        let mut body = Vec::new();
        request::encode(10, &request(id), &mut body).unwrap();
        // A topic: its id, no partitions, nothing tagged.
        let topic = [&id.as_bytes()[..], &[1, 0]].concat();
        assert!(body.windows(topic.len()).any(|part| part == topic));
        let decoded: OffsetCommitRequest =
            request::decode(Api::OffsetCommit, 10, body.into()).unwrap();
        let topic = &decoded.topics[0];
        assert_eq!(topic_id(&topic.unknown_tagged_fields), id);
        assert_eq!(&*topic.name.0, "");
    }

    #[test]
    fn a_name_is_not_sent_where_there_is_none_and_an_id_is_nil_where_it_is_not_given() {
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("name")));
        let named = OffsetCommitRequest::default().with_topics(vec![topic]);
        let mut body = Vec::new();
        request::encode(10, &named, &mut body).unwrap();
        assert!(!body.windows(4).any(|part| part == b"name"));
        let decoded: OffsetCommitRequest =
            request::decode(Api::OffsetCommit, 10, body.into()).unwrap();
        assert_eq!(
            topic_id(&decoded.topics[0].unknown_tagged_fields),
            Uuid::nil()
        );
    }
}
