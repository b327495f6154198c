//! The windows of idempotent producers, as the store asks for them: the rules are in `ottla_coordinator::producers`.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_codec::batch::{BatchHeader, TimestampType};
use ottla_coordinator::producers::{BatchInfo, ProducerWindow, Verdict};
use ottla_storage::{Check, PartitionState, PartitionStateFactory};

use crate::settings::Settings;

/// How often a partition that is written to looks for producers to forget (Kafka's
/// `producer.id.expiration.check.interval.ms`).
const EXPIRY_INTERVAL_MS: i64 = 600_000;

/// Makes each partition's producer windows.
pub(crate) fn factory(settings: Arc<Settings>) -> Arc<dyn PartitionStateFactory> {
    Arc::new(Factory { settings })
}

struct Factory {
    settings: Arc<Settings>,
}

impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let window = match snapshot {
            None => ProducerWindow::new(),
            Some(bytes) => ProducerWindow::from_snapshot(bytes).map_err(|e| e.to_string())?,
        };
        Ok(Box::new(Windows {
            window,
            settings: self.settings.clone(),
            next_expiry_ms: 0,
        }))
    }
}

struct Windows {
    window: ProducerWindow,
    settings: Arc<Settings>,
    next_expiry_ms: i64,
}

impl Windows {
    fn expire(&mut self, now_ms: i64) {
        if now_ms >= self.next_expiry_ms {
            let expiration = i64::from(self.settings.current().producer_id_expiration_ms);
            self.window.expire(now_ms, expiration);
            self.next_expiry_ms = now_ms.saturating_add(EXPIRY_INTERVAL_MS.min(expiration));
        }
    }
}

impl PartitionState for Windows {
    fn check(&mut self, batch: &BatchHeader, now_ms: i64) -> Result<Check, ResponseError> {
        if !batch.has_producer_id() || batch.is_control() {
            return Ok(Check::New);
        }
        self.expire(now_ms);
        self.window
            .check(&info(batch))
            .map(|verdict| match verdict {
                Verdict::New => Check::New,
                Verdict::Duplicate {
                    base_offset,
                    append_time_ms,
                } => Check::Duplicate {
                    base_offset,
                    timestamp: append_time_ms,
                },
            })
    }

    fn appended(&mut self, batch: &BatchHeader, now_ms: i64) {
        if batch.has_producer_id() && !batch.is_control() {
            self.window.appended(&info(batch), now_ms);
        }
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        self.window.snapshot()
    }

    fn truncate(&mut self, offset: i64) {
        self.window.truncate(offset);
    }
}

fn info(batch: &BatchHeader) -> BatchInfo {
    BatchInfo {
        producer_id: batch.producer_id,
        producer_epoch: batch.producer_epoch,
        first_sequence: batch.base_sequence,
        last_sequence: batch.last_sequence(),
        base_offset: batch.base_offset,
        last_offset: batch.last_offset(),
        append_time_ms: match batch.timestamp_type() {
            TimestampType::LogAppendTime => batch.max_timestamp,
            TimestampType::CreateTime => -1,
        },
    }
}
