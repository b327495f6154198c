//! What happens in a session, and how a file has it: any bytes are a session.

/// Frames beyond this are cut: nobody learns from them.
const MAX_FRAME: usize = 32 << 10;
/// Events beyond this are left out.
const MAX_EVENTS: usize = 600;
/// The bit of a connection's number that says that its fetches wait as long as they ask for.
pub const PATIENT: u8 = 0x80;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request's frame, without its length.
    Request {
        /// The connection, of 16; with a bit for its fetches' patience.
        connection: u8,
        /// Header and body.
        frame: Vec<u8>,
    },
    /// So many milliseconds pass.
    Pass(u16),
    /// Work of the background, see `Simulated::work`.
    Work(u8),
    /// From here on nothing is written by itself (`true`), or everything at once again.
    Hold(bool),
    /// The broker ends, by a power cut (`true`) or killed, and is started again.
    End(bool),
    /// A connection is closed by its client.
    Close(u8),
    /// A connection of HTTP says this, and ends.
    Http(Vec<u8>),
}

/// The session that `data` says.
pub fn decode(mut data: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < MAX_EVENTS
        && let Some(event) = one(&mut data)
    {
        events.push(event);
    }
    events
}

fn one(data: &mut &[u8]) -> Option<Event> {
    Some(match byte(data)? % 7 {
        0 => Event::Request {
            connection: byte(data)?,
            frame: bytes(data)?,
        },
        1 => Event::Pass(number(data)?),
        2 => Event::Work(byte(data)? % 6),
        3 => Event::Hold(byte(data)? & 1 == 1),
        4 => Event::End(byte(data)? & 1 == 1),
        5 => Event::Close(byte(data)?),
        _ => Event::Http(bytes(data)?),
    })
}

fn byte(data: &mut &[u8]) -> Option<u8> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    Some(*first)
}

fn number(data: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes([byte(data)?, byte(data)?]))
}

fn bytes(data: &mut &[u8]) -> Option<Vec<u8>> {
    let len = usize::from(number(data)?).min(data.len()).min(MAX_FRAME);
    let (bytes, rest) = data.split_at(len);
    *data = rest;
    Some(bytes.to_vec())
}

/// The bytes that say `events`.
pub fn encode(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        match event {
            Event::Request { connection, frame } => {
                out.extend([0, *connection]);
                put(frame, &mut out);
            }
            Event::Pass(ms) => {
                out.push(1);
                out.extend(ms.to_le_bytes());
            }
            Event::Work(which) => out.extend([2, *which]),
            Event::Hold(on) => out.extend([3, u8::from(*on)]),
            Event::End(power) => out.extend([4, u8::from(*power)]),
            Event::Close(connection) => out.extend([5, *connection]),
            Event::Http(bytes) => {
                out.push(6);
                put(bytes, &mut out);
            }
        }
    }
    out
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(MAX_FRAME)];
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let events = vec![
            Event::Request {
                connection: 3,
                frame: vec![1, 2, 3],
            },
            Event::Pass(700),
            Event::Work(4),
            Event::Hold(true),
            Event::End(false),
            Event::Close(3),
            Event::Http(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ];
        assert_eq!(decode(&encode(&events)), events);
    }
}
