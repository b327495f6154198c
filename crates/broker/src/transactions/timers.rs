//! Time-outs and expiry, fired by the one task of the groups' timers.

use ottla_coordinator::transactions::Effects;

use crate::groups::{Inner, Shared};

impl Shared {
    /// Aborts transactions that have been open for too long.
    pub(crate) fn time_out_transactions(&self, inner: &mut Inner) {
        let now = self.now();
        while let Some(id) = inner.transactions.timers.pop_due(now.monotonic_ms) {
            let decided = self.decide(inner, &id, |d| {
                d.machine.timed_out(d.now, &id, d.effects);
                Ok(())
            });
            let Ok((saved, effects, ())) = decided else {
                continue;
            };
            for ending in &effects.endings {
                tracing::info!(
                    transactional_id = id,
                    producer_id = ending.producer_id,
                    partitions = ending.partitions.len(),
                    "a transaction timed out and is aborted"
                );
            }
            if self.settle_transaction(inner, saved, effects).is_err() {
                // A full disk, say: again a little later.
                let again = now.monotonic_ms.saturating_add(RETRY_MS);
                inner.transactions.timers.apply(id, Some(again));
            }
        }
    }

    /// Forgets transactional ids that nothing has happened to for long.
    pub(crate) fn expire_transactional_ids(&self, inner: &mut Inner) {
        let now = self.now();
        let mut effects = Effects::default();
        let expired = self.with_transactions(inner, |machine| {
            machine.expire(now.wall_ms, &mut effects);
        });
        if expired.is_ok()
            && self
                .carry_out_transaction(inner, effects, Vec::new())
                .is_err()
        {
            // They are still stored.
            inner.transactions.forget();
        }
    }
}

/// How long after a refused commit an abort is tried again.
const RETRY_MS: u64 = 1_000;
