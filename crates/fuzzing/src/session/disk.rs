//! A session over what somebody has damaged: a broker starts, or says that it cannot; then it answers, whatever it finds.

use ottla_broker::simulated::Change;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::event::{Event, decode};
use super::mutate;
use super::play::Player;
use crate::codec::split;

/// Damages at most.
const MOST: u8 = 16;

/// The bytes that say a damage.
const DAMAGE_LEN: usize = 5;

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

/// Another input of at most `max_len` bytes: other damages, or the session of [`mutate::mutate`] behind them.
pub fn mutate(data: &[u8], max_len: usize, seed: u32) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(u64::from(seed));
    let (damages, session) = parts(data);
    let mut damages: Vec<[u8; DAMAGE_LEN]> = damages.map(|damage| split(damage).0).collect();
    let session = match rng.random_bool(0.3) {
        true => mutate::mutate(session, max_len, rng.random()),
        false => session.to_vec(),
    };
    for _ in 0..rng.random_range(1..=3) {
        let at = rng.random_range(0..=damages.len());
        match rng.random_range(0..4) {
            0 if damages.len() < usize::from(MOST) => damages.insert(at, rng.random()),
            1 if at < damages.len() => drop(damages.remove(at)),
            _ if at < damages.len() => damages[at][rng.random_range(0..DAMAGE_LEN)] = rng.random(),
            _ => {}
        }
    }
    let mut new = vec![damages.len() as u8];
    new.extend(damages.concat());
    new.extend(session);
    new.truncate(max_len);
    new
}

/// The damages of an input, and the session.
fn parts(data: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let ([count], rest) = split(data);
    let len = usize::from(count % (MOST + 1)) * DAMAGE_LEN;
    let (damages, session) = rest.split_at(len.min(rest.len()));
    (damages.chunks(DAMAGE_LEN), session)
}

/// The first byte says how many damages there are, five bytes each say what they are; the rest is a session, which is played before and after.
pub fn target(data: &[u8]) {
    let (damages, session) = parts(data);
    let damages: Vec<Damage> = damages
        .map(|damage| {
            let ([w0, w1, a0, a1, with], _) = split(damage);
            Damage {
                which: u16::from_le_bytes([w0, w1]),
                at: u16::from_le_bytes([a0, a1]),
                with,
            }
        })
        .collect();
    let events: Vec<Event> = decode(session);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::event::encode;

    #[test]
    fn what_comes_out_has_damages_and_a_session_and_is_not_too_long() {
        let events = vec![Event::Work(1), Event::End(true), Event::Pass(10)];
        let mut data = vec![0];
        data.extend(encode(&events));
        let mut counts = std::collections::HashSet::new();
        for seed in 0..2000 {
            let next = mutate(&data, 200, seed);
            assert!(next.len() <= 200);
            let (damages, session) = parts(&next);
            counts.insert(damages.count());
            if next.len() < 200 {
                assert_eq!(encode(&decode(session)), session, "{seed}");
                data = next;
            }
        }
        assert!(counts.len() > 8, "{counts:?}");
    }
}
