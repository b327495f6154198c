//! Reading the journal at start.

use std::io;
use std::path::{Path, PathBuf};

use super::damage::{JournalDamage, Search, may_follow};
use super::format::{self, FileHeader, HEADER_LEN, JournalOp, RECORD_HEADER_LEN, VERSION};
use super::notes::{self, Next, Notes};
use crate::fs::{File, Fs, OpenMode};

/// What the journal's directory held.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The last sound record, or where the checkpoint stands.
    pub last_seq: u64,
    /// Records that were handed out.
    pub replayed: u64,
    /// What records before this one name in segments was synced.
    pub first_unsettled: u64,
    /// Bytes of the first commit that was cut: not whole, or refused. What follows it is not counted.
    pub torn_bytes: u64,
    /// The commit at which `apply`, or the limit, cut the journal.
    pub cut_at: Option<u64>,
    /// Files whose records all were replayed or are older than the checkpoint: free for use once a checkpoint stands at `last_seq`.
    pub spares: Vec<PathBuf>,
    /// Files with records that must not be met again: to be removed after that checkpoint.
    pub stale: Vec<PathBuf>,
    pub max_id: u64,
    /// There are files without a header, or with a damaged one.
    pub headless: bool,
    pub next_slot: u64,
    /// The last commit of a checkpoint that the journal has a note of.
    pub checkpoint: u64,
    /// What is known to have been kept and is not there. The journal ends before it.
    pub damage: Option<JournalDamage>,
    /// Where the journal was cut: file and position.
    pub torn_at: Option<(PathBuf, u64)>,
    /// Records of which no later one says that they were synced.
    unsynced: Vec<Part>,
}

/// A part of a file.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    start: u64,
    end: u64,
}

impl Replay {
    /// Makes what was found durable. A sync alone does not do that: after one that failed, records may be in the page cache and nowhere
    /// else, and a later one does not bring them to the device unless they are written again.
    pub fn write_again(&self, fs: &dyn Fs) -> io::Result<()> {
        let mut bytes = Vec::new();
        for Part { path, start, end } in &self.unsynced {
            let file = fs.open(path, OpenMode::Write)?;
            let mut position = *start;
            while position < *end {
                bytes.resize(Window::BLOCK.min(end - position) as usize, 0);
                file.read_exact_at(position, &mut bytes)?;
                file.write_at(position, &[&bytes])?;
                position += bytes.len() as u64;
            }
            file.sync_data()?;
        }
        Ok(())
    }
}

/// A file with a sound header.
struct Headed {
    /// The file was whole once: commits after its beginning are known of, or the file before it says that it follows.
    was_used: bool,
    header: FileHeader,
    notes: Notes,
    path: PathBuf,
}

/// Why a journal cannot be read.
#[derive(Debug)]
pub(crate) enum ReplayError {
    Io(io::Error),
    /// A sound record or header that this version does not understand.
    Unknown(String),
}

impl From<io::Error> for ReplayError {
    fn from(e: io::Error) -> Self {
        ReplayError::Io(e)
    }
}

/// Hands every commit after `checkpoint` and before `limit` to `apply`, in order, up to the first that is not whole. `apply` answers
/// whether to go on: `false` cuts the journal before the commit.
pub(crate) fn replay(
    fs: &dyn Fs,
    dir: &Path,
    checkpoint: u64,
    limit: u64,
    mut apply: impl FnMut(u64, Vec<JournalOp>) -> io::Result<bool>,
) -> Result<Replay, ReplayError> {
    let mut out = Replay {
        last_seq: checkpoint,
        next_slot: 1,
        ..Replay::default()
    };
    let mut files = Vec::new();
    for entry in fs.read_dir(dir)? {
        let Some(slot) = entry.name.strip_suffix(".wal") else {
            continue;
        };
        if let Ok(slot) = slot.parse::<u64>() {
            out.next_slot = out.next_slot.max(slot + 1);
        }
        let path = dir.join(&entry.name);
        let file = fs.open(&path, OpenMode::Read)?;
        match notes::read(&*file)? {
            Some((header, _)) if header.version > VERSION => {
                return Err(ReplayError::Unknown(format!(
                    "{} has journal version {}",
                    path.display(),
                    header.version
                )));
            }
            Some((header, notes)) => {
                out.max_id = out.max_id.max(header.id);
                out.checkpoint = notes.checkpoint.unwrap_or(0).max(out.checkpoint);
                files.push(Headed {
                    was_used: false,
                    header,
                    notes,
                    path,
                });
            }
            None => {
                out.headless = true;
                out.spares.push(path);
            }
        }
    }
    files.sort_by_key(|f| f.header.id);
    let mut follows = false;
    for file in &mut files {
        file.was_used = follows || checkpoint.max(out.checkpoint) > file.header.after_seq;
        follows = matches!(file.notes.end, Some((_, Next::File)));
    }
    let is_new = checkpoint == 0 && files.is_empty();
    if !is_new && !files.iter().any(|f| f.header.after_seq <= checkpoint) {
        let reason = "no file goes on from the last checkpoint";
        out.damage = Some(JournalDamage::new(dir, 0, checkpoint, reason));
    }
    let mut cut = false;
    let starts: Vec<u64> = files.iter().map(|f| f.header.after_seq).collect();
    for (i, headed) in files.into_iter().enumerate() {
        // The next file says where this one ends.
        if starts.get(i + 1).is_some_and(|next| *next <= checkpoint) {
            out.spares.push(headed.path);
            continue;
        }
        if !cut && out.damage.is_none() && headed.header.after_seq <= out.last_seq {
            cut = read_file(fs, &headed, limit, &mut out, &mut apply)?;
            if !cut && out.damage.is_none() {
                let is_last = i + 1 == starts.len();
                if is_last && matches!(headed.notes.end, Some((_, Next::File))) {
                    let reason = "the file that follows is missing, or its header is damaged";
                    let damage = JournalDamage::new(&headed.path, 0, out.last_seq, reason);
                    out.damage = Some(damage);
                }
                out.spares.push(headed.path);
                continue;
            }
        } else if !cut && out.damage.is_none() && headed.notes.is_synced {
            let reason = "commits that come before the file's are missing";
            let mut damage = JournalDamage::new(&headed.path, 0, out.last_seq, reason);
            damage.until = headed.header.after_seq;
            out.damage = Some(damage);
        }
        if let Some(damage) = &mut out.damage {
            let file = fs.open(&headed.path, OpenMode::Read)?;
            damage.look_behind(&*file, headed.header.id, HEADER_LEN)?;
        }
        out.stale.push(headed.path);
    }
    Ok(out)
}

