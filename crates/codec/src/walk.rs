//! Walking over the records of a batch: of one that a producer sent, to see that what its header says is so, and of one in
//! the log, to find a record by its time. Unlike [`crate::records`] this copies and keeps nothing, since it is done to every batch: a compressed one is looked at while it
//! is inflated, a window at a time. So memory does not follow what a batch inflates to, nor the length of a record.

use std::cell::RefCell;
use std::ops::ControlFlow;

use crate::batch::{BatchError, BatchHeader, HEADER_LEN, TimestampType};
use crate::compression::{Compression, CompressionError, Inflate};
use crate::records::RecordError;
use crate::wire::{Reader, WireError};

mod window;

use window::{LongRecord, WHOLE, WINDOW, Window};

thread_local! {
    /// Of the batch that is looked at.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is seen of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Its offset, the batch's base offset taken off.
    pub offset_delta: i32,
    /// Whether it has a key.
    pub has_key: bool,
    /// Whether it has a value, or is a tombstone.
    pub has_value: bool,
    /// Milliseconds since the epoch, as the producer set it.
    pub timestamp: i64,
}

/// Checks every record of `batch` (header included, `header` being what it parses to) and shows each to `see`. Compressed records
/// may inflate to `limit` bytes. Refused are false counts, deltas that are not 0, 1, 2, ..., lengths that do not fit, and
/// bytes after the last record. What was shown before an error was found counts for nothing.
///
/// Takes 128 KiB for a compressed batch, and what its codec needs to look back at: up to 12 MiB, and more than that (never
/// more than `limit`) for one thread at a time, the others waiting their turn.
pub fn walk(
    header: &BatchHeader,
    batch: &[u8],
    limit: usize,
    mut see: impl FnMut(Seen),
) -> Result<(), RecordError> {
    let packed = batch.get(HEADER_LEN..header.size).unwrap_or_default();
    let look = Look {
        header,
        order: Dense,
        see: |seen| {
            see(seen);
            ControlFlow::Continue(())
        },
    };
    over(header, packed, limit, look)
}

/// Shows every record of `batch`, which is exactly one batch of a log, until `see` breaks off: what was not shown was not
/// checked. As [`walk`] otherwise, but that compaction may have taken records out, and that with LogAppendTime the timestamp
/// is the append's.
pub fn stored(
    batch: &[u8],
    limit: usize,
    mut see: impl FnMut(Seen) -> ControlFlow<()>,
) -> Result<(), RecordError> {
    let header = exactly_one(batch)?;
    let appended = header.timestamp_type() == TimestampType::LogAppendTime;
    let see = |mut seen: Seen| {
        if appended {
            seen.timestamp = header.max_timestamp;
        }
        see(seen)
    };
    let look = Look {
        header: &header,
        order: Increasing::of(&header),
        see,
    };
    over(&header, &batch[HEADER_LEN..], limit, look)
}

/// The header of `batch`, which must be one batch and nothing else.
pub(crate) fn exactly_one(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.size {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need: header.size,
        });
    }
    if batch.len() > header.size {
        return Err(BatchError::Invalid("bytes after the batch"));
    }
    Ok(header)
}

/// What is done with every record.
pub(crate) trait Visit {
    /// Reads the record at `index`, all of its `fields`.
    fn record(&mut self, index: usize, fields: impl Fields) -> Result<ControlFlow<()>, Fault>;
}

/// Checks a record's fields, and shows what `see` wants to know.
struct Look<'h, O, S> {
    header: &'h BatchHeader,
    order: O,
    see: S,
}

impl<O: Order, S: FnMut(Seen) -> ControlFlow<()>> Visit for Look<'_, O, S> {
    #[inline]
    fn record(&mut self, index: usize, fields: impl Fields) -> Result<ControlFlow<()>, Fault> {
        let seen = record(self.header, index, &mut self.order, fields, |_| {})?;
        Ok((self.see)(seen))
    }
}

