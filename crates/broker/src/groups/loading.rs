//! Groups come into memory when they are first asked for.

use ottla_codec::ResponseError;
use ottla_coordinator::groups::records;
use ottla_storage::{MetaOp, StoreError, Topics, Tree};

use super::{Inner, Shared, UNAVAILABLE};

type Row = (bytes::Bytes, bytes::Bytes);

impl Shared {
    /// Loads a group unless it is in memory or there is none.
    pub(crate) fn ensure_loaded(
        &self,
        inner: &mut Inner,
        group_id: &str,
    ) -> Result<(), ResponseError> {
        if inner.machine.is_loaded(group_id) {
            return Ok(());
        }
        let unreadable = |error: StoreError| {
            tracing::error!(group = group_id, %error, "a group cannot be read");
            UNAVAILABLE
        };
        let key = records::group_key(group_id);
        let Some(row) = self.store.get(Tree::Groups, &key).map_err(unreadable)? else {
            return Ok(());
        };
        let prefix = records::offsets_prefix(group_id);
        let rows = self
            .store
            .scan(Tree::Offsets, &prefix)
            .map_err(unreadable)?;
        let topics = self.store.topics();
        let (live, stale): (Vec<Row>, Vec<Row>) = rows
            .into_iter()
            .partition(|(key, value)| is_live(&topics, group_id, key, value));

        let effects = inner
            .machine
            .load(self.now(), group_id, &row, &live)
            .map_err(|error| {
                tracing::error!(group = group_id, %error, "a group cannot be loaded");
                UNAVAILABLE
            })?;
        let pending = self
            .store
            .scan(Tree::PendingOffsets, &prefix)
            .map_err(unreadable)?;
        if let Err(error) = inner.machine.load_pending(group_id, &pending) {
            tracing::error!(group = group_id, %error, "offsets of open transactions cannot be loaded");
        }
        self.load_policy(inner, group_id);
        self.apply(inner, Some(group_id), effects);
        self.forget(inner, stale);
        Ok(())
    }

    /// Loads every group there is: for listing and for expiry.
    pub(super) fn load_all(&self, inner: &mut Inner) -> Result<(), ResponseError> {
        let rows = self.store.scan(Tree::Groups, &[]).map_err(|error| {
            tracing::error!(%error, "the groups cannot be read");
            UNAVAILABLE
        })?;
        for (key, _) in rows {
            let Some(group_id) = records::group_id_of_key(&key) else {
                tracing::error!("a stored group has an id that is not UTF-8");
                continue;
            };
            // One damaged group does not hide the others; it has been logged.
            let _ = self.ensure_loaded(inner, group_id);
        }
        Ok(())
    }

    /// Deletes offsets of topics that were deleted while their group was not in memory. If that fails they are still
    /// not loaded, and the next load tries again.
    fn forget(&self, inner: &mut Inner, stale: Vec<Row>) {
        if stale.is_empty() {
            return;
        }
        let ops = stale.into_iter().map(|(key, _)| MetaOp::Delete {
            tree: Tree::Offsets,
            key,
        });
        match self.store.commit(ops.collect()) {
            Ok(commit) => inner.last_commit = Some(commit),
            Err(error) => tracing::warn!(%error, "offsets of deleted topics were not removed"),
        }
    }
}

/// Whether the topic that the offset was committed for still exists. A row that cannot be read is for the machine to refuse.
fn is_live(topics: &Topics, group_id: &str, key: &[u8], value: &[u8]) -> bool {
    match records::decode_offset(group_id, key, value) {
        Ok((id, committed)) => topics
            .by_name(&id.topic)
            .is_some_and(|topic| topic.id.as_bytes() == &committed.topic_id),
        Err(_) => true,
    }
}