/// Returns whether the journal was cut.
fn read_file(
    fs: &dyn Fs,
    headed: &Headed,
    limit: u64,
    out: &mut Replay,
    apply: &mut impl FnMut(u64, Vec<JournalOp>) -> io::Result<bool>,
) -> Result<bool, ReplayError> {
    let Headed {
        was_used,
        header,
        notes,
        path,
    } = headed;
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let mut window = Window {
        file: &*file,
        left: len.saturating_sub(HEADER_LEN),
        bytes: Vec::new(),
        start: 0,
    };
    let mut position = HEADER_LEN;
    // Where the records begin of which none behind them says that they were synced.
    let mut unsynced = HEADER_LEN;
    let part = |start, end| {
        let path = path.clone();
        (start < end).then_some(Part { path, start, end })
    };
    let mut before = header.after_seq;
    while let Some((seq, payload, whole)) = format::decode_record(window.record()?, header.id) {
        if !may_follow(seq, before) {
            break;
        }
        before = seq;
        if format::begins_synced_group(payload) {
            out.unsynced.clear();
            unsynced = position;
        }
        if seq > out.last_seq {
            let ops = format::decode_ops(payload).ok_or_else(|| {
                ReplayError::Unknown(format!(
                    "{}: commit {seq} has an unknown op",
                    path.display()
                ))
            })?;
            out.first_unsettled = format::first_unsettled(payload).max(out.first_unsettled);
            if seq >= limit || !apply(seq, ops)? {
                out.cut_at = Some(seq);
                out.torn_bytes += whole as u64;
                out.torn_at = Some((path.clone(), position));
                out.unsynced.extend(part(unsynced, position));
                return Ok(true);
            }
            out.last_seq = seq;
            out.replayed += 1;
        }
        window.start += whole;
        position += whole as u64;
    }
    out.unsynced.extend(part(unsynced, position));
    // A torn write leaves one of the sequence numbers that would have been next; anything else is an earlier life of the file.
    let rest = window.record()?;
    let next = rest
        .get(8..16)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes);
    let mut torn = 0;
    if may_follow(next, before) {
        let claimed = rest
            .get(4..8)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_le_bytes);
        torn = (RECORD_HEADER_LEN as u64 + u64::from(claimed)).min(rest.len() as u64);
    }
    // Of a file that was cut nobody knows what stood where it ends now.
    let is_short = *was_used && len < HEADER_LEN || notes.len.is_some_and(|made| len < made);
    let reason = match notes.end {
        Some((end, _)) if end <= before.max(out.last_seq) => None,
        Some(_) => Some("the file ends before its last record"),
        None if is_short && (torn > 0 || rest.len() < RECORD_HEADER_LEN) => {
            Some("the file is shorter than it was made")
        }
        None => Search::new(&*file, header.id)?
            .next(position, before, true)?
            .map(|_| "there are records behind one that cannot be read"),
    };
    if let Some(reason) = reason {
        let mut damage = JournalDamage::new(path, position, out.last_seq, reason);
        damage.look_behind(&*file, header.id, position)?;
        let end = notes.end.map_or(0, |(end, _)| end);
        damage.until = damage.until.max(end);
        out.damage = Some(damage);
    } else if torn > 0 {
        out.torn_bytes += torn;
        out.torn_at = Some((path.clone(), position));
    }
    Ok(false)
}

/// A file's records, read as far as they go: most of a file may be zeros, or an earlier life.
struct Window<'a> {
    file: &'a dyn File,
    /// Bytes of the file behind `bytes`.
    left: u64,
    bytes: Vec<u8>,
    start: usize,
}

impl Window<'_> {
    const BLOCK: u64 = 256 << 10;

    /// The bytes from the next record on: with all of it, if it ends within the file.
    fn record(&mut self) -> io::Result<&[u8]> {
        self.want(RECORD_HEADER_LEN)?;
        let claimed = self.bytes.get(self.start + 4..self.start + 8);
        let claimed = claimed
            .and_then(|b| b.try_into().ok())
            .map(u32::from_le_bytes);
        if let Some(len) = claimed {
            let whole = RECORD_HEADER_LEN + len as usize;
            // A length beyond the file's end is not one.
            if whole as u64 <= (self.bytes.len() - self.start) as u64 + self.left {
                self.want(whole)?;
            }
        }
        Ok(&self.bytes[self.start..])
    }

    fn want(&mut self, len: usize) -> io::Result<()> {
        let have = self.bytes.len() - self.start;
        if have >= len || self.left == 0 {
            return Ok(());
        }
        self.bytes.drain(..std::mem::take(&mut self.start));
        let more = ((len - have) as u64).max(Self::BLOCK).min(self.left);
        self.bytes.resize(have + more as usize, 0);
        let from = self.file.len()? - self.left;
        self.file.read_exact_at(from, &mut self.bytes[have..])?;
        self.left -= more;
        Ok(())
    }
}