/// Shows every record of the batch's body to `visit`.
pub(crate) fn over(
    header: &BatchHeader,
    packed: &[u8],
    limit: usize,
    visit: impl Visit,
) -> Result<(), RecordError> {
    match header.compression()? {
        Compression::None => plain(header, packed, visit),
        codec => BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(buffer.len().max(WINDOW), 0);
            let inflate = Inflate::new(codec, packed, limit)?;
            inflated(header, inflate, buffer, visit)
        }),
    }
}

const MORE_BYTES: &str = "bytes after the last record that the header counts";
const PAST_END: &str = "runs past the batch's end";

/// Walks over records that are all there.
fn plain(header: &BatchHeader, body: &[u8], mut visit: impl Visit) -> Result<(), RecordError> {
    let mut reader = Reader::new(body);
    let count = usize::try_from(header.record_count).unwrap_or(0);
    for index in 0..count {
        let len = length(&mut reader).map_err(|fault| fault.at(index))?;
        let bytes = reader
            .take(len)
            .map_err(|_| Fault::Record(PAST_END).at(index))?;
        let visited = visit.record(index, Reader::new(bytes));
        if visited.map_err(|fault| fault.at(index))?.is_break() {
            return Ok(());
        }
    }
    match reader.remaining() {
        0 => Ok(()),
        _ => Err(Fault::Record(MORE_BYTES).at(count)),
    }
}

/// Walks over records as they are inflated.
fn inflated(
    header: &BatchHeader,
    inflate: Inflate<'_>,
    buffer: &mut Vec<u8>,
    mut visit: impl Visit,
) -> Result<(), RecordError> {
    let mut window = Window {
        inflate,
        buffer,
        start: 0,
        end: 0,
    };
    let count = usize::try_from(header.record_count).unwrap_or(0);
    for index in 0..count {
        let visited = next(index, &mut visit, &mut window);
        if visited.map_err(|fault| fault.at(index))?.is_break() {
            return Ok(());
        }
    }
    // Also where the codec sees that its end is not sound.
    match window.unread().is_empty() && !window.fill()? {
        true => Ok(()),
        false => Err(Fault::Record(MORE_BYTES).at(count)),
    }
}

fn next(
    index: usize,
    visit: &mut impl Visit,
    window: &mut Window<'_, '_>,
) -> Result<ControlFlow<()>, Fault> {
    loop {
        let mut reader = Reader::new(window.unread());
        let len = length(&mut reader);
        let (begin, have) = (reader.position(), reader.remaining());
        match len {
            Ok(len) if len <= have => {
                let bytes = &window.unread()[begin..begin + len];
                let visited = visit.record(index, Reader::new(bytes))?;
                window.pass(begin + len);
                return Ok(visited);
            }
            Ok(len) if len > WHOLE => {
                window.pass(begin);
                let fields = LongRecord { window, left: len };
                return visit.record(index, fields);
            }
            // Cut off by the window's end, or by the batch's.
            Ok(_) | Err(_) if have < WHOLE && window.fill()? => {}
            Ok(_) => return Err(Fault::Record(PAST_END)),
            Err(fault) => return Err(fault),
        }
    }
}

/// A record's length, which is before it.
#[inline]
fn length(reader: &mut Reader<'_>) -> Result<usize, Fault> {
    let len = reader
        .varint()
        .map_err(|_| Fault::Record("length is malformed"))?;
    usize::try_from(len).map_err(|_| Fault::Record("length is negative"))
}

/// What is wrong, the record's index left to be said.
pub(crate) enum Fault {
    Compression(CompressionError),
    Record(&'static str),
}

impl Fault {
    fn at(self, index: usize) -> RecordError {
        match self {
            Fault::Compression(e) => RecordError::Compression(e),
            Fault::Record(reason) => RecordError::Malformed { index, reason },
        }
    }
}

impl From<CompressionError> for Fault {
    fn from(e: CompressionError) -> Fault {
        Fault::Compression(e)
    }
}

impl From<WireError> for Fault {
    fn from(_: WireError) -> Fault {
        Fault::Record("fields run past its end")
    }
}

/// The bytes of one record, read from its front.
pub(crate) trait Fields {
    fn u8(&mut self) -> Result<u8, Fault>;
    fn varint(&mut self) -> Result<i32, Fault>;
    fn varlong(&mut self) -> Result<i64, Fault>;
    /// Gives the next `len` bytes in one piece or several.
    fn feed(&mut self, len: usize, take: impl FnMut(&[u8])) -> Result<(), Fault>;
    fn remaining(&self) -> usize;
}

impl Fields for Reader<'_> {
    #[inline]
    fn u8(&mut self) -> Result<u8, Fault> {
        Ok(Reader::u8(self)?)
    }

