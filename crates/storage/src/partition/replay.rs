//! Recovery of one partition: appends from the journal, idempotently.

use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ottla_codec::batch::{self, BatchHeader, HEADER_LEN};
use ottla_codec::control::{self, Outcome};

use super::files::{SegmentFile, SegmentId};
use super::log::{Cached, Log};
use super::{LARGE_APPEND, Partition};
use crate::fs::OpenMode;
use crate::journal::format::{Body, Place};

impl Partition {
    /// Whether the bytes of an append are there that were not synced before the journal named them. Those that are, are written once more:
    /// after a sync that failed they may be in memory alone, and no other sync would bring them to the device.
    pub(crate) fn take_bytes(&self, place: &Place, headers: &Bytes) -> io::Result<bool> {
        if place.next_offset <= self.lock().end {
            return Ok(true);
        }
        let file = match self.file(SegmentId::appended(place.segment), SegmentFile::Log) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        };
        let mut position = place.position;
        let mut bytes = Vec::new();
        for header in headers.chunks(HEADER_LEN) {
            let size = BatchHeader::parse(header)
                .map_err(|e| damaged(e.to_string()))?
                .size;
            bytes.resize(size, 0);
            match file.read_exact_at(position, &mut bytes) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(e) => return Err(e),
            }
            if bytes[..HEADER_LEN] != *header || batch::check_crc(&bytes).is_err() {
                return Ok(false);
            }
            file.write_at(position, &[&bytes])?;
            position += size as u64;
        }
        Ok(true)
    }

    /// Does an append of the journal again: what the catalogue has of it already is left as it is.
    pub(crate) fn replay(&self, seq: u64, place: &Place, body: Body) -> io::Result<()> {
        let headers = match &body {
            Body::Inline(bytes) => headers_of(bytes)?,
            Body::Segment { headers, .. } => parse_headers(headers)?,
        };
        let mut log = self.lock();
        let state_end = log.state_end;
        for (header, marker) in headers.iter().zip(markers_of(&headers, &body)) {
            if header.base_offset >= state_end {
                log.state.appended(header, marker, place.now_ms);
            }
        }
        if log.state_end < place.next_offset {
            // The rows of a checkpoint that a crash cut short may differ in age: this one is written again.
            log.state_end = place.next_offset;
            // What the journal has is durable.
            log.state.durable(place.next_offset);
            self.note_undecided(&log);
            self.mark_dirty(&mut log);
        }
        if place.next_offset <= log.end {
            return Ok(());
        }
        if place.base_offset != log.end {
            return Err(damaged(format!(
                "the journal goes on at offset {} but partition {} of topic {} ends at {}",
                place.base_offset, self.index, self.topic, log.end
            )));
        }
        if log
            .segments
            .last()
            .is_none_or(|s| s.base_offset != place.segment)
        {
            log.open_segment(place.segment, place.now_ms);
        }
        if let Some(segment) = log.segments.last_mut().filter(|s| s.fresh) {
            // Large appends may be in it already: it is cut at the end of recovery instead of emptied.
            let log_file = self.path(SegmentId::appended(place.segment), SegmentFile::Log);
            segment.fresh = !self.core.fs.exists(&log_file)?;
        }
        let size = log.segments.last().map_or(0, |s| s.size);
        if size != place.position {
            return Err(damaged(format!(
                "the journal goes on at position {} of segment {} but its end is {size}",
                place.position, place.segment
            )));
        }
        match body {
            Body::Inline(bytes) => {
                let weight = bytes.len() + headers.len() * Cached::OVERHEAD;
                self.core.cached.fetch_add(weight, Ordering::Relaxed);
                self.core
                    .unflushed
                    .fetch_add(bytes.len(), Ordering::Relaxed);
                log.place(&headers, &bytes, false);
                log.set_seq(headers.len(), seq);
            }
            Body::Segment { len, .. } => {
                // Memory holds a gapless end of the log only.
                drop(log);
                self.restore_files()?;
                self.flush()?;
                self.evict(usize::MAX);
                log = self.lock();
                place_in_file(&mut log, &headers, len);
                log.note_seq(place.segment, seq);
            }
        }
        log.end = place.next_offset;
        self.mark_dirty(&mut log);
        drop(log);
        self.advance_high_watermark(place.next_offset);
        Ok(())
    }
}

