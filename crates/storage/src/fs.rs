//! All file access of this crate goes through [`Fs`], so that tests can lose what was not synced, tear writes, fill the disk and fail a sync.

/// The file system as the store needs it.
pub trait Fs: Send + Sync {}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFs;

impl Fs for OsFs {}
