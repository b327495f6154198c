//! One session made from another: events come, go, and change places; requests get other fields, other versions and other elements; batches
//! other headers. Most of what comes out can be read, so that handlers see it.

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Request};
use ottla_codec::api::{Api, ForRequest};
use ottla_codec::batch::{self, BatchHeader, HEADER_LEN};
use ottla_codec::header::{RequestHeader, request_header_version};
use ottla_codec::places::{self, Holds, Place};
use ottla_codec::request;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::compose;
use super::event::{Event, PATIENT, decode, encode};
use super::vocabulary::{self, Vocabulary};

/// A changed session, of at most `max_len` bytes.
pub fn mutate(data: &[u8], max_len: usize, seed: u32) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(u64::from(seed));
    let mut events = decode(data);
    for _ in 0..rng.random_range(1..=4) {
        change(&mut events, &mut rng);
    }
    shorten(events, max_len, &mut rng)
}

/// A session of parts of two, of at most `max_len` bytes.
pub fn cross(first: &[u8], second: &[u8], max_len: usize, seed: u32) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(u64::from(seed));
    let mut events = decode(first);
    let other = decode(second);
    let from = rng.random_range(0..=other.len());
    let part = &other[from..other.len().min(from + rng.random_range(1..40))];
    let at = rng.random_range(0..=events.len());
    match rng.random_bool(0.5) {
        true => drop(events.splice(at..at, part.iter().cloned())),
        // Side by side: one of each in turn.
        false => {
            let rest = events.split_off(at);
            let mut part = part.iter();
            for event in rest {
                events.push(event);
                events.extend(part.next().cloned());
            }
            events.extend(part.cloned());
        }
    }
    shorten(events, max_len, &mut rng)
}

fn shorten(mut events: Vec<Event>, max_len: usize, rng: &mut StdRng) -> Vec<u8> {
    loop {
        let bytes = encode(&events);
        if bytes.len() <= max_len {
            return bytes;
        }
        let at = rng.random_range(0..events.len());
        events.remove(at);
    }
}

fn change(events: &mut Vec<Event>, rng: &mut StdRng) {
    let at = rng.random_range(0..=events.len());
    match rng.random_range(0..100) {
        0..8 => events.insert(at, happening(rng)),
        25..37 => {
            let vocabulary = Vocabulary::of(events, rng);
            let new = match rng.random_bool(0.8) {
                true => compose::requests(&vocabulary, rng),
                false => vec![compose::http(&vocabulary, rng)],
            };
            // Later on there is more to speak of.
            let at = at.max(rng.random_range(0..=events.len()));
            events.splice(at..at, new);
        }
        8..14 if at < events.len() => {
            let len = rng.random_range(1..=8).min(events.len() - at);
            events.drain(at..at + len);
        }
        14..20 if at < events.len() => {
            let len = rng.random_range(1..=6).min(events.len() - at);
            let copy = events[at..at + len].to_vec();
            let to = rng.random_range(0..=events.len());
            events.splice(to..to, copy);
        }
        20..25 if at < events.len() => {
            let other = rng.random_range(0..events.len());
            events.swap(at, other);
        }
        _ => request_of(events, rng),
    }
}

fn happening(rng: &mut StdRng) -> Event {
    match rng.random_range(0..10) {
        0..3 => Event::Pass(
            *[1, 10, 100, 3_000, 10_000, 46_000, 65_000]
                .choose(rng)
                .unwrap_or(&1),
        ),
        3..6 => Event::Work(rng.random_range(0..6)),
        6..8 => Event::Hold(rng.random()),
        8 => Event::End(rng.random()),
        _ => Event::Close(rng.random_range(0..16)),
    }
}

/// Changes a request.
fn request_of(events: &mut [Event], rng: &mut StdRng) {
    let vocabulary = Vocabulary::of(events, rng);
    let mut requests: Vec<(&mut u8, &mut Vec<u8>)> = events
        .iter_mut()
        .filter_map(|event| match event {
            Event::Request { connection, frame } => Some((connection, frame)),
            _ => None,
        })
        .collect();
    if requests.is_empty() {
        return;
    }
    let at = rng.random_range(0..requests.len());
    let (connection, frame) = &mut requests[at];
    match rng.random_range(0..20) {
        0 => **connection ^= *[1, 2, 4, PATIENT].choose(rng).unwrap_or(&1),
        1 => flip(frame, rng),
        2..4 => other_version(frame, rng),
        4..8 if !batches(frame).is_empty() => other_batch(frame, rng),
        _ => other_field(frame, &vocabulary, rng),
    }
    if rng.random_bool(0.95) {
        put_right(frame);
    }
}

