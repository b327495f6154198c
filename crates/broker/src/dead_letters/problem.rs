//! Why something about dead letters is refused, in words that say what to do.

use ottla_storage::{AppendError, ReadError, StoreError};

/// What kind of refusal it is. HTTP makes a status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong: 400.
    Invalid,
    /// There is no such thing: 404.
    NotFound,
    /// Not in this state: 409.
    Conflict,
    /// Not now: 503. Worth another try.
    Unavailable,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// For programs: a word that does not change.
    pub code: &'static str,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// 400.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(Kind::Invalid, code, message)
    }

    /// 404.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(Kind::NotFound, code, message)
    }

    /// 409.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(Kind::Conflict, code, message)
    }

    /// 503.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Problem {
        Problem::new(Kind::Unavailable, code, message)
    }

    fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            kind,
            code,
            message: message.into(),
        }
    }

    /// The broker is at fault.
    pub(crate) fn defect(what: impl std::fmt::Display) -> Problem {
        Problem::unavailable("defect", format!("this is a defect of the broker: {what}"))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let code = match error {
            StoreError::DiskFull => "disk_full",
            StoreError::Failed(_) => "store_failed",
            StoreError::Closed => "stopping",
        };
        Problem::unavailable(code, error.to_string())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Deleted => Problem::not_found("deleted", error.to_string()),
            _ => Problem::unavailable("unreadable", error.to_string()),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Problem {
        match error {
            AppendError::Store(error) => error.into(),
            AppendError::Deleted => Problem::not_found("deleted", error.to_string()),
            _ => Problem::invalid("refused", error.to_string()),
        }
    }
}
