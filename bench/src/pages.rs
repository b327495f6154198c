//! Page cache that costs the same in every run.
//!
//! A virtual machine gives free memory back to its host (free page reporting, a balloon). The next program that touches such a page
//! waits for the host, and the wait is booked as CPU time of its write: ten times what the copy costs. Which broker meets those
//! pages would be chance. Pages of the page cache that were freed a moment ago are not given back yet, and the next file that grows
//! gets them (freed memory of a process it does not get). So a load is given such pages as it takes them. Where much other memory is
//! free, it may be given of that nevertheless: less of it is, while the benchmark holds it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Freed at a time.
const CHUNK: u64 = 64 << 20;
/// So much is free beyond what was free at the beginning, until the stock is used up.
const AHEAD: u64 = 128 << 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Page cache of a file without blocks, freed as others take memory; the rest when it is dropped.
pub struct Stock {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stock {
    /// Fills page cache with `bytes`, at most seven eighths of the memory that is available, of a file in `directory`. Outside of Linux it does nothing.
    pub fn of(bytes: u64, directory: &Path) -> io::Result<Stock> {
        let most = meminfo("MemAvailable:").unwrap_or(0) / 8 * 7;
        let mut chunks = bytes.min(most).div_ceil(CHUNK);
        let file = tempfile::tempfile_in(directory)?;
        fill(&file, chunks * CHUNK)?;
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let thread = thread::spawn(move || {
            let Some(wanted) = meminfo("MemFree:").map(|free| free + AHEAD) else {
                return;
            };
            while !is_over.load(Ordering::Relaxed) && chunks > 0 {
                let free = || meminfo("MemFree:");
                chunks = release(chunks, wanted, free, |chunk| forget(&file, chunk * CHUNK));
                thread::park_timeout(BETWEEN_LOOKS);
            }
        });
        Ok(Stock {
            stop,
            thread: Some(thread),
        })
    }
}

/// `ottla-bench hold`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Bytes that stay free
    all_but: u64,
}

impl Arguments {
    /// Holds memory until the standard input ends, and says when it has it.
    pub fn hold(&self) -> io::Result<()> {
        let available = meminfo("MemAvailable:").unwrap_or(0);
        let held = usize::try_from(available.saturating_sub(self.all_but));
        // Not zeros: they would be pages that nobody has touched.
        let held = vec![1_u8; held.unwrap_or(0)];
        println!("holds {}", std::hint::black_box(&held).len());
        io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
    }
}

/// A process that holds memory, until this is dropped.
pub struct Held(Child);

impl Held {
    /// All memory but so many bytes, touched: what is left is in use all the time, and none of it lies idle until the host takes it. It
    /// is another process that has it, because one that is as large takes long to start others.
    pub fn all_but(bytes: u64) -> Result<Held> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hold", &bytes.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut held = Held(command.spawn()?);
        let mut line = String::new();
        let output = held.0.stdout.take().context("it has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.starts_with("holds"), "memory cannot be held: {line}");
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // If it is gone, it holds nothing any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a file of zeros of that length.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    let mut zeros = io::BufReader::with_capacity(1 << 20, file);
    io::copy(&mut zeros, &mut io::sink()).map(drop)
}

/// Frees the pages of a chunk, which nobody has written to.
fn forget(file: &File, at: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Advice, fadvise};
        // An advice that is not taken leaves the pages for later.
        let _ = fadvise(file, at, std::num::NonZeroU64::new(CHUNK), Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, at);
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

/// Frees chunks, the last first, until `wanted` bytes are free. Returns how many are left.
fn release(
    mut chunks: u64,
    wanted: u64,
    free: impl Fn() -> Option<u64>,
    forget: impl Fn(u64),
) -> u64 {
    while chunks > 0 && free().is_some_and(|free| free < wanted) {
        chunks -= 1;
        forget(chunks);
    }
    chunks
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

    #[test]
    fn chunks_are_freed_until_there_is_what_is_wanted_or_none_is_left() {
        let free = Cell::new(5);
        let freed = |_| free.set(free.get() + 10);
        let chunks = release(4, 25, || Some(free.get()), freed);
        assert_eq!((free.get(), chunks), (25, 2));
        let chunks = release(chunks, 25, || Some(free.get()), freed);
        assert_eq!(chunks, 2, "nobody took any");
        let chunks = release(chunks, 100, || None, freed);
        assert_eq!(chunks, 2, "nothing is known");
        let chunks = release(chunks, 100, || Some(free.get()), freed);
        assert_eq!((free.get(), chunks), (45, 0));
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
