//! Page cache that costs the same in every run.
//!
//! A virtual machine gives free memory back to its host (free page reporting, a balloon). The next program that touches such a page
//! waits for the host, and the wait is booked as CPU time of its write: ten times what the copy costs. Which broker meets those
//! pages would be chance. A page that was freed a moment ago is not given back yet, and the kernel hands out the last one freed first. So a load
//! is given pages that are freed as it takes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Freed at a time.
const CHUNK: u64 = 64 << 20;
/// So much is free beyond what was free at the beginning, until the stock is used up.
const AHEAD: u64 = 128 << 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Memory that is there, freed as others take it; the rest when it is dropped.
pub struct Stock {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stock {
    /// Takes `bytes` of memory, at most half of what is available, and touches it. Outside of Linux it takes none.
    pub fn of(bytes: u64) -> Stock {
        let half = meminfo("MemAvailable:").unwrap_or(0) / 2;
        let chunks = bytes.min(half).div_ceil(CHUNK);
        let mut chunks: VecDeque<Vec<u8>> = (0..chunks).map(|_| vec![1; CHUNK as usize]).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let thread = thread::spawn(move || {
            let Some(wanted) = meminfo("MemFree:").map(|free| free + AHEAD) else {
                return;
            };
            while !is_over.load(Ordering::Relaxed) && !chunks.is_empty() {
                release(&mut chunks, wanted, || meminfo("MemFree:"));
                thread::park_timeout(BETWEEN_LOOKS);
            }
        });
        Stock {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic, and has nothing to say.
            let _ = thread.join();
        }
    }
}

/// Frees chunks until `wanted` bytes are free.
fn release<T>(chunks: &mut VecDeque<T>, wanted: u64, free: impl Fn() -> Option<u64>) {
    while free().is_some_and(|free| free < wanted) && chunks.pop_front().is_some() {}
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    bytes_of(&text, name)
}

fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Tells of its end.
    struct Chunk<'a>(&'a Cell<u64>);

    impl Drop for Chunk<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 10);
        }
    }

    #[test]
    fn chunks_are_freed_until_there_is_what_is_wanted_or_none_is_left() {
        let free = Cell::new(5);
        let mut chunks: VecDeque<_> = (0..4).map(|_| Chunk(&free)).collect();
        release(&mut chunks, 25, || Some(free.get()));
        assert_eq!((free.get(), chunks.len()), (25, 2));
        release(&mut chunks, 25, || Some(free.get()));
        assert_eq!(chunks.len(), 2, "nobody took any");
        release(&mut chunks, 100, || None);
        assert_eq!(chunks.len(), 2, "nothing is known");
        release(&mut chunks, 100, || Some(free.get()));
        assert_eq!((free.get(), chunks.len()), (45, 0));
    }

    #[test]
    fn lines_are_in_kib() {
        let text =
            "MemTotal:       24684544 kB\nMemFree:        17000000 kB\nHugePages_Total:       0\n";
        assert_eq!(bytes_of(text, "MemFree:"), Some(17_000_000 << 10));
        assert_eq!(bytes_of(text, "MemAvailable:"), None);
        assert_eq!(bytes_of(text, "HugePages_Total:"), None);
    }
}