fn flip(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..4) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        _ => bytes.insert(at, rng.random()),
    }
}

/// A request that can be read.
pub(super) struct Read {
    pub api: Api,
    pub header: RequestHeader,
    /// Where the body begins.
    pub head: usize,
}

pub(super) fn read(frame: &[u8]) -> Option<Read> {
    let mut body = BytesMut::from(frame);
    let header = RequestHeader::decode_mut(&mut body).ok()?;
    let api = Api::from_key(header.api_key)?;
    Some(Read {
        api,
        head: frame.len() - body.len(),
        header,
    })
}

/// Says the same in another version, as far as that has the fields.
fn other_version(frame: &mut Vec<u8>, rng: &mut StdRng) {
    struct Recode<'a> {
        api: Api,
        from: i16,
        to: i16,
        body: &'a [u8],
    }
    impl ForRequest for Recode<'_> {
        type Output = Option<Vec<u8>>;
        fn run<R: Request + Decodable + Encodable>(self) -> Option<Vec<u8>> {
            let body = bytes::Bytes::copy_from_slice(self.body);
            let request = request::decode::<R>(self.api, self.from, body).ok()?;
            let mut out = Vec::new();
            request::encode(self.to, &request, &mut out).ok()?;
            Some(out)
        }
    }
    let Some(Read { api, header, head }) = read(frame) else {
        return;
    };
    let to = rng.random_range(api.versions());
    let recoded = api.with_request(Recode {
        api,
        from: header.version,
        to,
        body: &frame[head..],
    });
    let body = match recoded {
        Some(body) => body,
        // Its bytes under another number.
        None => frame[head..].to_vec(),
    };
    let mut out = Vec::new();
    out.put_i16(header.api_key);
    out.put_i16(to);
    out.put_i32(header.correlation_id);
    let header_version = request_header_version(api, to);
    if header_version >= 1 {
        match &header.client_id {
            None => out.put_i16(-1),
            Some(id) => {
                out.put_i16(id.len() as i16);
                out.put_slice(id.as_bytes());
            }
        }
    }
    if header_version >= 2 {
        out.put_u8(0);
    }
    out.extend(body);
    *frame = out;
}

fn other_field(frame: &mut Vec<u8>, vocabulary: &Vocabulary, rng: &mut StdRng) {
    let Some(Read { api, header, head }) = read(frame) else {
        return flip(frame, rng);
    };
    let version = header.version;
    let found = places::places(api, version, &frame[head..]).unwrap_or_default();
    let Some(place) = found.choose(rng) else {
        return flip(frame, rng);
    };
    let body = &frame[head..];
    let value = match &place.holds {
        Holds::Number => {
            let mut value = body[place.whole.clone()].to_vec();
            match rng.random_bool(0.3) {
                true => vocabulary.number(place.name, &mut value, rng),
                false => value = number(&value, rng),
            }
            value
        }
        Holds::Text(at) | Holds::Bytes(at) => {
            let new = words(&body[*at..place.whole.end], place, vocabulary, rng);
            let mut value = Vec::new();
            places::put_length(api, version, &place.holds, new.len(), &mut value);
            value.extend(new);
            value
        }
        Holds::Array(elements) => {
            let mut kept: Vec<&[u8]> = elements.iter().map(|e| &body[e.clone()]).collect();
            let at = rng.random_range(0..=kept.len());
            match rng.random_range(0..3) {
                0 if at < kept.len() => drop(kept.remove(at)),
                1 if at < kept.len() => {
                    let copies = *[1, 1, 1, 2, 20].choose(rng).unwrap_or(&1);
                    for _ in 0..copies {
                        kept.insert(at, kept[at]);
                    }
                }
                _ => kept.reverse(),
            }
            let mut value = Vec::new();
            places::put_length(api, version, &place.holds, kept.len(), &mut value);
            kept.into_iter().for_each(|e| value.extend(e));
            value
        }
    };
    let Place { whole, .. } = place;
    frame.splice(head + whole.start..head + whole.end, value);
}

