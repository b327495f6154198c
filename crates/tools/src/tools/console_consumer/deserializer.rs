//! Keys and values as Kafka's own deserializers show them.

use std::borrow::Cow;

/// A deserializer by its class in `org.apache.kafka.common.serialization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deserializer {
    Text,
    /// As they are.
    Raw,
    Bytes,
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
}

impl Deserializer {
    /// By the full name of the class; `None` for what is not Kafka's.
    pub fn of_class(class: &str) -> Option<Deserializer> {
        let name = class.strip_prefix("org.apache.kafka.common.serialization.")?;
        Some(match name {
            "StringDeserializer" | "UUIDDeserializer" => Deserializer::Text,
            "ByteArrayDeserializer" | "ByteBufferDeserializer" => Deserializer::Raw,
            "BytesDeserializer" => Deserializer::Bytes,
            "BooleanDeserializer" => Deserializer::Boolean,
            "ShortDeserializer" => Deserializer::Short,
            "IntegerDeserializer" => Deserializer::Integer,
            "LongDeserializer" => Deserializer::Long,
            "FloatDeserializer" => Deserializer::Float,
            "DoubleDeserializer" => Deserializer::Double,
            _ => return None,
        })
    }

    /// The text of `bytes`. The error is that of Kafka's deserializer.
    pub fn show(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        let text = match self {
            Deserializer::Raw => return Ok(Cow::Borrowed(bytes)),
            Deserializer::Text => String::from_utf8_lossy(bytes).into_owned(),
            Deserializer::Bytes => escaped(bytes),
            Deserializer::Boolean => match bytes {
                [0] => "false".to_owned(),
                [1] => "true".to_owned(),
                [other] => {
                    return Err(format!(
                        "Unexpected byte received by BooleanDeserializer: {other}"
                    ));
                }
                _ => return Err(size("BooleanDeserializer", 1)),
            },
            Deserializer::Short => {
                i16::from_be_bytes(array(bytes, "ShortDeserializer")?).to_string()
            }
            Deserializer::Integer => {
                i32::from_be_bytes(array(bytes, "IntegerDeserializer")?).to_string()
            }
            Deserializer::Long => i64::from_be_bytes(array(bytes, "LongDeserializer")?).to_string(),
            Deserializer::Float => {
                let value = f32::from_be_bytes(array(bytes, "FloatDeserializer")?);
                decimal(value.into(), &format!("{value}"), &format!("{value:e}"))
            }
            Deserializer::Double => {
                let value = f64::from_be_bytes(array(bytes, "DoubleDeserializer")?);
                decimal(value, &format!("{value}"), &format!("{value:e}"))
            }
        };
        Ok(Cow::Owned(text.into_bytes()))
    }
}

fn array<const N: usize>(bytes: &[u8], class: &str) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| size(class, N))
}

fn size(class: &str, expected: usize) -> String {
    format!("Size of data received by {class} is not {expected}")
}

/// As Kafka's `Bytes` shows itself: what is printable as it is, the rest as `\x0A`.
fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            byte => format!("\\x{byte:02X}"),
        })
        .collect()
}

/// As Java shows a number: with a point, and in powers of ten below 0.001 and from 10,000,000 on.
fn decimal(value: f64, plain: &str, scientific: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let with_point = |digits: &str| match digits.contains('.') {
        true => digits.to_owned(),
        false => format!("{digits}.0"),
    };
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return with_point(plain);
    }
    match scientific.split_once('e') {
        Some((digits, power)) => format!("{}E{power}", with_point(digits)),
        None => with_point(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(class: &str, bytes: &[u8]) -> Result<String, String> {
        let class = format!("org.apache.kafka.common.serialization.{class}");
        let deserializer = Deserializer::of_class(&class).expect("a class of Kafka's");
        let text = deserializer.show(bytes)?;
        Ok(String::from_utf8(text.into_owned()).unwrap())
    }

    #[test]
    fn numbers_and_texts_are_shown_as_java_shows_them() {
        for (class, bytes, expected) in [
            ("StringDeserializer", &b"a"[..], "a"),
            ("BytesDeserializer", b"a\n\\", "a\\x0A\\\\"),
            ("BooleanDeserializer", b"\x01", "true"),
            ("ShortDeserializer", b"\xff\xfe", "-2"),
            ("IntegerDeserializer", b"\0\0\x01\0", "256"),
            ("LongDeserializer", &7i64.to_be_bytes(), "7"),
            ("FloatDeserializer", &0.1f32.to_be_bytes(), "0.1"),
            ("DoubleDeserializer", &3f64.to_be_bytes(), "3.0"),
            ("DoubleDeserializer", &1e7f64.to_be_bytes(), "1.0E7"),
            ("DoubleDeserializer", &0.00025f64.to_be_bytes(), "2.5E-4"),
            ("DoubleDeserializer", &f64::NAN.to_be_bytes(), "NaN"),
        ] {
            assert_eq!(show(class, bytes).as_deref(), Ok(expected), "{class}");
        }
    }

    #[test]
    fn a_wrong_size_is_an_error_and_other_classes_are_not_known() {
        assert_eq!(
            show("LongDeserializer", b"abc"),
            Err("Size of data received by LongDeserializer is not 8".to_owned())
        );
        assert_eq!(Deserializer::of_class("com.example.MyDeserializer"), None);
    }
}
