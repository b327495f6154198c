//! Walking over the batch headers of a segment file, a window at a time.

use std::io;

use ottla_codec::batch::HEADER_LEN;

use crate::fs::File;

/// Headers of small batches are read many at a time.
const WINDOW: usize = 8 << 10;

/// The place of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchAt {
    pub base_offset: i64,
    pub next_offset: i64,
    pub position: u64,
    pub size: u64,
    pub max_timestamp: i64,
}

impl BatchAt {
    pub fn end(&self) -> u64 {
        self.position + self.size
    }
}

pub(crate) struct Walk<'a> {
    file: &'a dyn File,
    position: u64,
    limit: u64,
    window: Vec<u8>,
    window_at: u64,
    /// No batch starts before the end of the one in front of it.
    next_offset: i64,
}

impl<'a> Walk<'a> {
    /// Walks from the batch at `position` up to `limit`, the end of the segment.
    pub fn new(file: &'a dyn File, position: u64, limit: u64) -> Walk<'a> {
        Walk {
            file,
            position,
            limit,
            window: Vec::new(),
            window_at: 0,
            next_offset: 0,
        }
    }

    /// The next batch, or `None` at the limit. What does not look like a batch is an error of kind `InvalidData`.
    pub fn next(&mut self) -> io::Result<Option<BatchAt>> {
        if self.position >= self.limit {
            return Ok(None);
        }
        let in_window = self
            .position
            .checked_sub(self.window_at)
            .map(|n| n as usize);
        let start = match in_window {
            Some(start) if start + HEADER_LEN <= self.window.len() => start,
            _ => {
                let len = (self.limit - self.position).min(WINDOW as u64) as usize;
                self.window.resize(len, 0);
                self.file.read_exact_at(self.position, &mut self.window)?;
                self.window_at = self.position;
                0
            }
        };
        let batch = self
            .window
            .get(start..start + HEADER_LEN)
            .and_then(|h| parse(h, self.position, self.limit))
            .filter(|batch| batch.base_offset >= self.next_offset)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("no record batch at position {}", self.position),
                )
            })?;
        self.position = batch.end();
        self.next_offset = batch.next_offset;
        Ok(Some(batch))
    }
}

fn parse(h: &[u8], position: u64, limit: u64) -> Option<BatchAt> {
    let i64_at = |at: usize| Some(i64::from_be_bytes(h.get(at..at + 8)?.try_into().ok()?));
    let i32_at = |at: usize| Some(i32::from_be_bytes(h.get(at..at + 4)?.try_into().ok()?));
    let base_offset = i64_at(0)?;
    let size = u64::try_from(i32_at(8)?).ok()? + 12;
    let delta = i32_at(23)?;
    let sound = h[16] == 2
        && size >= HEADER_LEN as u64
        && position + size <= limit
        && delta >= 0
        && (0..i64::MAX - i64::from(i32::MAX)).contains(&base_offset);
    sound.then_some(BatchAt {
        base_offset,
        next_offset: base_offset + i64::from(delta) + 1,
        position,
        size,
        max_timestamp: i64_at(35)?,
    })
}
