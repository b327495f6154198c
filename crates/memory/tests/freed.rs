//! Freed memory goes back to the kernel, in a process of its own.
#![cfg(target_os = "linux")]

use std::time::Duration;

use ottla_memory::{Allocator, give_back_freed_after};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const TAKEN_KIB: usize = 64 << 10;

/// KiB of memory of this process that no file stands behind.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("Linux tells it").parse().expect("a number")
}

#[test]
fn what_is_freed_goes_back_at_once_when_nothing_is_to_wait() {
    give_back_freed_after(Duration::ZERO);
    let before = resident();
    // As requests are: pieces of about a megabyte.
    let blocks: Vec<Vec<u8>> = (0..64).map(|n| vec![n; 1 << 20]).collect();
    let taken = resident();
    assert!(
        taken > before + TAKEN_KIB * 3 / 4,
        "{before} KiB, then {taken} with {TAKEN_KIB} more"
    );
    drop(blocks);
    let left = resident();
    assert!(
        left < before + TAKEN_KIB / 4,
        "{left} KiB are left, of {taken}"
    );
}
