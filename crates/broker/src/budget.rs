//! The bound on bytes in flight over all connections (`queued.max.request.bytes`).

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Bytes of requests under way and of answers not yet written.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Budget {
    pub fn new(limit: usize) -> Budget {
        Budget {
            limit,
            used: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Notes bytes. Never refuses: who is over the limit stops reading.
    pub fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Gives bytes back, and wakes those who wait if this brought the sum below the limit.
    pub fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "released more than was taken");
        if before >= self.limit && before - bytes < self.limit {
            self.freed.notify_waiters();
        }
    }

    /// Whether no more should be read.
    pub fn is_exhausted(&self) -> bool {
        self.used.load(Ordering::Acquire) >= self.limit
    }

    /// Ends when bytes were freed after this call. Make it before asking [`Budget::is_exhausted`].
    pub fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_when_the_sum_falls_below_the_limit() {
        let budget = Budget::new(100);
        budget.take(150);
        let freed = budget.freed();
        assert!(budget.is_exhausted());
        budget.release(40);
        assert!(budget.is_exhausted());
        budget.release(20);
        assert!(!budget.is_exhausted());
        freed.await;
    }
}
