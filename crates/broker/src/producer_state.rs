//! What a partition knows of producers, as the store asks for it: the rules are in `ottla_coordinator::producers`.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_codec::batch::{BatchHeader, TimestampType};
use ottla_codec::control::Outcome;
use ottla_coordinator::producers::{Aborted, BatchInfo, PartitionProducers, Verdict};
use ottla_storage::{
    AbortedTransaction, ActiveProducer, AppendContext, Check, PartitionState,
    PartitionStateFactory, SettledAbort,
};

use crate::settings::Settings;

/// How often a partition that is written to looks for producers to forget (Kafka's
/// `producer.id.expiration.check.interval.ms`).
const EXPIRY_INTERVAL_MS: i64 = 600_000;

/// Makes each partition's state.
pub(crate) fn factory(settings: Arc<Settings>) -> Arc<dyn PartitionStateFactory> {
    Arc::new(Factory { settings })
}

struct Factory {
    settings: Arc<Settings>,
}

impl PartitionStateFactory for Factory {
    fn load(&self, snapshot: Option<&[u8]>) -> Result<Box<dyn PartitionState>, String> {
        let producers = match snapshot {
            None => PartitionProducers::new(),
            Some(bytes) => PartitionProducers::from_snapshot(bytes).map_err(|e| e.to_string())?,
        };
        Ok(Box::new(Producers {
            producers,
            settings: self.settings.clone(),
            next_expiry_ms: 0,
        }))
    }
}

struct Producers {
    producers: PartitionProducers,
    settings: Arc<Settings>,
    next_expiry_ms: i64,
}

impl Producers {
    fn expire(&mut self, now_ms: i64) {
        if now_ms >= self.next_expiry_ms {
            let expiration = i64::from(self.settings.current().producer_id_expiration_ms);
            self.producers.expire(now_ms, expiration);
            self.next_expiry_ms = now_ms.saturating_add(EXPIRY_INTERVAL_MS.min(expiration));
        }
    }
}

impl PartitionState for Producers {
    fn check(&mut self, batch: &BatchHeader, ctx: AppendContext) -> Result<Check, ResponseError> {
        if !batch.has_producer_id() || batch.is_control() {
            return Ok(Check::New);
        }
        self.expire(ctx.now_ms);
        self.producers
            .check(
                &info(batch),
                batch.is_transactional(),
                ctx.begins_transaction,
            )
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

    fn appended(&mut self, batch: &BatchHeader, marker: Option<Outcome>, now_ms: i64) {
        if let Some(outcome) = marker {
            self.producers.marker(
                batch.producer_id,
                batch.producer_epoch,
                outcome,
                batch.base_offset,
                now_ms,
            );
        } else if batch.has_producer_id() && !batch.is_control() {
            self.producers
                .appended(&info(batch), batch.is_transactional(), now_ms);
        }
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        self.producers.snapshot()
    }

    fn truncate(&mut self, offset: i64) {
        self.producers.truncate(offset);
    }

    fn durable(&mut self, end: i64) {
        self.producers.durable(end);
    }

    fn log_starts_at(&mut self, log_start: i64) {
        self.producers.log_starts_at(log_start);
    }

    fn has_open_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        self.producers.transactions().is_open(producer_id)
            && self.producers.window().epoch(producer_id) == Some(epoch)
    }

    fn first_undecided(&self) -> Option<i64> {
        self.producers.first_undecided()
    }

    fn active_producers(&self) -> Vec<ActiveProducer> {
        let open = self.producers.transactions().open();
        let producers = self.producers.window().producers();
        producers
            .map(
                |(producer_id, epoch, last_sequence, last_append_ms)| ActiveProducer {
                    producer_id,
                    epoch,
                    last_sequence,
                    last_append_ms,
                    transaction_start: open.get(&producer_id).copied().unwrap_or(-1),
                },
            )
            .collect()
    }

    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let aborted = self.producers.transactions().aborted_between(from, to);
        aborted.map(transaction).collect()
    }

    fn take_aborted(&mut self, end: i64) -> Vec<SettledAbort> {
        let taken = self.producers.take_aborted(end);
        let settled = taken.map(|a| SettledAbort {
            transaction: transaction(&a),
            last_stable_offset: a.last_stable_offset,
        });
        settled.collect()
    }

    fn forget_aborted(&mut self, last_offsets: &[i64]) {
        self.producers.forget_aborted(last_offsets);
    }
}

fn transaction(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: aborted.producer_id,
        first_offset: aborted.first_offset,
        last_offset: aborted.last_offset,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_codec::control;

    use super::*;
    use crate::settings::BrokerConfig;

    #[test]
    fn an_aborted_transaction_is_told_with_its_marker_until_it_is_forgotten() {
        let config = BrokerConfig {
            data_dir: std::path::PathBuf::new(),
            values: BTreeMap::new(),
        };
        let settings = Settings::new(&config).expect("the defaults");
        let factory = factory(Arc::new(settings));
        let mut state = factory.load(None).expect("empty");
        let mut marker_at = |producer_id, offset| {
            let mut batch = control::marker(producer_id, 0, Outcome::Abort, 0);
            ottla_codec::batch::set_offset_and_epoch(&mut batch, offset, 0);
            let marker = BatchHeader::parse(&batch).expect("a batch");
            let data = BatchHeader {
                base_offset: offset - 1,
                attributes: 0x10,
                base_sequence: 0,
                ..marker
            };
            state.appended(&data, None, 0);
            state.appended(&marker, Some(Outcome::Abort), 0);
        };
        marker_at(7, 1);
        marker_at(8, 3);
        let of = |producer_id, last_offset| AbortedTransaction {
            producer_id,
            first_offset: last_offset - 1,
            last_offset,
        };
        assert_eq!(state.aborted_between(0, 4), [of(7, 1), of(8, 3)]);
        state.forget_aborted(&[1]);
        assert_eq!(state.aborted_between(0, 4), [of(8, 3)]);
        let snapshot = state.snapshot();
        let state = factory.load(snapshot.as_deref()).expect("its own");
        assert_eq!(state.aborted_between(0, 4), [of(8, 3)]);
    }
}
