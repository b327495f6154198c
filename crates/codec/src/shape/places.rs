//! Where the fields of a request are: what a fuzzer needs to change one and leave the rest readable.

use std::ops::Range;

use bytes::BufMut;

use super::{Field, Kind, shape};
use crate::api::Api;
use crate::wire::{self, Reader, WireError};

/// A field's value in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The field's name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// All its bytes, those of its length included.
    pub whole: Range<usize>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// A number, a boolean, a UUID.
    Number,
    /// A string with its length, from the first byte of its text on.
    Text(usize),
    /// Bytes with their length, from the first of them on.
    Bytes(usize),
    /// Elements, each with its place.
    Array(Vec<Range<usize>>),
}

/// The places of all fields of a request's body that no tag is in front of, the outer ones behind those inside; `None` for a body that
/// cannot be read.
pub fn places(api: Api, version: i16, body: &[u8]) -> Option<Vec<Place>> {
    super::check(api, version, body).ok()?;
    let shape = shape(api);
    let mut finder = Finder {
        reader: Reader::new(body),
        version,
        flexible: version >= shape.flexible_since,
        found: Vec::new(),
    };
    finder.fields(shape.fields).ok()?;
    Some(finder.found)
}

/// Appends the length of a string, of bytes or of an array as a request of `api` in `version` has it.
pub fn put_length(api: Api, version: i16, holds: &Holds, len: usize, out: &mut impl BufMut) {
    let flexible = version >= shape(api).flexible_since;
    match holds {
        Holds::Number => {}
        Holds::Text(_) => wire::put_string_len(out, flexible, Some(len)),
        Holds::Bytes(_) | Holds::Array(_) => wire::put_long_len(out, flexible, Some(len)),
    }
}

struct Finder<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    found: Vec<Place>,
}

impl Finder<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), WireError> {
        for field in fields {
            if field.tag.is_some() || !field.exists_in(self.version) {
                continue;
            }
            let is_null = matches!(field.kind, Kind::Struct(_))
                && field.is_nullable_in(self.version)
                && (self.reader.u8()? as i8) < 0;
            if !is_null {
                self.value(field.name, &field.kind)?;
            }
        }
        if self.flexible {
            self.reader.skip_tagged_fields()?;
        }
        Ok(())
    }

    fn value(&mut self, name: &'static str, kind: &'static Kind) -> Result<(), WireError> {
        let start = self.reader.position();
        let holds = match kind {
            Kind::Fixed(len) => {
                self.reader.take(*len)?;
                Holds::Number
            }
            Kind::Bool => {
                self.reader.u8()?;
                Holds::Number
            }
            Kind::String => {
                let len = self.reader.string_len(self.flexible)?.unwrap_or(0);
                let at = self.reader.position();
                self.reader.take(len)?;
                Holds::Text(at)
            }
            Kind::Bytes => {
                let len = self.reader.long_len(self.flexible)?.unwrap_or(0);
                let at = self.reader.position();
                self.reader.take(len)?;
                Holds::Bytes(at)
            }
            Kind::Array(element) => {
                let count = self.reader.long_len(self.flexible)?.unwrap_or(0);
                let mut elements = Vec::new();
                for _ in 0..count {
                    let start = self.reader.position();
                    self.value(name, element)?;
                    elements.push(start..self.reader.position());
                }
                Holds::Array(elements)
            }
            Kind::Struct(fields) => return self.fields(fields),
        };
        let whole = start..self.reader.position();
        self.found.push(Place { name, holds, whole });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::{GroupId, OffsetCommitRequest, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;

    fn body(version: i16) -> BytesMut {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(7)
            .with_committed_metadata(Some(StrBytes::from_static_str("note")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("topic")))
            .with_partitions(vec![partition.clone(), partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str("group")))
            .with_topics(vec![topic]);
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        body
    }

    #[test]
    fn every_field_is_found_where_it_is() {
        for version in [2, 7, 8, 9] {
            let body = body(version);
            let found = places(Api::OffsetCommit, version, &body).unwrap();
            let texts: Vec<&[u8]> = found
                .iter()
                .filter_map(|place| match place.holds {
                    Holds::Text(at) => Some(&body[at..place.whole.end]),
                    _ => None,
                })
                .collect();
            let named: Vec<&[u8]> = texts.into_iter().filter(|text| !text.is_empty()).collect();
            assert_eq!(named, [&b"group"[..], b"topic", b"note", b"note"]);
            let indexes = found.iter().filter(|p| p.name == "partition_index");
            for place in indexes {
                assert_eq!(body[place.whole.clone()], [0, 0, 0, 7]);
            }
            let arrays = found.iter().filter_map(|place| match &place.holds {
                Holds::Array(elements) => Some((place, elements)),
                _ => None,
            });
            for (place, elements) in arrays {
                let mut length = Vec::new();
                put_length(
                    Api::OffsetCommit,
                    version,
                    &place.holds,
                    elements.len(),
                    &mut length,
                );
                assert_eq!(body[place.whole.start..elements[0].start], length);
            }
        }
    }

    #[test]
    fn nothing_is_found_in_what_cannot_be_read() {
        let body = body(8);
        assert_eq!(places(Api::OffsetCommit, 8, &body[..body.len() - 3]), None);
    }
}