fn number(old: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut wide = [0; 8];
    if old.len() > 8 {
        // A UUID.
        return match rng.random_bool(0.5) {
            true => vec![0; old.len()],
            false => old.iter().map(|_| rng.random()).collect(),
        };
    }
    wide[8 - old.len()..].copy_from_slice(old);
    let now = i64::from_be_bytes(wide);
    let bits = 8 * old.len() as u32;
    let mut value = vec![0; old.len()];
    let new = match rng.random_range(0..4) {
        0 => now.wrapping_add(rng.random_range(-2..=2)),
        1 => now ^ (1 << rng.random_range(0..bits)),
        _ => *vocabulary::NUMBERS.choose(rng).unwrap_or(&0),
    };
    vocabulary::put_number(new, &mut value);
    value
}

/// Another text, or other bytes: often those of another request.
fn words(old: &[u8], place: &Place, vocabulary: &Vocabulary, rng: &mut StdRng) -> Vec<u8> {
    match (rng.random_range(0..8), &place.holds) {
        (0, _) => {
            let mut new = old.to_vec();
            flip(&mut new, rng);
            new
        }
        (1, _) if old.len() < 4096 => old.repeat(2),
        (_, Holds::Text(_)) => vocabulary.text(place.name, rng),
        (2..4, _) if place.name == "records" => compose::batch(rng).to_vec(),
        _ => vocabulary
            .bytes(place.name, rng)
            .unwrap_or_else(|| old.to_vec()),
    }
}

/// The places of batches in a produce request.
fn batches(frame: &[u8]) -> Vec<std::ops::Range<usize>> {
    let Some(Read { api, header, head }) = read(frame) else {
        return Vec::new();
    };
    if api != Api::Produce {
        return Vec::new();
    }
    let found = places::places(api, header.version, &frame[head..]).unwrap_or_default();
    let of = |place: &Place| match place.holds {
        Holds::Bytes(at) => Some(head + at..head + place.whole.end),
        _ => None,
    };
    let long = |range: &std::ops::Range<usize>| range.len() >= HEADER_LEN;
    found.iter().filter_map(of).filter(long).collect()
}

/// Another field in the header of a batch, or another byte of its records.
fn other_batch(frame: &mut [u8], rng: &mut StdRng) {
    /// Attributes, last offset delta, both timestamps, producer id, epoch, base sequence, count: where and how long.
    const FIELDS: &[(usize, usize)] = &[
        (21, 2),
        (23, 4),
        (27, 8),
        (35, 8),
        (43, 8),
        (51, 2),
        (53, 4),
        (57, 4),
    ];
    let all = batches(frame);
    let Some(range) = all.choose(rng) else {
        return;
    };
    let batch = &mut frame[range.clone()];
    if rng.random_bool(0.3) && batch.len() > HEADER_LEN {
        let at = rng.random_range(HEADER_LEN..batch.len());
        batch[at] = rng.random();
        return;
    }
    let (at, len) = *FIELDS.choose(rng).unwrap_or(&(21, 2));
    let new = number(&batch[at..at + len], rng);
    batch[at..at + len].copy_from_slice(&new);
}

/// Puts the CRCs of batches right.
fn put_right(frame: &mut [u8]) {
    for range in batches(frame) {
        let bytes = &mut frame[range];
        if let Ok(header) = BatchHeader::parse(bytes)
            && header.size <= bytes.len()
        {
            batch::seal(&mut bytes[..header.size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_a_session_and_not_too_long() {
        let metadata = [0, 3, 0, 1, 0, 0, 0, 7, 0, 1, b'c', 0, 0, 0, 1, 0, 1, b't'];
        let mut data = encode(&vec![
            Event::Request {
                connection: 0,
                frame: metadata.to_vec(),
            };
            4
        ]);
        let mut changed = 0;
        for seed in 0..2000 {
            let next = mutate(&data, 300, seed);
            assert!(next.len() <= 300);
            assert_eq!(encode(&decode(&next)), next);
            changed += usize::from(next != data);
            let crossed = cross(&data, &next, 300, seed);
            assert!(crossed.len() <= 300);
            if !next.is_empty() {
                data = next;
            }
        }
        assert!(changed > 500, "{changed}");
    }
}
