//! Moving dead letters back: which records a redrive takes, what of a queue is gone already, how far a task is, and how fast it may go.
//!
//! Pure as the rest of this crate. The broker's `dead_letters::redrive` reads queues and commits.

pub mod blob;
pub mod pace;
pub mod ranges;
pub mod records;
pub mod retry_topics;
pub mod selection;
pub mod task;

pub use blob::Blob;
pub use pace::Pace;
pub use ranges::RangeSet;
pub use records::{Kept, Verdict, verdict};
pub use selection::Selection;
pub use task::{Counts, Edit, Part, State, Task};
