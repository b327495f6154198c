//! How a tool ends when it does not succeed.

use crate::talk::say;

/// Why a tool ends early, and with what exit code.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The arguments do not fit together: the message and the usage go to stderr. Exit code 1, also for `--help`, as with
    /// the originals.
    Usage {
        /// What does not fit.
        message: String,
        /// The options and what they do.
        usage: String,
    },
    /// It cannot go on; the message goes to stderr. Exit code 1.
    Failed(String),
    /// The tool has said all there is to say.
    Exit(u8),
}

impl Stop {
    /// Prints what is left to say; answers with the exit code.
    pub(crate) fn tell(self) -> u8 {
        match self {
            Stop::Usage { message, usage } => {
                say!("{message}\n{}", usage.trim_end());
                1
            }
            Stop::Failed(message) => {
                say!("{message}");
                1
            }
            Stop::Exit(code) => code,
        }
    }
}
