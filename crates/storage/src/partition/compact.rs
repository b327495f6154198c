//! What a partition tells compaction.

use std::sync::atomic::Ordering;

use super::Partition;

impl Partition {
    /// Has compaction look at this partition when the last stable offset gets to `offset`; `None`: there is nothing to wait for.
    pub(crate) fn compaction_waits_for(&self, offset: Option<i64>) {
        let offset = offset.unwrap_or(i64::MAX);
        self.compaction_waits.store(offset, Ordering::SeqCst);
        // It may have got there meanwhile.
        self.tell_compaction();
    }

    /// Tells compaction if what it waits for has come: more of the log is decided.
    pub(super) fn tell_compaction(&self) {
        let offset = self.compaction_waits.load(Ordering::SeqCst);
        if offset != i64::MAX && self.last_stable_offset() >= offset {
            let taken = self.compaction_waits.compare_exchange(
                offset,
                i64::MAX,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            if taken.is_ok() {
                self.ask_for_compaction();
            }
        }
    }

    /// Has compaction look at this partition.
    pub(super) fn ask_for_compaction(&self) {
        if let Some(store) = self.core.store() {
            store.ask_to_compact((self.topic, self.index));
        }
    }
}