fn place_in_file(log: &mut Log, headers: &[BatchHeader], len: u32) {
    debug_assert!(len as usize >= LARGE_APPEND);
    let interval = log.config.index_interval_bytes;
    let Some(segment) = log.segments.last_mut() else {
        return;
    };
    segment.fresh = false;
    for header in headers {
        segment.note(
            header.last_offset(),
            header.max_timestamp,
            header.size,
            interval,
        );
    }
}

/// Headers alone, one after the other.
fn parse_headers(bytes: &Bytes) -> io::Result<Vec<BatchHeader>> {
    bytes
        .chunks(HEADER_LEN)
        .map(|h| BatchHeader::parse(h).map_err(|e| damaged(e.to_string())))
        .collect()
}

fn headers_of(bytes: &Bytes) -> io::Result<Vec<BatchHeader>> {
    let mut headers = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).map_err(|e| damaged(e.to_string()))?;
        rest = rest
            .get(header.size..)
            .ok_or_else(|| damaged("a batch in the journal is cut short".to_owned()))?;
        headers.push(header);
    }
    Ok(headers)
}

/// What each batch says of a transaction. A marker is small: the journal has its bytes.
fn markers_of(headers: &[BatchHeader], body: &Body) -> Vec<Option<Outcome>> {
    let mut rest = match body {
        Body::Inline(bytes) => &bytes[..],
        Body::Segment { .. } => &[],
    };
    let mut next = |header: &BatchHeader| {
        let marker = control::outcome(header, rest);
        rest = rest.get(header.size..).unwrap_or_default();
        marker
    };
    headers.iter().map(&mut next).collect()
}

fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl Partition {
    /// Moves the log's start as the journal says. Segments go at the end: appends that follow may still name them.
    pub(crate) fn replay_start(&self, start: i64) {
        let mut log = self.lock();
        self.set_log_start(&mut log, start);
    }

    /// Makes the files anew that deleted records had, for replaying appends that come before the deletion.
    fn restore_files(&self) -> io::Result<()> {
        let mut segments: Vec<i64> = {
            let log = self.lock();
            let fresh = |base| {
                log.segments
                    .iter()
                    .any(|s| s.base_offset == base && s.fresh)
            };
            let waiting = log.ring.iter().filter(|c| !c.in_file).map(|c| c.segment);
            waiting.filter(|base| !fresh(*base)).collect()
        };
        segments.dedup();
        for base in segments {
            let path = self.path(SegmentId::appended(base), SegmentFile::Log);
            if !self.core.fs.exists(&path)? {
                self.core.fs.create_dir_all(&self.dir)?;
                self.core.fs.open(&path, OpenMode::Truncate)?;
            }
        }
        Ok(())
    }

    /// At the end of recovery, or for a partition just loaded: forgets segments whose records are all deleted, and removes what is left
    /// of their files. A crash came between the deletion, or its row, and the files.
    pub(crate) fn drop_deleted(&self) -> io::Result<()> {
        let mut dropped = std::mem::take(&mut self.lock().dropped);
        let start = self.log_start_offset();
        dropped.extend(self.drop_segments(start));
        {
            let mut log = self.lock();
            if log.start >= log.end && log.segments.last().is_some_and(|s| s.size > 0) {
                // Retention may have removed the active segment as well: the next append starts one at the end.
                let (segments, bytes, unflushed) = log.drop_all();
                self.forget_bytes(bytes, unflushed);
                dropped.extend(segments);
                self.mark_dirty(&mut log);
            }
        }
        dropped
            .into_iter()
            .try_for_each(|id| self.remove_files(id))?;
        self.restore_files()
    }
}
