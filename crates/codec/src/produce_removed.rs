//! Produce versions 0 to 2, which Kafka 4.0 removed and still shows (KAFKA-18659). Their message formats are not kept,
//! but their shape is known, so that a client can be told UNSUPPORTED_VERSION for each partition.
//!
//! ```text
//! request:  acks i16, timeout i32, [topic string, [partition i32, records bytes]]
//! response: [topic string, [partition i32, error i16, base offset i64, log append time i64 (v2)]], throttle i32 (v1+)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use crate::api::Api;
use crate::request::RequestError;
use crate::wire::{Reader, WireError};

/// The answer, length and header included, to a request of these versions; `None` for acks=0, which gets none.
/// `body` is the frame after the request header.
pub fn refuse(
    version: i16,
    correlation_id: i32,
    body: &[u8],
) -> Result<Option<Bytes>, RequestError> {
    let mut answer = BytesMut::with_capacity(64);
    answer.put_i32(0);
    answer.put_i32(correlation_id);
    let acks = refuse_each(version, &mut Reader::new(body), &mut answer).map_err(|e| {
        RequestError::Body {
            api: Api::Produce.name(),
            version,
            reason: e.to_string(),
        }
    })?;
    let length =
        i32::try_from(answer.len() - 4).expect("an answer is shorter than twice its request");
    answer[..4].copy_from_slice(&length.to_be_bytes());
    Ok((acks != 0).then(|| answer.freeze()))
}

/// Reads a request and writes the answer beside it. What is written grows with what was read. Returns acks.
fn refuse_each(
    version: i16,
    request: &mut Reader<'_>,
    answer: &mut BytesMut,
) -> Result<i16, WireError> {
    let acks = request.i16()?;
    request.i32()?; // timeout
    let topics = request.long_len(false)?.unwrap_or(0);
    answer.put_i32(topics as i32);
    for _ in 0..topics {
        let name = request.string_len(false)?.unwrap_or(0);
        answer.put_i16(name as i16);
        answer.put_slice(request.take(name)?);
        let partitions = request.long_len(false)?.unwrap_or(0);
        answer.put_i32(partitions as i32);
        for _ in 0..partitions {
            answer.put_i32(request.i32()?);
            let records = request.long_len(false)?.unwrap_or(0);
            request.take(records)?;
            answer.put_i16(ResponseError::UnsupportedVersion.code());
            answer.put_i64(-1);
            if version >= 2 {
                answer.put_i64(-1);
            }
        }
    }
    if version >= 1 {
        answer.put_i32(0);
    }
    Ok(acks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(acks: i16) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_i16(acks);
        body.put_i32(1000);
        body.put_i32(1);
        body.put_i16(1);
        body.put_slice(b"t");
        body.put_i32(1);
        body.put_i32(3);
        body.put_i32(2);
        body.put_slice(b"xx");
        body
    }

    #[test]
    fn every_partition_is_told_that_the_version_is_not_supported() {
        let sizes = [
            (0, 4 + 3 + 4 + 14),
            (1, 4 + 3 + 4 + 14 + 4),
            (2, 4 + 3 + 4 + 22 + 4),
        ];
        for (version, body) in sizes {
            let answer = refuse(version, 7, &request(1)).unwrap().unwrap();
            assert_eq!(answer.len(), 8 + body, "version {version}");
            assert_eq!(answer[4..8], 7i32.to_be_bytes());
            assert_eq!(answer[23..25], 35i16.to_be_bytes());
        }
    }

    #[test]
    fn acks_0_gets_no_answer_and_a_hostile_count_no_memory() {
        assert_eq!(refuse(1, 7, &request(0)).unwrap(), None);
        let mut hostile = request(1);
        hostile[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(refuse(1, 7, &hostile).is_err());
    }
}
