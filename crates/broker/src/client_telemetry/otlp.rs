//! OTLP metrics, read in place: nothing is kept but counts and what the log wants to show.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto>

/// What a push holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measured {
    /// How many metrics.
    pub metrics: u64,
    /// How many data points of them.
    pub points: u64,
    /// The first metrics by name, with their last value where that is one number.
    pub shown: Vec<(String, Option<f64>)>,
}

/// How many metrics are shown, and how much of their names.
const MAX_SHOWN: usize = 200;
const MAX_NAME: usize = 200;

/// The bytes are no OTLP metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads `MetricsData`.
pub(crate) fn read(bytes: &[u8]) -> Result<Measured, Malformed> {
    let mut measured = Measured::default();
    each(bytes, |field, value| match (field, value) {
        (1, Value::Bytes(resource)) => each(resource, |field, value| match (field, value) {
            (2, Value::Bytes(scope)) => each(scope, |field, value| match (field, value) {
                (2, Value::Bytes(metric)) => one(metric, &mut measured),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(measured)
}

/// One `Metric`.
fn one(bytes: &[u8], measured: &mut Measured) -> Result<(), Malformed> {
    let mut name = "";
    let mut last = None;
    each(bytes, |field, value| {
        match (field, value) {
            (1, Value::Bytes(text)) => name = std::str::from_utf8(text).map_err(|_| Malformed)?,
            // Gauge, sum, histogram, exponential histogram, summary.
            (5 | 7 | 9 | 10 | 11, Value::Bytes(data)) => each(data, |field, value| {
                if let (1, Value::Bytes(point)) = (field, value) {
                    measured.points += 1;
                    let number = number(point)?;
                    last = number.or(last);
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    measured.metrics += 1;
    if measured.shown.len() < MAX_SHOWN {
        let name: String = name.chars().take(MAX_NAME).collect();
        measured.shown.push((name, last));
    }
    Ok(())
}

/// The value of a `NumberDataPoint`; other points have other fields of these numbers, of other wire types or none.
fn number(point: &[u8]) -> Result<Option<f64>, Malformed> {
    let mut found = None;
    each(point, |field, value| {
        match (field, value) {
            (4, Value::Fixed64(bits)) => found = Some(f64::from_bits(bits)),
            (6, Value::Fixed64(bits)) => found = Some(bits as i64 as f64),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// A field's value, by wire type.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint,
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Calls `visit` with each field of a message.
fn each<'a>(
    mut bytes: &'a [u8],
    mut visit: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                Value::Varint
            }
            1 => {
                let taken = take(&mut bytes, 8)?;
                Value::Fixed64(u64::from_le_bytes(taken.try_into().map_err(|_| Malformed)?))
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).map_err(|_| Malformed)?;
                Value::Bytes(take(&mut bytes, len)?)
            }
            5 => {
                take(&mut bytes, 4)?;
                Value::Fixed32
            }
            _ => return Err(Malformed),
        };
        if key >> 3 == 0 {
            return Err(Malformed);
        }
        visit(key >> 3, value)?;
    }
    Ok(())
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        assert!(bytes.len() < 128, "one byte of length");
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    /// A sum of one point with that value.
    pub(in super::super) fn sum(name: &str, value: f64) -> Vec<u8> {
        let point = [&[4 << 3 | 1][..], &value.to_le_bytes()].concat();
        let metric = [field(1, name.as_bytes()), field(7, &field(1, &point))].concat();
        field(1, &field(2, &field(2, &metric)))
    }

    #[test]
    fn metrics_are_counted_and_shown_with_their_numbers() {
        let bytes = [sum("a.total", 1.5), sum("b.total", -2.0)].concat();
        let expected = Measured {
            metrics: 2,
            points: 2,
            shown: vec![
                ("a.total".into(), Some(1.5)),
                ("b.total".into(), Some(-2.0)),
            ],
        };
        assert_eq!(read(&bytes), Ok(expected));
        assert_eq!(read(&[]), Ok(Measured::default()));
    }

    #[test]
    fn what_is_cut_short_or_no_message_is_refused() {
        let whole = sum("a.total", 1.0);
        for len in 1..whole.len() {
            assert_eq!(read(&whole[..len]), Err(Malformed), "{len}");
        }
        for bytes in [
            &b"hello"[..],
            &[0xff; 20],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x02, 0],
        ] {
            assert_eq!(read(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
