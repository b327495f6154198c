//! Telling damage of the journal from the end of what was written.
//!
//! A crash leaves a beginning of the journal: what a later group follows was synced before that group was written, and the notes in the
//! header pages say where a file ended, and how long it was made. What contradicts that was lost after it had been kept.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{self, HEADER_LEN, JournalOp, RECORD_HEADER_LEN};
use crate::fs::File;
use crate::topic::TopicId;

/// Commits that were kept and cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct JournalDamage {
    /// The damaged file, or the directory where one is missing.
    pub path: PathBuf,
    /// Where the first record is that cannot be read, in bytes; 0 if a whole file is missing.
    pub position: u64,
    /// The last commit before it.
    pub after: u64,
    /// A commit that was kept, the last that is known of; `after` if none is.
    pub until: u64,
    /// What gives it away.
    pub reason: &'static str,
    /// The offsets behind the last appends that are still found behind it, by partition.
    pub ends: BTreeMap<(TopicId, i32), i64>,
}

impl fmt::Display for JournalDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            position,
            after,
            until,
            reason,
            ..
        } = self;
        write!(f, "{} at byte {position}: {reason}; ", path.display())?;
        let first = after + 1;
        if *until > first {
            write!(f, "commits from {first} on, to {until} at least, were kept")
        } else {
            write!(f, "commits from {first} on may have been kept")
        }
    }
}

/// More commits than could ever wait at once.
pub(super) const MAX_GAP: u64 = 1 << 24;

/// Whether a record with this number may follow one with the number `before`. Numbers of commits that were refused for want of space are
/// missing; they never go back.
pub(super) fn may_follow(seq: u64, before: u64) -> bool {
    seq > before && seq - before < MAX_GAP
}

/// A record that was found by its checksum, wherever the one before it ends.
pub(super) struct Found {
    pub position: u64,
    pub seq: u64,
    pub payload: Vec<u8>,
}

/// Looks for whole records behind a place where there is none.
pub(super) struct Search<'a> {
    file: &'a dyn File,
    len: u64,
    id: u64,
    /// Bytes whose checksum may still be computed: what clients wrote in an earlier life of the file must not make a start slow.
    budget: u64,
}

impl<'a> Search<'a> {
    const BLOCK: usize = 256 << 10;

    pub fn new(file: &'a dyn File, id: u64) -> io::Result<Search<'a>> {
        let len = file.len()?;
        Ok(Search {
            file,
            len,
            id,
            budget: 4 * len,
        })
    }

    /// The next record from `from` on whose number may follow `before`; only one that begins a group if `synced` says so: all that comes
    /// before such a record was kept.
    pub fn next(&mut self, from: u64, before: u64, synced: bool) -> io::Result<Option<Found>> {
        let mut block = Vec::new();
        let mut at = from.max(HEADER_LEN);
        while at + (RECORD_HEADER_LEN as u64) < self.len {
            let want = (Self::BLOCK + RECORD_HEADER_LEN).min((self.len - at) as usize);
            block.resize(want, 0);
            self.file.read_exact_at(at, &mut block)?;
            let starts = want - RECORD_HEADER_LEN + 1;
            if block.iter().any(|b| *b != 0) {
                for i in 0..starts {
                    let seq = u64::from_le_bytes(block[i + 8..i + 16].try_into().expect("8 bytes"));
                    if may_follow(seq, before)
                        && let Some(payload) = self.record(at + i as u64, synced)?
                    {
                        let position = at + i as u64;
                        return Ok(Some(Found {
                            position,
                            seq,
                            payload,
                        }));
                    }
                }
            }
            at += starts as u64;
        }
        Ok(None)
    }

    fn record(&mut self, position: u64, synced: bool) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; RECORD_HEADER_LEN + 1];
        if position + head.len() as u64 > self.len {
            return Ok(None);
        }
        self.file.read_exact_at(position, &mut head)?;
        let payload = u64::from(u32::from_le_bytes(head[4..8].try_into().expect("4 bytes")));
        let whole = RECORD_HEADER_LEN as u64 + payload;
        let group = format::begins_synced_group(&head[RECORD_HEADER_LEN..]);
        if position + whole > self.len || whole > self.budget || synced && !group {
            return Ok(None);
        }
        self.budget -= whole;
        let mut bytes = vec![0; whole as usize];
        self.file.read_exact_at(position, &mut bytes)?;
        let found = format::decode_record(&bytes, self.id);
        Ok(found.map(|(_, payload, _)| payload.to_vec()))
    }
}

impl JournalDamage {
    /// Notes what is whole behind the damage in a file, from `from` on.
    pub(super) fn look_behind(&mut self, file: &dyn File, id: u64, from: u64) -> io::Result<()> {
        let mut search = Search::new(file, id)?;
        let mut at = from;
        while let Some(found) = search.next(at, self.until, false)? {
            self.until = found.seq;
            at = found.position + (RECORD_HEADER_LEN + found.payload.len()) as u64;
            for op in format::decode_ops(&found.payload).unwrap_or_default() {
                if let JournalOp::Append(place, _) = op {
                    let end = self.ends.entry((place.topic, place.partition)).or_default();
                    *end = place.next_offset.max(*end);
                }
            }
        }
        Ok(())
    }

    pub(super) fn new(path: &Path, position: u64, after: u64, reason: &'static str) -> Self {
        JournalDamage {
            path: path.to_owned(),
            position,
            after,
            until: after,
            reason,
            ends: BTreeMap::new(),
        }
    }
}
