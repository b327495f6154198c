//! Reading a partition for a fetch, through the gate of whom it belongs to.

use ottla_codec::response::Chunk;
use ottla_storage::{FileSlice, Partition, ReadError};

use super::gate::{self, Room};
use super::watch::{Key, Reader};
use crate::clock::wall_ms;
use crate::state::BrokerState;

/// What was read, to be noted when it is answered.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub(crate) struct Noted {
    pub key: Key,
    /// The offset that was asked for.
    pub first: i64,
    /// The offset after what was read.
    pub next: i64,
}

/// What a fetch reads of a partition.
#[derive(Default)]
pub(crate) struct Read {
    /// Whole batches, or such that were cut.
    pub chunks: Vec<Chunk<FileSlice>>,
    /// The offset after what was read; 0 if nothing was.
    pub next: i64,
    /// Set if an owner may have read it.
    pub noted: Option<Noted>,
    /// There is more, and it is withheld: waiting for more bytes would be in vain.
    pub cut: bool,
    /// When more of it may be read though nothing is written, milliseconds since the Unix epoch.
    pub due_ms: Option<i64>,
}

/// Reads from `offset` up to `end`. A gate's owner that gets nothing is told to the engine.
pub(crate) fn read(
    broker: &BrokerState,
    reader: &Reader,
    partition: &Partition,
    offset: i64,
    end: i64,
    room: Room,
) -> Result<Read, ReadError> {
    let delays = &broker.dead_letters.delays;
    if let Some(due) = delays.due(partition, offset, end, room, wall_ms)? {
        let mut read = if due.end > offset {
            read_gated(broker, reader, partition, offset, due.end, room)?
        } else {
            Read::default()
        };
        read.cut |= !read.chunks.is_empty();
        read.due_ms = Some(due.at_ms);
        return Ok(read);
    }
    read_gated(broker, reader, partition, offset, end, room)
}

fn read_gated(
    broker: &BrokerState,
    reader: &Reader,
    partition: &Partition,
    offset: i64,
    end: i64,
    room: Room,
) -> Result<Read, ReadError> {
    let watches = &broker.dead_letters.watches;
    let key = || (*partition.topic(), partition.index());
    if watches.any_gate()
        && let Some((owner, gate)) = watches.gated(&key(), reader, offset)
    {
        let read = gate::read(partition, &gate, offset, end, room)?;
        if let Some(at_log_end) = read.waits
            && owner.begins_to_wait(at_log_end)
        {
            broker
                .groups
                .waits_at_gate(&owner.group, &owner.at, at_log_end);
        }
        let any = !read.chunks.is_empty();
        return Ok(Read {
            noted: any.then(|| Noted {
                key: key(),
                first: offset,
                next: read.next,
            }),
            next: read.next,
            chunks: read.chunks,
            cut: any,
            due_ms: None,
        });
    }
    let slice = partition.read(offset, end, room.limit, room.first_whole)?;
    let noted = (watches.any() && !slice.chunks.is_empty()).then(|| Noted {
        key: key(),
        first: offset,
        next: slice.next,
    });
    Ok(Read {
        next: slice.next,
        chunks: slice.chunks,
        noted,
        cut: false,
        due_ms: None,
    })
}
