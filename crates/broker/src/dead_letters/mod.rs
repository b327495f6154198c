//! The executing part of dead letters: `ottla-dlq` decides, this does.

mod browse;
pub mod problem;
pub mod queues;
mod reading;
pub(crate) mod redrive;
mod retry;
pub mod views;

pub use ottla_dlq::redrive::{Blob, Edit, Selection};
pub use problem::{Kind, Problem};
pub use queues::Queues;