    #[inline]
    fn varint(&mut self) -> Result<i32, Fault> {
        Ok(Reader::varint(self)?)
    }

    #[inline]
    fn varlong(&mut self) -> Result<i64, Fault> {
        Ok(Reader::varlong(self)?)
    }

    #[inline]
    fn feed(&mut self, len: usize, mut take: impl FnMut(&[u8])) -> Result<(), Fault> {
        take(self.take(len)?);
        Ok(())
    }

    #[inline]
    fn remaining(&self) -> usize {
        Reader::remaining(self)
    }
}

/// Which offsets records may have.
pub(crate) trait Order {
    fn check(&mut self, index: usize, offset_delta: i32) -> Result<(), Fault>;
}

/// As a producer numbers them.
struct Dense;

impl Order for Dense {
    #[inline]
    fn check(&mut self, index: usize, offset_delta: i32) -> Result<(), Fault> {
        match usize::try_from(offset_delta) == Ok(index) {
            true => Ok(()),
            false => Err(Fault::Record("offset deltas are not consecutive")),
        }
    }
}

/// As compaction leaves them.
pub(crate) struct Increasing {
    /// The least that the next record may have.
    next: i64,
    /// The most that the last may.
    last: i32,
}

impl Increasing {
    pub fn of(header: &BatchHeader) -> Increasing {
        Increasing {
            next: 0,
            last: header.last_offset_delta,
        }
    }
}

impl Order for Increasing {
    fn check(&mut self, _: usize, offset_delta: i32) -> Result<(), Fault> {
        let delta = i64::from(offset_delta);
        if delta < 0 || offset_delta > self.last {
            return Err(Fault::Record("offset delta is outside the batch"));
        }
        if delta < self.next {
            return Err(Fault::Record("offset deltas do not increase"));
        }
        self.next = delta + 1;
        Ok(())
    }
}

/// Reads and checks a record's fields; `key` gets the key's bytes, in one piece or several.
#[inline]
pub(crate) fn record(
    header: &BatchHeader,
    index: usize,
    order: &mut impl Order,
    mut fields: impl Fields,
    key: impl FnMut(&[u8]),
) -> Result<Seen, Fault> {
    fields.u8()?; // attributes, unused so far
    let delta = fields.varlong()?;
    let timestamp = header
        .base_timestamp
        .checked_add(delta)
        .ok_or(Fault::Record("timestamp overflows"))?;
    let offset_delta = fields.varint()?;
    order.check(index, offset_delta)?;
    let has_key = nullable(&mut fields, key)?;
    let has_value = nullable(&mut fields, |_| {})?;
    let headers = fields.varint()?;
    let headers =
        usize::try_from(headers).map_err(|_| Fault::Record("header count is negative"))?;
    // A header is at least two lengths.
    if headers > fields.remaining() / 2 {
        return Err(Fault::Record("more headers than it can hold"));
    }
    for _ in 0..headers {
        if !nullable(&mut fields, |_| {})? {
            return Err(Fault::Record("header key is null"));
        }
        nullable(&mut fields, |_| {})?;
    }
    if fields.remaining() > 0 {
        return Err(Fault::Record("bytes after its last field"));
    }
    Ok(Seen {
        index,
        offset_delta,
        has_key,
        has_value,
        timestamp,
    })
}

/// Passes over bytes with a varint length; false for null (-1).
#[inline]
fn nullable(fields: &mut impl Fields, take: impl FnMut(&[u8])) -> Result<bool, Fault> {
    let len = fields.varint()?;
    if len == -1 {
        return Ok(false);
    }
    let len = usize::try_from(len).map_err(|_| Fault::Record("negative length of a field"))?;
    fields.feed(len, take)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
