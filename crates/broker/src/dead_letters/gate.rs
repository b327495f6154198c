//! What a gate lets through: the records that the owner of a partition is served while others are withheld from it.

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::BatchHeader;
use ottla_codec::cut::cut;
use ottla_codec::records::iterate;
use ottla_codec::response::Chunk;
use ottla_dlq::event::{Gate, Serve};
use ottla_storage::{FileSlice, Partition, ReadError};

use crate::produce_check::INFLATED_MAX;

/// What a gated fetch is answered with.
#[derive(Debug, Default)]
pub(crate) struct Gated {
    /// Records, if there are any for it.
    pub chunks: Vec<Chunk<FileSlice>>,
    /// The offset after them.
    pub next: i64,
    /// It waits at its gate; whether because the log ends there.
    pub waits: Option<bool>,
}

/// How much may be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Bytes.
    pub limit: usize,
    /// The first batch comes whole, however large.
    pub first_whole: bool,
}

/// Reads from `offset` up to `end` what `gate` lets through.
pub(crate) fn read(
    partition: &Partition,
    gate: &Gate,
    offset: i64,
    end: i64,
    room: Room,
) -> Result<Gated, ReadError> {
    let until = match gate.serve {
        Serve::Nothing => return Ok(Gated::default()),
        Serve::Until(until) => until,
        Serve::All => i64::MAX,
    };
    let waits = |at_log_end| Gated {
        waits: (until != i64::MAX).then_some(at_log_end),
        ..Gated::default()
    };
    if offset >= until {
        return Ok(waits(false));
    }
    let mut position = offset;
    loop {
        if let Some(skip) = gate.skip
            && (skip.from..skip.until).contains(&position)
        {
            position = skip.until;
        }
        let stop = match gate.skip {
            Some(skip) if position < skip.from => skip.from.min(until),
            _ => until,
        };
        if position < stop {
            match window(partition, position, stop, end, room)? {
                Window::Records(chunks, next) => {
                    return Ok(Gated {
                        chunks,
                        next,
                        waits: None,
                    });
                }
                Window::NoRoom => return Ok(Gated::default()),
                Window::LogEnds => return Ok(waits(true)),
                Window::Empty => {}
            }
        }
        if stop < until {
            position = stop;
            continue;
        }
        // None before the window's end, though the owner is: the next one alone, so that it gets on.
        return match alone(partition, position.max(until), end, room)? {
            Window::Records(chunks, next) => Ok(Gated {
                chunks,
                next,
                waits: None,
            }),
            Window::NoRoom => Ok(Gated::default()),
            Window::LogEnds | Window::Empty => Ok(waits(true)),
        };
    }
}

enum Window {
    Records(Vec<Chunk<FileSlice>>, i64),
    /// The log goes on behind it, and there is none in it.
    Empty,
    /// There is none, and the log ends before the window does.
    LogEnds,
    /// The answer is full.
    NoRoom,
}

/// Records from `from` on and before `until`.
fn window(
    partition: &Partition,
    from: i64,
    until: i64,
    end: i64,
    room: Room,
) -> Result<Window, ReadError> {
    let mut at = from;
    while at < end {
        if at >= until {
            return Ok(Window::Empty);
        }
        let slice = partition.read(at, end, room.limit, room.first_whole)?;
        if slice.chunks.is_empty() {
            // Or compaction left nothing up to the end.
            return Ok(match room.first_whole {
                true => Window::LogEnds,
                false => Window::NoRoom,
            });
        }
        let mut kept = Vec::new();
        let mut next = at;
        for batch in batches(&slice.chunks)? {
            let header = header(&batch, at)?;
            if header.base_offset >= until {
                break;
            }
            next = header.next_offset().min(until);
            let cut = cut(batch, from, until, INFLATED_MAX).map_err(|e| corrupt(at, &e))?;
            kept.extend(cut.map(Chunk::Bytes));
        }
        if !kept.is_empty() {
            return Ok(Window::Records(kept, next));
        }
        if next == at {
            // The first batch begins behind the window.
            return Ok(Window::Empty);
        }
        at = next;
    }
    Ok(if at >= until {
        Window::Empty
    } else {
        Window::LogEnds
    })
}

/// The first record from `from` on, alone.
fn alone(partition: &Partition, from: i64, end: i64, room: Room) -> Result<Window, ReadError> {
    let mut at = from;
    while at < end {
        let slice = partition.read(at, end, room.limit, room.first_whole)?;
        if slice.chunks.is_empty() {
            // Or compaction left nothing up to the end.
            return Ok(match room.first_whole {
                true => Window::LogEnds,
                false => Window::NoRoom,
            });
        }
        for batch in batches(&slice.chunks)? {
            let header = header(&batch, at)?;
            at = header.next_offset();
            for record in iterate(batch.clone(), INFLATED_MAX).map_err(|e| corrupt(at, &e))? {
                let offset = record.map_err(|e| corrupt(at, &e))?.offset;
                if offset < from {
                    continue;
                }
                let one = cut(batch, offset, offset + 1, INFLATED_MAX);
                let one = one.map_err(|e| corrupt(offset, &e))?;
                let chunks = one.into_iter().map(Chunk::Bytes).collect();
                return Ok(Window::Records(chunks, offset + 1));
            }
        }
    }
    Ok(Window::LogEnds)
}

/// The batches of a read, each in memory.
pub(crate) fn batches(chunks: &[Chunk<FileSlice>]) -> Result<Vec<Bytes>, ReadError> {
    let io = |e: std::io::Error| ReadError::Io(e.to_string());
    let mut batches = Vec::new();
    for chunk in chunks {
        let mut bytes = match chunk {
            Chunk::Bytes(bytes) => bytes.clone(),
            Chunk::File {
                file,
                position,
                len,
            } => {
                let mut buf = BytesMut::zeroed(*len);
                file.read_at(*position, &mut buf).map_err(io)?;
                buf.freeze()
            }
        };
        while !bytes.is_empty() {
            let size = header(&bytes, 0)?.size;
            if size > bytes.len() {
                return Err(corrupt(0, &"a batch runs past what was read"));
            }
            batches.push(bytes.split_to(size));
        }
    }
    Ok(batches)
}

fn header(batch: &[u8], at: i64) -> Result<BatchHeader, ReadError> {
    BatchHeader::parse(batch).map_err(|e| corrupt(at, &e))
}

pub(crate) fn corrupt(offset: i64, reason: &dyn std::fmt::Display) -> ReadError {
    ReadError::Corrupt {
        offset,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
