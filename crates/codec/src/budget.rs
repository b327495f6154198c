//! What a message may make its reader allocate, in proportion to the bytes it came with.
//!
//! An array element of a few bytes on the wire can be a struct of a hundred bytes in memory, so a count that
//! fits the body is not yet harmless. Honest requests are names, ids and batches, which take about what they weigh.

/// A message of any size may take this much.
const FLOOR: usize = 4 << 20;
/// And a request this many times its own bytes.
const FACTOR: usize = 6;
/// An answer is of many more small numbers: one partition of a Fetch with nothing new is 37 bytes, and nine times that in
/// memory.
const ANSWER_FACTOR: usize = 12;

/// The memory that a body may still be turned into.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

/// The budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would take too much memory for a message of its size")]
pub(crate) struct OverBudget;

impl Budget {
    pub(crate) fn for_request(len: usize) -> Self {
        Budget::of(len, FACTOR)
    }

    pub(crate) fn for_answer(len: usize) -> Self {
        Budget::of(len, ANSWER_FACTOR)
    }

    fn of(len: usize, factor: usize) -> Self {
        Budget {
            left: FLOOR.saturating_add(len.saturating_mul(factor)),
        }
    }

    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.left = self.left.checked_sub(bytes).ok_or(OverBudget)?;
        Ok(())
    }
}
