//! Bodies of requests made from their shape: what a fuzzer needs to send what no client was seen to send.

use bytes::BufMut;

use super::{Field, Kind, shape};
use crate::api::Api;
use crate::wire;

/// What a composed body says. Fields are asked for by their names, in their order; the elements of an array by the array's.
pub trait Values {
    /// Whether a field that may be left out, being nullable or tagged, is there.
    fn is_there(&mut self, name: &'static str) -> bool;
    /// How many elements an array has.
    fn count(&mut self, name: &'static str) -> usize;
    /// A number, a boolean or a UUID: as many bytes as `value` has.
    fn number(&mut self, name: &'static str, value: &mut [u8]);
    /// A string, of at most `i16::MAX` bytes.
    fn text(&mut self, name: &'static str) -> Vec<u8>;
    /// Bytes.
    fn bytes(&mut self, name: &'static str) -> Vec<u8>;
}

/// The body of a request of `api` in `version`, which is one of its versions, with these values.
pub fn compose(api: Api, version: i16, values: &mut impl Values) -> Vec<u8> {
    let shape = shape(api);
    let mut composer = Composer {
        values,
        version,
        flexible: version >= shape.flexible_since,
    };
    let mut out = Vec::new();
    composer.fields(shape.fields, &mut out);
    out
}

struct Composer<'a, V> {
    values: &'a mut V,
    version: i16,
    flexible: bool,
}

impl<V: Values> Composer<'_, V> {
    fn fields(&mut self, fields: &'static [Field], out: &mut Vec<u8>) {
        let version = self.version;
        let of_version = fields.iter().filter(|field| field.exists_in(version));
        let (tagged, plain): (Vec<_>, Vec<_>) = of_version.partition(|field| field.tag.is_some());
        for field in plain {
            self.field(field, out);
        }
        if self.flexible {
            self.tagged_fields(&tagged, out);
        }
    }

    fn tagged_fields(&mut self, fields: &[&'static Field], out: &mut Vec<u8>) {
        let mut present = Vec::new();
        for field in fields {
            if let Some(tag) = field.tag
                && self.values.is_there(field.name)
            {
                let mut value = Vec::new();
                self.field(field, &mut value);
                present.push((tag, value));
            }
        }
        wire::put_uvarint(out, present.len() as u32);
        for (tag, value) in present {
            wire::put_uvarint(out, tag);
            wire::put_uvarint(out, value.len() as u32);
            out.extend(value);
        }
    }

    fn field(&mut self, field: &'static Field, out: &mut Vec<u8>) {
        let nullable = field.is_nullable_in(self.version);
        let is_null = nullable && !self.values.is_there(field.name);
        match field.kind {
            Kind::Struct(_) if is_null => out.put_i8(-1),
            Kind::Struct(fields) => {
                if nullable {
                    out.put_i8(1);
                }
                self.fields(fields, out);
            }
            Kind::String if is_null => wire::put_string_len(out, self.flexible, None),
            Kind::Bytes | Kind::Array(_) if is_null => {
                wire::put_long_len(out, self.flexible, None);
            }
            _ => self.value(field.name, &field.kind, out),
        }
    }

    fn value(&mut self, name: &'static str, kind: &'static Kind, out: &mut Vec<u8>) {
        match kind {
            Kind::Fixed(len) => self.number(name, *len, out),
            Kind::Bool => self.number(name, 1, out),
            Kind::String => {
                let text = self.values.text(name);
                wire::put_string_len(out, self.flexible, Some(text.len()));
                out.extend(text);
            }
            Kind::Bytes => {
                let bytes = self.values.bytes(name);
                wire::put_long_len(out, self.flexible, Some(bytes.len()));
                out.extend(bytes);
            }
            Kind::Array(element) => {
                let count = self.values.count(name);
                wire::put_long_len(out, self.flexible, Some(count));
                for _ in 0..count {
                    self.value(name, element, out);
                }
            }
            Kind::Struct(fields) => self.fields(fields, out),
        }
    }

    fn number(&mut self, name: &'static str, len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + len, 0);
        self.values.number(name, &mut out[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    /// The same everywhere.
    struct Same {
        is_there: bool,
        count: usize,
    }

    impl Values for Same {
        fn is_there(&mut self, _: &'static str) -> bool {
            self.is_there
        }

        fn count(&mut self, _: &'static str) -> usize {
            self.count
        }

        fn number(&mut self, _: &'static str, value: &mut [u8]) {
            value.fill(1);
        }

        fn text(&mut self, name: &'static str) -> Vec<u8> {
            name.as_bytes().to_vec()
        }

        fn bytes(&mut self, name: &'static str) -> Vec<u8> {
            name.as_bytes().to_vec()
        }
    }

    #[test]
    fn what_is_composed_can_be_read_and_has_nothing_left_over() {
        for &api in Api::ALL {
            for version in api.versions() {
                for (is_there, count) in [(false, 0), (true, 0), (true, 1), (false, 2)] {
                    let body = compose(api, version, &mut Same { is_there, count });
                    let at = format!("{} {version} {is_there} {count}", api.name());
                    let read = request::check(api, version, body.clone().into());
                    assert_eq!(read, Ok(()), "{at}");
                    for len in 0..body.len() {
                        let cut = body[..len].to_vec().into();
                        assert!(request::check(api, version, cut).is_err(), "{at}: {len}");
                    }
                }
            }
        }
    }
}
