//! What a batch must be before it is kept. Kafka looks at every record of every batch, compressed ones too, because a
//! batch whose header lies breaks all consumers behind it; so does this, without keeping or copying anything.

use ottla_codec::ResponseError;
use ottla_codec::batch::{self, BatchError, BatchHeader, TimestampType};
use ottla_codec::compression::Compression;
use ottla_codec::walk::walk;

use crate::errors::{self, Refusal};
use crate::settings::TopicConfig;

/// What a compressed batch may inflate to, bytes.
pub(crate) const INFLATED_MAX: usize = 128 << 20;
/// The first version in which zstd may be used (KIP-110).
const FIRST_WITH_ZSTD: i16 = 7;
/// Errors of single records that one answer names.
const MAX_RECORD_ERRORS: usize = 100;
/// No timestamp.
const NO_TIMESTAMP: i64 = -1;

/// Why a batch is refused, with the records that are to blame where it is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchRefusal {
    pub refusal: Refusal,
    /// Index in the batch, and what is wrong.
    pub records: Vec<(i32, String)>,
    /// The log's start where Kafka tells it, or -1.
    pub log_start_offset: i64,
    /// The request itself is wrong, whatever log it is for.
    of_request: bool,
}

impl BatchRefusal {
    /// A refusal for which no log needs to be looked at.
    pub fn of_request(error: ResponseError, message: impl Into<String>) -> BatchRefusal {
        BatchRefusal {
            of_request: true,
            ..Refusal::new(error, message).into()
        }
    }

    /// The refusal, told with the start of the log that the batch was meant for. As in Kafka, not with every error.
    pub fn at(self, log_start_offset: i64) -> BatchRefusal {
        let without = self.of_request
            || matches!(
                self.refusal.error,
                ResponseError::CorruptMessage
                    | ResponseError::KafkaStorageError
                    | ResponseError::MessageTooLarge
                    | ResponseError::RecordListTooLarge
                    | ResponseError::UnknownTopicOrPartition
            );
        BatchRefusal {
            log_start_offset: if without { -1 } else { log_start_offset },
            ..self
        }
    }
}

impl From<Refusal> for BatchRefusal {
    fn from(refusal: Refusal) -> BatchRefusal {
        BatchRefusal {
            refusal,
            records: Vec::new(),
            log_start_offset: -1,
            of_request: false,
        }
    }
}

/// Checks the one batch in `bytes` against the rules for clients of this version and those of its topic.
pub(crate) fn check(
    version: i16,
    bytes: &[u8],
    topic: &TopicConfig,
    now_ms: i64,
) -> Result<BatchHeader, BatchRefusal> {
    let mut batches = batch::checked(bytes);
    let header = match batches.next() {
        Some(Ok(header)) => header,
        Some(Err(e @ BatchError::UnsupportedMagic(_))) => {
            return Err(BatchRefusal::of_request(errors::batch(&e), e.to_string()));
        }
        Some(Err(e @ BatchError::Invalid(_))) => return Err(invalid(bytes, &e)),
        Some(Err(e)) => return Err(Refusal::new(errors::batch(&e), e.to_string()).into()),
        None => return Err(not_one_batch()),
    };
    if batches.next().is_some() {
        return Err(not_one_batch());
    }
    if header.compression() == Ok(Compression::Zstd) && version < FIRST_WITH_ZSTD {
        return Err(BatchRefusal::of_request(
            ResponseError::UnsupportedCompressionType,
            format!("zstd needs Produce version {FIRST_WITH_ZSTD}; this is version {version}"),
        ));
    }
    if header.base_offset != 0 {
        // The broker would set it anyway; one that is not 0 comes from a program that takes it for its own to choose.
        return Err(Refusal::new(
            ResponseError::InvalidRecord,
            format!(
                "the base offset of a producer's batch must be 0, and is {}",
                header.base_offset
            ),
        )
        .into());
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Refusal::new(
            ResponseError::InvalidTimestamp,
            "a producer may not set the timestamp type LogAppendTime",
        )
        .into());
    }
    if header.size > topic.log.max_message_bytes {
        return Err(Refusal::new(
            ResponseError::MessageTooLarge,
            format!(
                "batch of {} bytes is larger than max.message.bytes={}",
                header.size, topic.log.max_message_bytes
            ),
        )
        .into());
    }
    records(&header, bytes, topic, now_ms)?;
    Ok(header)
}

/// A sound batch that says something impossible. What is wrong with the producer has errors of its own.
fn invalid(bytes: &[u8], e: &BatchError) -> BatchRefusal {
    let error = match BatchHeader::parse(bytes) {
        Ok(header) if header.has_producer_id() && header.producer_epoch < 0 => {
            ResponseError::InvalidProducerEpoch
        }
        Ok(_) | Err(_) => errors::batch(e),
    };
    Refusal::new(error, e.to_string()).into()
}

fn not_one_batch() -> BatchRefusal {
    BatchRefusal::of_request(
        ResponseError::InvalidRecord,
        "a partition of a produce request must have exactly one record batch",
    )
}

