//! Records that are inflated a window at a time, and those that are longer than the window.

use super::{Fault, Fields, PAST_END};
use crate::compression::{CompressionError, Inflate};
use crate::wire::{Reader, WireError};

/// The window. Less than the second level of a core's cache.
pub(super) const WINDOW: usize = 128 << 10;
/// A record longer than this is read field by field when it is not in the window already. Others are had whole, so that
/// at least as much of the window is free when it is filled: what is left of it then is moved, and small steps of an
/// input that was made so must not cost many times their bytes.
pub(super) const WHOLE: usize = WINDOW / 2;
/// What a thread keeps for the next compressed batch. A block of LZ4 inflates to 4 MiB at most, beside what is unread of the one before; raw
/// snappy inflates in one piece, but producers send up to a megabyte, which seldom inflates to more than this.
const KEPT: usize = (4 << 20) + WINDOW;

/// What of a batch is inflated and not read yet.
pub(super) struct Window<'a, 'b> {
    pub inflate: Inflate<'a>,
    pub buffer: &'b mut Vec<u8>,
    pub start: usize,
    pub end: usize,
}

impl Window<'_, '_> {
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[inline]
    pub fn pass(&mut self, len: usize) {
        self.start += len;
    }

    /// Inflates as much more as there is room for when what is unread is moved to the front; false at the end.
    pub fn fill(&mut self) -> Result<bool, CompressionError> {
        self.buffer.copy_within(self.start..self.end, 0);
        let unread = self.end - self.start;
        self.start = 0;
        self.end = unread; // Also if what follows fails.
        self.end = self.inflate.fill(self.buffer, unread)?;
        Ok(self.end > unread)
    }
}

impl Drop for Window<'_, '_> {
    /// Runs before the turn of `inflate` is given on, as what it was for must be.
    fn drop(&mut self) {
        if self.buffer.len() > KEPT {
            *self.buffer = Vec::new();
        }
    }
}

/// A record that is longer than what is had of it at once.
pub(super) struct LongRecord<'w, 'a, 'b> {
    pub window: &'w mut Window<'a, 'b>,
    /// What is unread of the record, bytes.
    pub left: usize,
}

impl LongRecord<'_, '_, '_> {
    /// Reads something small.
    fn small<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, WireError>,
    ) -> Result<T, Fault> {
        /// A varint of 64 bits.
        const LONGEST: usize = 10;
        while self.window.unread().len() < self.left.min(LONGEST) {
            if !self.window.fill()? {
                return Err(Fault::Record(PAST_END));
            }
        }
        let unread = self.window.unread();
        let mut reader = Reader::new(&unread[..unread.len().min(self.left)]);
        let value = read(&mut reader)?;
        let taken = reader.position();
        self.window.pass(taken);
        self.left -= taken;
        Ok(value)
    }
}

impl Fields for LongRecord<'_, '_, '_> {
    fn u8(&mut self) -> Result<u8, Fault> {
        self.small(|r| r.u8())
    }

    fn varint(&mut self) -> Result<i32, Fault> {
        self.small(|r| r.varint())
    }

    fn varlong(&mut self) -> Result<i64, Fault> {
        self.small(|r| r.varlong())
    }

    fn feed(&mut self, len: usize, mut take: impl FnMut(&[u8])) -> Result<(), Fault> {
        let rest = self.left.checked_sub(len).ok_or(WireError::Short {
            need: len,
            have: self.left,
        })?;
        while self.left > rest {
            let step = self.window.unread().len().min(self.left - rest);
            if step == 0 && !self.window.fill()? {
                return Err(Fault::Record(PAST_END));
            }
            take(&self.window.unread()[..step]);
            self.window.pass(step);
            self.left -= step;
        }
        Ok(())
    }

    fn remaining(&self) -> usize {
        self.left
    }
}
