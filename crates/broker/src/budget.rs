//! The bound on bytes in flight over all connections (`queued.max.request.bytes`).
//!
//! Frames that have arrived in part count, too: a thousand peers that each send half of a large frame must not take a
//! thousand times that memory. Past the bound a connection in the middle of a large frame waits. If such frames alone had
//! used up the bound, none of them would ever become whole; so one connection at a time has the *turn* and reads on. The
//! shortest frame goes first: ordinary requests do not queue behind peers that claim to send huge ones.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Bytes of requests arriving and under way, and of answers not yet written.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
    turn: Mutex<Turn>,
}

/// Who has the turn, and who waits for it.
#[derive(Debug, Default)]
struct Turn {
    is_taken: bool,
    waiting: BTreeSet<Claim>,
}

/// A frame that waits for the turn: its length as claimed, and its connection.
pub(crate) type Claim = (u32, u64);

impl Budget {
    pub fn new(limit: usize) -> Budget {
        Budget {
            limit,
            used: AtomicUsize::new(0),
            freed: Notify::new(),
            turn: Mutex::default(),
        }
    }

    /// Takes the turn if nobody has it and nobody waits for it with a shorter frame; waits in line otherwise. Whoever gets
    /// it must [give it back](Budget::give_turn_back), whoever waits may [step out](Budget::leave_line).
    pub fn take_turn(&self, claim: Claim) -> bool {
        let mut turn = self.turn.lock();
        turn.waiting.insert(claim);
        if turn.is_taken || turn.waiting.first() != Some(&claim) {
            return false;
        }
        turn.waiting.remove(&claim);
        turn.is_taken = true;
        true
    }

    /// Gives the turn back, to the first of those who wait.
    pub fn give_turn_back(&self) {
        self.turn.lock().is_taken = false;
        self.freed.notify_waiters();
    }

    /// Waits no longer.
    pub fn leave_line(&self, claim: Claim) {
        self.turn.lock().waiting.remove(&claim);
        // It may have been the first, for whom the others made way.
        self.freed.notify_waiters();
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

    /// Ends when bytes were freed, or the turn was given back, after this call. Make it before asking
    /// [`Budget::is_exhausted`] and [`Budget::take_turn`].
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

    #[tokio::test]
    async fn one_at_a_time_has_the_turn_and_the_shortest_frame_is_next() {
        let budget = Budget::new(100);
        assert!(budget.take_turn((500, 1)));
        let freed = budget.freed();
        assert!(!budget.take_turn((400, 2)));
        assert!(!budget.take_turn((300, 3)));
        budget.give_turn_back();
        freed.await;
        assert!(!budget.take_turn((400, 2)));
        let freed = budget.freed();
        budget.leave_line((300, 3));
        freed.await;
        assert!(budget.take_turn((400, 2)));
    }
}
