//! Whole sessions: requests of several clients to a broker on a simulated disk, with time, work of the background, ends and starts between
//! them. What must hold is in [`play`], how one session becomes another in [`mutate`].

mod acknowledged;
mod aliases;
mod compose;
pub mod disk;
mod event;
mod expected;
pub mod mutate;
mod play;
mod record;
mod vocabulary;

pub use aliases::{FETCH_SESSION, member_id, topic_id};
pub use event::{Event, decode, encode};
pub use play::{Played, play};
pub use record::Recorder;

/// Plays the session that `data` says.
pub fn target(data: &[u8]) {
    play(&decode(data));
}
