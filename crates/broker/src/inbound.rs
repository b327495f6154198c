//! What has arrived of a connection's next frame, and what it counts for in the total of all connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::budget::{Budget, Claim};

/// What every connection may have of an incomplete frame, whatever the others do. Small requests so never wait for
/// somebody's large one; the memory of it is bounded by the number of connections.
pub(crate) const FREE: usize = 64 * 1024;
/// How long a connection that has the turn may take for [`FREE`] bytes. One that is slower is closed: others wait for it.
const SLOW: Duration = Duration::from_secs(2);

/// The receive buffer of a connection.
pub(crate) struct Inbound {
    pub buffer: BytesMut,
    /// Bytes of `buffer` that count in `total`.
    counted: usize,
    total: Arc<Budget>,
    turn: Option<Turn>,
    /// In line for the turn.
    waiting: Option<Claim>,
    /// The connection.
    id: u64,
}

/// The right to read on past the bound.
struct Turn {
    /// When it is looked at whether enough has come.
    until: Instant,
    had: usize,
}

impl Inbound {
    pub fn new(id: u64, total: Arc<Budget>) -> Inbound {
        Inbound {
            buffer: BytesMut::new(),
            counted: 0,
            total,
            turn: None,
            waiting: None,
            id,
        }
    }

    /// To be called after every read, when all whole frames are split off.
    pub fn settle(&mut self) {
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = BytesMut::new();
        }
        let counts = self.buffer.len().saturating_sub(FREE);
        if counts > self.counted {
            self.total.take(counts - self.counted);
        } else if counts < self.counted {
            self.total.release(self.counted - counts);
        }
        self.counted = counts;
        if counts == 0 {
            self.give_turn_back();
        }
    }

    /// Whether more has arrived of the next frame than every connection may have.
    pub fn is_in_a_large_frame(&self) -> bool {
        self.buffer.len() > FREE
    }

    /// Whether to read on while the total is used up. Takes the turn if that is needed and free.
    pub fn may_read_past_the_bound(&mut self) -> bool {
        if !self.is_in_a_large_frame() || self.turn.is_some() {
            return true;
        }
        let claimed = self
            .buffer
            .first_chunk()
            .map_or(0, |f| u32::from_be_bytes(*f));
        let claim = (claimed, self.id);
        if self.total.take_turn(claim) {
            self.waiting = None;
            self.turn = Some(Turn {
                until: Instant::now() + SLOW,
                had: self.buffer.len(),
            });
        } else {
            self.waiting = Some(claim);
        }
        self.turn.is_some()
    }

    /// When [`Inbound::is_too_slow`] is to be asked; `None` for a connection that nobody waits for.
    pub fn due(&self) -> Option<Instant> {
        self.turn.as_ref().map(|turn| turn.until)
    }

    /// Whether this connection holds up others and sends next to nothing.
    pub fn is_too_slow(&mut self) -> bool {
        if !self.total.is_exhausted() {
            self.give_turn_back();
        }
        let len = self.buffer.len();
        let Some(turn) = &mut self.turn else {
            return false;
        };
        let slow = len < turn.had + FREE;
        *turn = Turn {
            until: Instant::now() + SLOW,
            had: len,
        };
        slow
    }

    /// To be called when a frame was split off, or the total is not used up any more.
    pub fn give_turn_back(&mut self) {
        if let Some(claim) = self.waiting.take() {
            self.total.leave_line(claim);
        }
        if self.turn.take().is_some() {
            self.total.give_turn_back();
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.total.release(self.counted);
        self.give_turn_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn with(total: &Arc<Budget>, len: usize) -> Inbound {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut inbound = Inbound::new(id, total.clone());
        inbound.buffer.resize(len, 0);
        inbound.settle();
        inbound
    }

    #[test]
    fn what_has_arrived_of_a_large_frame_counts_until_it_is_split_off_or_the_connection_ends() {
        let total = Arc::new(Budget::new(1000));
        let mut inbound = with(&total, FREE + 1000);
        assert!(total.is_exhausted());
        inbound.buffer.truncate(FREE + 999);
        inbound.settle();
        assert!(!total.is_exhausted());
        let other = with(&total, FREE + 1);
        assert!(total.is_exhausted());
        drop(other);
        assert!(!total.is_exhausted());
    }

    #[test]
    fn past_the_bound_small_frames_go_on_and_one_large_frame_at_a_time() {
        let total = Arc::new(Budget::new(1));
        let (mut first, mut second) = (with(&total, FREE + 5), with(&total, FREE + 5));
        assert!(with(&total, FREE).may_read_past_the_bound());
        assert!(first.may_read_past_the_bound());
        assert!(first.may_read_past_the_bound());
        assert!(!second.may_read_past_the_bound());
        first.buffer.clear();
        first.settle();
        assert!(second.may_read_past_the_bound());
        assert!(first.may_read_past_the_bound());
        let third = &mut with(&total, FREE + 5);
        assert!(!third.may_read_past_the_bound());
        drop(second);
        assert!(third.may_read_past_the_bound());
        third.give_turn_back();
        assert!(with(&total, FREE + 5).may_read_past_the_bound());
    }

    #[tokio::test]
    async fn who_has_the_turn_must_make_use_of_it() {
        let total = Arc::new(Budget::new(1));
        let mut inbound = with(&total, FREE + 5);
        assert!(!inbound.is_too_slow());
        assert!(inbound.may_read_past_the_bound());
        inbound.buffer.resize(2 * FREE + 5, 0);
        assert!(!inbound.is_too_slow());
        inbound.buffer.resize(3 * FREE, 0);
        assert!(inbound.is_too_slow());
    }
}