fn records(
    header: &BatchHeader,
    bytes: &[u8],
    topic: &TopicConfig,
    now_ms: i64,
) -> Result<(), BatchRefusal> {
    let keys_needed = topic.log.cleanup_policy.compact;
    let times_matter = topic.log.timestamp_type == TimestampType::CreateTime;
    let earliest = now_ms.saturating_sub(topic.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(topic.timestamp_after_max_ms);
    let (mut keyless, mut mistimed) = (Vec::new(), Vec::new());
    walk(header, bytes, INFLATED_MAX, |record| {
        let index = record.index as i32;
        if keys_needed && !record.has_key && keyless.len() < MAX_RECORD_ERRORS {
            keyless.push((
                index,
                "a compacted topic takes no record without a key".to_string(),
            ));
        }
        let time = record.timestamp;
        if times_matter
            && time != NO_TIMESTAMP
            && !(earliest..=latest).contains(&time)
            && mistimed.len() < MAX_RECORD_ERRORS
        {
            mistimed.push((
                index,
                format!(
                    "timestamp {time} is outside of {earliest} to {latest}, which the topic accepts"
                ),
            ));
        }
    })
    .map_err(|e| Refusal::new(errors::records(&e), e.to_string()))?;
    let (error, records) = if !keyless.is_empty() {
        (ResponseError::InvalidRecord, keyless)
    } else if !mistimed.is_empty() {
        (ResponseError::InvalidTimestamp, mistimed)
    } else {
        return Ok(());
    };
    Err(BatchRefusal {
        records,
        ..Refusal::new(error, "one or more records have been rejected").into()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ottla_codec::records::{BatchBuilder, Record};
    use ottla_storage::{CleanupPolicy, LogConfig};

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn topic() -> TopicConfig {
        TopicConfig {
            log: LogConfig::default(),
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
        }
    }

    fn record(offset: i64, timestamp: i64, key: Option<&'static str>) -> Record {
        Record {
            offset,
            timestamp,
            key: key.map(|k| Bytes::from_static(k.as_bytes())),
            value: Some(Bytes::from_static(b"v")),
            headers: vec![],
        }
    }

    fn one(timestamp: i64, key: Option<&'static str>) -> Bytes {
        BatchBuilder::default().build(&[record(0, timestamp, key)])
    }

    fn error(version: i16, bytes: &[u8], topic: &TopicConfig) -> ResponseError {
        check(version, bytes, topic, NOW).unwrap_err().refusal.error
    }

    #[test]
    fn a_sound_batch_passes() {
        assert_eq!(
            check(9, &one(NOW, None), &topic(), NOW)
                .unwrap()
                .record_count,
            1
        );
    }

    #[test]
    fn each_fault_has_its_error() {
        let sound = one(NOW, None);
        let mut flipped = sound.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(error(9, &flipped, &topic()), ResponseError::CorruptMessage);

        let twice = [&sound[..], &sound[..]].concat();
        assert_eq!(error(9, &twice, &topic()), ResponseError::InvalidRecord);
        assert_eq!(error(9, b"", &topic()), ResponseError::InvalidRecord);

        let mut magic = sound.to_vec();
        magic[16] = 1;
        assert_eq!(error(9, &magic, &topic()), ResponseError::InvalidRecord);

        let zstd = BatchBuilder {
            compression: Compression::Zstd,
            ..BatchBuilder::default()
        }
        .build(&[record(0, NOW, None)]);
        assert_eq!(
            error(6, &zstd, &topic()),
            ResponseError::UnsupportedCompressionType
        );
        assert!(check(7, &zstd, &topic(), NOW).is_ok());
    }

    #[test]
    fn a_producer_id_needs_an_epoch() {
        let without = BatchBuilder {
            producer_id: 1,
            producer_epoch: -1,
            base_sequence: 0,
            ..BatchBuilder::default()
        }
        .build(&[record(0, NOW, None)]);
        assert_eq!(
            error(9, &without, &topic()),
            ResponseError::InvalidProducerEpoch
        );
    }

    #[test]
    fn a_base_offset_is_not_a_producers_to_choose() {
        let elsewhere = BatchBuilder::default().build(&[record(7, NOW, None)]);
        let refused = check(9, &elsewhere, &topic(), NOW).unwrap_err().at(5);
        assert_eq!(refused.refusal.error, ResponseError::InvalidRecord);
        assert_eq!(refused.log_start_offset, 5);
    }

    #[test]
    fn the_log_start_is_told_where_the_log_was_looked_at() {
        let sound = one(NOW, None);
        let twice = [&sound[..], &sound[..]].concat();
        let early = one(NOW + 3_600_001, None);
        let mut flipped = sound.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for (bytes, told) in [(&twice[..], -1), (&flipped[..], -1), (&early[..], 5)] {
            let refused = check(9, bytes, &topic(), NOW).unwrap_err().at(5);
            assert_eq!(refused.log_start_offset, told);
        }
    }

    #[test]
    fn timestamps_too_far_ahead_or_behind_are_refused_by_record() {
        let mut topic = topic();
        topic.timestamp_before_max_ms = 1000;
        for time in [NOW + 3_600_001, NOW - 1001] {
            let refused = check(9, &one(time, None), &topic, NOW).unwrap_err();
            assert_eq!(refused.refusal.error, ResponseError::InvalidTimestamp);
            assert_eq!(refused.records[0].0, 0);
        }
        topic.log.timestamp_type = TimestampType::LogAppendTime;
        assert!(check(9, &one(NOW - 5000, None), &topic, NOW).is_ok());
    }

    #[test]
    fn a_compacted_topic_needs_keys() {
        let mut topic = topic();
        topic.log.cleanup_policy = CleanupPolicy {
            delete: false,
            compact: true,
        };
        assert!(check(9, &one(NOW, Some("k")), &topic, NOW).is_ok());
        let refused = check(9, &one(NOW, None), &topic, NOW).unwrap_err();
        assert_eq!(refused.refusal.error, ResponseError::InvalidRecord);
        assert_eq!(refused.records.len(), 1);
    }
}
