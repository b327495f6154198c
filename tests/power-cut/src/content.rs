//! What is in a file: what the program sees is in the live file; here is what is durable, and the writes between.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rand::{Rng, rngs::StdRng};

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: u64 = 512;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub enum Change {
    Write { at: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// Where the durable bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Nothing is.
    Nothing,
    /// In the live file, unchanged so far.
    Live,
    /// In a second name of the live file, unchanged so far; the first may be gone.
    Linked,
    /// In a file of their own.
    Own,
}

/// A file's state.
#[derive(Debug)]
pub struct Content {
    pub durable: Durable,
    /// The length that the program sees.
    pub len: u64,
    pending: VecDeque<(u64, Change)>,
}

/// How much of what was not synced a power cut leaves of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Writes made before this moment.
    Before(u64),
    /// Each write is there, is not, is there in some of its sectors, or has only made the file longer.
    Any,
}

/// What a power cut did to writes that were not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes of which nothing is left.
    pub lost: u64,
    /// Writes of which some sectors are left, or the length alone.
    pub torn: u64,
    /// Writes that are there all the same.
    pub kept: u64,
}

impl Content {
    /// A file that was there before.
    pub fn found(len: u64) -> Content {
        Content {
            durable: Durable::Live,
            len,
            pending: VecDeque::new(),
        }
    }

    /// A new file.
    pub fn new() -> Content {
        Content {
            durable: Durable::Nothing,
            ..Content::found(0)
        }
    }

    /// Notes a change that the live file has got.
    pub fn change(&mut self, at: u64, change: Change) {
        match &change {
            Change::Write { at, bytes } => self.len = self.len.max(at + bytes.len() as u64),
            Change::SetLen(len) => self.len = *len,
        }
        self.pending.push_back((at, change));
    }

    /// A sync that began at `when`: what was written until then goes into `own`, where the durable bytes are.
    pub fn sync(&mut self, when: u64, own: &Path) -> io::Result<()> {
        if self.pending.front().is_none_or(|(at, _)| *at > when) {
            return Ok(());
        }
        let file = open_own(own)?;
        while let Some((_, change)) = self.pending.pop_front_if(|(at, _)| *at <= when) {
            apply(&file, &change)?;
        }
        self.durable = Durable::Own;
        Ok(())
    }

    /// A sync that failed: the pages count as clean, and nobody will write them any more.
    pub fn fail_sync(&mut self, own: &Path, rng: &mut StdRng) -> io::Result<()> {
        self.cut(Kept::Any, own, rng).map(|_| ())
    }

    /// What is left after a power cut.
    pub fn cut(&mut self, kept: Kept, own: &Path, rng: &mut StdRng) -> io::Result<Losses> {
        let mut losses = Losses::default();
        if self.pending.is_empty() {
            return Ok(losses);
        }
        let file = open_own(own)?;
        self.durable = Durable::Own;
        for (when, change) in std::mem::take(&mut self.pending) {
            let fate = match kept {
                Kept::Before(at) if when < at => 0,
                Kept::Before(_) => 1,
                Kept::Any => rng.random_range(0..4),
            };
            match (fate, &change) {
                (0, _) => {
                    apply(&file, &change)?;
                    losses.kept += 1;
                }
                (2, Change::Write { at, bytes }) => {
                    tear(&file, *at, bytes, rng)?;
                    losses.torn += 1;
                }
                (3, Change::Write { at, bytes }) => {
                    let end = at + bytes.len() as u64;
                    if end > file.metadata()?.len() {
                        file.set_len(end)?;
                    }
                    losses.torn += 1;
                }
                _ => losses.lost += 1,
            }
        }
        Ok(losses)
    }
}

fn open_own(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn apply(file: &File, change: &Change) -> io::Result<()> {
    match change {
        Change::Write { at, bytes } => file.write_all_at(bytes, *at),
        Change::SetLen(len) => file.set_len(*len),
    }
}

/// Some sectors of a write.
fn tear(file: &File, at: u64, bytes: &[u8], rng: &mut StdRng) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let position = at + done as u64;
        let room = (SECTOR - position % SECTOR) as usize;
        let end = bytes.len().min(done + room);
        if rng.random() {
            file.write_all_at(&bytes[done..end], position)?;
        }
        done = end;
    }
    Ok(())
}
