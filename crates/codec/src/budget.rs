//! What a request may make the broker allocate, in proportion to the bytes it came with.
//!
//! An array element of a few bytes on the wire can be a struct of a hundred bytes in memory, so a count that
//! fits the body is not yet harmless. Honest requests are names, ids and batches, which take about what they weigh.

/// A request of any size may take this much.
const FLOOR: usize = 4 << 20;
/// And this many times its own bytes.
const FACTOR: usize = 6;

/// The memory that a body may still be turned into.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

/// The budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would take too much memory for a request of its size")]
pub(crate) struct OverBudget;

impl Budget {
    pub(crate) fn for_body(len: usize) -> Self {
        Budget {
            left: FLOOR.saturating_add(len.saturating_mul(FACTOR)),
        }
    }

    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.left = self.left.checked_sub(bytes).ok_or(OverBudget)?;
        Ok(())
    }
}
