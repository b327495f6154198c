//! What a process keeps of the machine's memory.
//!
//! - **Code.** A start runs through code that never runs again: the command line, settings, recovery. The kernel maps 64 KiB around each place
//!   that runs, and what is mapped counts as the process's resident memory for ever, on a machine that has memory to spare.
//! - **Freed memory.** The allocator keeps it for a while, to give it out again. What a load leaves behind stays until something is
//!   allocated after that while.

#[cfg(target_os = "linux")]
use std::ops::Range;
use std::time::Duration;

/// The allocator whose freed memory [`give_back_freed_after`] is about. A binary names it as its own.
pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay` of `mimalloc.h`; the Rust declarations leave it out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory goes back to the kernel once it was free for about `wait` (mimalloc's own: a second), in milliseconds. The environment variable
/// `MIMALLOC_PURGE_DELAY` overrides it.
#[allow(unsafe_code)]
pub fn give_back_freed_after(wait: Duration) {
    let ms = std::ffi::c_long::try_from(wait.as_millis()).unwrap_or(std::ffi::c_long::MAX);
    // SAFETY: Sets a number that the allocator reads when memory is freed; any is valid (mimalloc.h).
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, ms) };
}

/// Takes the program's code and that of its libraries out of the resident memory. What runs from here on is mapped again as it runs: from
/// the page cache, where it stays. Does nothing outside of Linux, or without `/proc`.
pub fn give_back_code() {
    #[cfg(target_os = "linux")]
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        code(&maps).for_each(give_back);
    }
}

/// Addresses of private mappings of files that may be executed and not written, from the text of `/proc/PID/maps` (proc_pid_maps(5)).
#[cfg(target_os = "linux")]
fn code(maps: &str) -> impl Iterator<Item = Range<usize>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let file = fields.nth(3)?;
        if permissions != "r-xp" || !file.starts_with('/') {
            return None;
        }
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        Some(address(start)?..address(end)?)
    })
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn give_back(pages: Range<usize>) {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::with_exposed_provenance_mut(pages.start);
    // SAFETY: A private mapping of a file that cannot be written holds the file's bytes and nothing else, unless a debugger has put
    // something there. MADV_DONTNEED (madvise(2)) has the next access find those bytes again.
    // An error leaves the pages where they are.
    let _ = unsafe { madvise(start, pages.len(), Advice::LinuxDontNeed) };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_executed_from_a_file_and_not_written() {
        let maps = "\
55e0a0000000-55e0a0010000 r--p 00000000 fd:00 12 /usr/bin/some program
55e0a0010000-55e0a0030000 r-xp 00010000 fd:00 12 /usr/bin/some program
55e0a0030000-55e0a0031000 rw-p 00030000 fd:00 12 /usr/bin/some program
7f0000000000-7f0000001000 rwxp 00000000 fd:00 13 /usr/lib/patched.so
7f0000001000-7f0000002000 r-xs 00000000 fd:00 13 /usr/lib/shared.so
7f0000002000-7f0000003000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                  [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]
";
        let found: Vec<_> = code(maps).map(|range| (range.start, range.end)).collect();
        assert_eq!(found, [(0x55e0_a001_0000, 0x55e0_a003_0000)]);
    }

    /// KiB of this process's code that are mapped now.
    fn resident_code() -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
        let mut is_code = false;
        let mut sum = 0;
        for line in maps.lines() {
            let is_head = line
                .split_once(' ')
                .is_some_and(|(range, _)| !range.ends_with(':'));
            if is_head {
                is_code = code(line).next().is_some();
            } else if let Some(rss) = line.strip_prefix("Rss:")
                && is_code
            {
                let kib = rss.trim().trim_end_matches(" kB");
                sum += kib.parse::<usize>().expect("a number");
            }
        }
        sum
    }

    #[test]
    fn what_runs_on_is_less_than_what_ran() {
        // What both measurements run is mapped before the first.
        resident_code();
        // Code that nothing runs again.
        let sorted: std::collections::BTreeMap<String, f64> = (0..100_u32)
            .map(|n| (format!("{n:?}"), f64::from(n).sin()))
            .collect();
        assert_eq!(sorted.len(), 100);
        let before = resident_code();
        give_back_code();
        let after = resident_code();
        assert!(after < before, "{after} KiB are mapped, of {before}");
    }
}
