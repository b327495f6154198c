//! A session over what somebody has damaged: a broker starts, or says that it cannot; then it answers, whatever it finds.

use ottla_broker::simulated::Change;

use super::event::{Event, decode};
use super::play::Player;
use crate::codec::split;

/// Damages at most.
const MOST: u8 = 16;

/// A change of a file or of a row.
#[derive(Debug, Clone, Copy)]
struct Damage {
    which: u16,
    at: u16,
    with: u8,
}

impl Damage {
    fn apply(self, content: &mut Vec<u8>) {
        let at = usize::from(self.at) % (content.len() + 1);
        match (self.with, content.get_mut(at)) {
            (0xff, _) => content.truncate(at),
            (0xfe, _) => content.extend_from_within(..at),
            (with, Some(byte)) if *byte != with => *byte = with,
            (_, Some(byte)) => *byte ^= 1,
            (with, None) => content.push(with),
        }
    }
}

/// The first byte says how many damages there are, five bytes each say what they are; the rest is a session, which is played before and after.
pub fn target(data: &[u8]) {
    let ([count], mut rest) = split(data);
    let mut damages = Vec::new();
    for _ in 0..count % (MOST + 1) {
        let ([w0, w1, a0, a1, with], more) = split(rest);
        rest = more;
        damages.push(Damage {
            which: u16::from_le_bytes([w0, w1]),
            at: u16::from_le_bytes([a0, a1]),
            with,
        });
    }
    let events: Vec<Event> = decode(rest);
    let mut player = Player::start();
    for event in &events {
        player.happen(event);
    }
    let changes: Vec<_> = damages
        .iter()
        .map(|damage| {
            let change = move |content: &mut Vec<u8>| damage.apply(content);
            (usize::from(damage.which), change)
        })
        .collect();
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|(which, change)| (*which, change as _))
        .collect();
    if !player.damage(&changes) {
        return;
    }
    for event in &events {
        player.happen(event);
    }
    player.leave();
}
