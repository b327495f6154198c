//! Transactional ids come into memory together, with the first request or when the broker starts.

use ottla_codec::ResponseError;
use ottla_coordinator::transactions::{TransactionCoordinator, transactional_id_of_key};
use ottla_storage::Tree;

use super::limits;
use crate::groups::{GroupService, Inner, Shared, UNAVAILABLE};

impl GroupService {
    /// Loads open transactions, so that they time out though nobody asks. What cannot be read is logged, and tried again with
    /// the next request.
    pub fn start_transactions(&self) {
        let mut inner = self.shared.lock();
        let _ = self.shared.with_transactions(&mut inner, |_| ());
    }
}

impl Shared {
    /// Calls `act` with the machine, loaded if need be and with the settings of now.
    pub(crate) fn with_transactions<R>(
        &self,
        inner: &mut Inner,
        act: impl FnOnce(&mut TransactionCoordinator) -> R,
    ) -> Result<R, ResponseError> {
        let mut machine = match inner.transactions.machine.take() {
            Some(machine) => machine,
            None => self.load_transactions(inner)?,
        };
        machine.set_limits(limits(&self.settings.current()));
        let result = act(&mut machine);
        inner.transactions.machine = Some(machine);
        Ok(result)
    }

    fn load_transactions(
        &self,
        inner: &mut Inner,
    ) -> Result<TransactionCoordinator, ResponseError> {
        let rows = self.store.scan(Tree::Transactions, &[]).map_err(|error| {
            tracing::error!(%error, "transactional ids cannot be read");
            UNAVAILABLE
        })?;
        let mut machine = TransactionCoordinator::new(limits(&self.settings.current()));
        let now = self.now();
        for (key, value) in rows {
            let Some(id) = transactional_id_of_key(&key) else {
                tracing::error!("a stored transactional id is not UTF-8");
                continue;
            };
            match machine.load(id, &value, now) {
                Ok(deadline) => inner.transactions.timers.apply(id.to_owned(), deadline),
                // One damaged id does not hide the others.
                Err(error) => tracing::error!(%error, "a transactional id cannot be loaded"),
            }
        }
        self.wake_timers(inner);
        Ok(machine)
    }
}
