//! What is written: bytes that compress to about two thirds, the same in every run.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

const LENGTH: usize = 1 << 20;
/// Positions move by a prime, so that neighbours differ.
const STRIDE: u64 = 7919;

/// A pool of bytes that values are cut from.
pub struct Payload {
    pool: Vec<u8>,
}

impl Default for Payload {
    /// The pool, from a fixed seed.
    fn default() -> Payload {
        let mut pool = vec![0; LENGTH];
        StdRng::seed_from_u64(7).fill_bytes(&mut pool);
        for chunk in pool.chunks_mut(48) {
            let at = chunk.len() * 2 / 3;
            chunk[at..].fill(b'.');
        }
        Payload { pool }
    }
}

impl Payload {
    /// A value of `size` bytes, up to half a megabyte; another for each `number`.
    pub fn slice(&self, number: u64, size: usize) -> &[u8] {
        let room = (LENGTH - size) as u64;
        let at = (number.wrapping_mul(STRIDE) % room) as usize;
        &self.pool[at..at + size]
    }
}
