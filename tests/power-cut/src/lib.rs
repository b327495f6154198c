//! A power cut for a program that knows nothing of it: what it has not synced is lost, wholly, in parts, or out of order.
//!
//! The program runs under a seccomp filter whose listener ([`seccomp_unotify(2)`]) is held here: each call that changes a file or
//! a name below one directory, or syncs one, is carried out here and noted. On [`SimulatedDisk::cut`] the program is killed and the
//! directory becomes one that a power cut could have left. The same seam fills the disk, fails syncs, cuts writes short, and
//! lets the clock jump.
//!
//! **Why this seam.** A preloaded library sees only calls that go through libc: rustix, with which Ottla writes its journal, makes
//! system calls of its own, and a binary that is linked statically loads nothing. FUSE needs privileges, and a seam inside of the
//! product would test another binary. This one sees all calls of any binary, needs no privileges, and costs nothing for calls
//! that are not of files. It needs Linux 5.19.
//!
//! **The model** is stricter than any file system in use. A write is durable after a sync of its file, a name after a sync of its
//! directory; `sync_file_range` promises nothing. Of writes that are not synced each is there, is gone, is there in some of its
//! sectors of 512 bytes, or has made its file longer and nothing else. A rename is atomic. A failed sync loses what it was for.
//! Shared writable mappings, files without names and renames out of the directory are refused and told
//! ([`SimulatedDisk::unsupported`]).
//!
//! [`seccomp_unotify(2)`]: https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod content;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
mod simulated_disk;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod sys;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::SimulatedDisk;
#[cfg(target_os = "linux")]
pub use simulated_disk::SimulatedDisk;

/// Faults of a disk. They may be changed while the program runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes by which files may still grow; `None`: as many as there are.
    pub free: Option<u64>,
    /// So many more syncs of files succeed; all later ones fail with EIO, and what they should have kept is lost.
    pub syncs_until_failure: Option<u64>,
    /// Writes now and then take less than they were given, or are interrupted before they begin.
    pub short_writes: bool,
    /// Syncs take up to so many milliseconds, so that more of what is written is not synced when the power is cut.
    pub sync_millis: u64,
}

/// What a program did to its disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes below the directory.
    pub writes: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Syncs that were failed.
    pub failed_syncs: u64,
    /// Writes that were refused for want of room.
    pub refused_writes: u64,
    /// Writes that were cut short or interrupted.
    pub short_writes: u64,
}

/// What a power cut took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutReport {
    /// Writes of which nothing is left.
    pub lost_writes: u64,
    /// Writes that are there in part.
    pub torn_writes: u64,
    /// Writes that were not synced and are there all the same.
    pub kept_writes: u64,
    /// Changes of names (new, renamed, removed) that are not there.
    pub lost_names: u64,
}
