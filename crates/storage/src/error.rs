//! What can go wrong, with what was attempted.

use std::path::PathBuf;

/// Why a data directory cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OpenError {
    #[error(
        "data directory {path} is in use by another broker{}: stop it, or choose another --data-dir",
        pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    Locked { path: PathBuf, pid: Option<u32> },
    #[error(
        "data directory {path} was written in format {found}, newer than the {supported} that this ottla knows: use a newer ottla"
    )]
    NewerFormat {
        path: PathBuf,
        found: u32,
        supported: u32,
    },
    #[error("data directory {path} cannot be used: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("data directory {path} is not an Ottla data directory: {reason}")]
    NotOurs { path: PathBuf, reason: String },
    #[error("data directory {path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the journal of data directory {path} is damaged: {reason}. Bring the directory back from a copy or, with `ottla snapshot restore`, \
         from a snapshot; or give up what cannot be read: start once with --override ottla.journal.cut.damaged=true"
    )]
    DamagedJournal { path: PathBuf, reason: String },
}

/// Why a commit was refused or not kept. All map to KAFKA_STORAGE_ERROR, which clients retry.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("no space left on the disk of the data directory")]
    DiskFull,
    #[error("the store stopped taking writes: {0}")]
    Failed(String),
    #[error("the store is closed")]
    Closed,
}

/// Why an append was refused; nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum AppendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The topic was deleted meanwhile.
    #[error("the topic is deleted")]
    Deleted,
    #[error("batch of {size} bytes is larger than max.message.bytes={limit}")]
    TooLarge { size: usize, limit: usize },
    /// Larger than `segment.bytes`.
    #[error("batches of {size} bytes are larger than segment.bytes={limit}")]
    LargerThanSegment { size: usize, limit: u64 },
    /// The partition state refused it (out of order sequence, fenced producer, ...), with the protocol's error.
    #[error("refused: {0:?}")]
    Refused(ottla_codec::ResponseError),
}

/// Why a read gives nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("offset {offset} is outside of {start}..={end}")]
    OutOfRange { offset: i64, start: i64, end: i64 },
    #[error("the topic is deleted")]
    Deleted,
    #[error("damaged at offset {offset}: {reason}")]
    Corrupt { offset: i64, reason: String },
    #[error("cannot read: {0}")]
    Io(String),
}

/// Why a group of commits was not kept.
#[derive(Debug)]
pub(crate) enum GroupError {
    DiskFull,
    Failed(String),
}

impl From<GroupError> for StoreError {
    fn from(cause: GroupError) -> StoreError {
        match cause {
            GroupError::DiskFull => StoreError::DiskFull,
            GroupError::Failed(reason) => StoreError::Failed(reason),
        }
    }
}

impl GroupError {
    /// Of several, the one with the most consequences: the first that is more than a full disk.
    pub fn worst(errors: impl IntoIterator<Item = GroupError>) -> Option<GroupError> {
        let worse = |a, b| {
            if matches!(a, GroupError::DiskFull) {
                b
            } else {
                a
            }
        };
        errors.into_iter().reduce(worse)
    }

    /// An error before anything reached the journal.
    pub fn before_journal(what: &str, e: &std::io::Error) -> GroupError {
        if crate::fs::is_disk_full(e) {
            GroupError::DiskFull
        } else {
            GroupError::Failed(format!("{what}: {e}"))
        }
    }
}
