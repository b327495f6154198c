//! Ids for idempotent producers.

use std::future::Future;

use ottla_codec::ResponseError;
use ottla_coordinator::producers::{PRODUCER_ID_KEY, ProducerIds};
use ottla_storage::Tree;

use super::{GroupService, Inner, Shared, UNAVAILABLE};

impl GroupService {
    /// A producer id that was never given before; the future ends when it is certain that it never will be again.
    pub fn allocate_producer_id(
        &self,
    ) -> impl Future<Output = Result<i64, ResponseError>> + Send + 'static + use<> {
        let shared = self.shared.clone();
        let allocated = {
            let mut inner = shared.lock();
            shared
                .allocate(&mut inner)
                .map(|id| (id, inner.last_commit))
        };
        async move {
            let (id, commit) = allocated?;
            shared.durable(commit).await?;
            Ok(id)
        }
    }
}

impl Shared {
    fn allocate(&self, inner: &mut Inner) -> Result<i64, ResponseError> {
        let mut ids = self.take_producer_ids(inner)?;
        let (id, reserve) = ids.allocate();
        let committed = match reserve {
            Some(block) => self.commit(inner, vec![super::meta_op(block.op)]),
            None => Ok(()),
        };
        if committed.is_err() {
            ids.reservation_failed();
        }
        inner.producer_ids = Some(ids);
        committed.map(|()| id)
    }

    /// The allocator, for whoever commits what it reserves together with more, and gives it back.
    pub(crate) fn take_producer_ids(
        &self,
        inner: &mut Inner,
    ) -> Result<ProducerIds, ResponseError> {
        match inner.producer_ids.take() {
            Some(ids) => Ok(ids),
            None => self.load_producer_ids(),
        }
    }

    fn load_producer_ids(&self) -> Result<ProducerIds, ResponseError> {
        let stored = self.store.get(Tree::Producers, PRODUCER_ID_KEY);
        let loaded = stored
            .map_err(|e| e.to_string())
            .and_then(|bytes| ProducerIds::load(bytes.as_deref()));
        loaded.map_err(|error| {
            tracing::error!(error, "the next producer id cannot be read");
            UNAVAILABLE
        })
    }
}

impl Inner {
    /// See [`Shared::take_producer_ids`].
    pub(crate) fn put_producer_ids(&mut self, ids: ProducerIds) {
        self.producer_ids = Some(ids);
    }

    /// A reservation may not have been kept: what is stored tells.
    pub(crate) fn forget_producer_ids(&mut self) {
        self.producer_ids = None;
    }
}
