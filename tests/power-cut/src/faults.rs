//! What goes wrong on purpose while the power is on.

use rand::{Rng, rngs::StdRng};

use crate::Faults;

/// What a write is let do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Let {
    Write(usize),
    Refuse(i32),
}

impl Faults {
    /// How much of a write of `len` bytes, which makes its file `growth` bytes longer, is let through.
    pub(crate) fn write(&mut self, len: usize, growth: u64, rng: &mut StdRng) -> Let {
        let mut take = len;
        if let Some(free) = self.free
            && growth > free
        {
            take = len.saturating_sub((growth - free) as usize);
            if take == 0 {
                return Let::Refuse(libc::ENOSPC);
            }
        }
        if self.short_writes && rng.random_ratio(1, 4) {
            if rng.random_ratio(1, 3) {
                return Let::Refuse(libc::EINTR);
            }
            take = rng.random_range(1..=take.max(1)).min(take);
        }
        let short = (len - take) as u64;
        self.grow(growth.saturating_sub(short));
        Let::Write(take)
    }

    pub(crate) fn grow(&mut self, bytes: u64) {
        if let Some(free) = &mut self.free {
            *free = free.saturating_sub(bytes);
        }
    }

    pub(crate) fn shrink(&mut self, bytes: u64) {
        if let Some(free) = &mut self.free {
            *free = free.saturating_add(bytes);
        }
    }

    /// Whether the next sync of a file fails.
    pub(crate) fn fail_sync(&mut self) -> bool {
        match &mut self.syncs_until_failure {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}
