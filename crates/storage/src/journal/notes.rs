//! What a journal file's header page says beside the header, so that a start can tell damage from the end of what was written: a sector
//! for each note, written in place. A note of an earlier life of the file names another id and counts for nothing.

use std::io;

use super::format::FileHeader;
use crate::fs::File;

/// A torn write spoils one note, never the header.
const SECTOR: u64 = 512;
const NOTE_LEN: usize = 24;
/// Header and notes.
const PAGE_LEN: usize = (End::AT + SECTOR) as usize;

/// The file's length in bytes, as it was made; kind 1 if each group is synced before the next is written, and all before the file was.
pub(super) struct Length;
/// The last commit that a checkpoint has brought into segments and catalogue.
pub(super) struct Checkpoint;
/// All records of the file are written and synced.
pub(super) struct End;

impl Length {
    pub const AT: u64 = SECTOR;
}
impl Checkpoint {
    pub const AT: u64 = 2 * SECTOR;
}
impl End {
    pub const AT: u64 = 3 * SECTOR;
}

/// What follows the last record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A file with a later id: it is there, and may have records.
    File = 1,
    /// Nothing: the store was closed.
    Nothing = 2,
}

/// The notes of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub len: Option<u64>,
    pub is_synced: bool,
    pub checkpoint: Option<u64>,
    /// The file's last commit, and what follows it.
    pub end: Option<(u64, Next)>,
}

fn encode(file_id: u64, value: u64, kind: u32) -> [u8; NOTE_LEN] {
    let mut out = [0; NOTE_LEN];
    out[..8].copy_from_slice(&file_id.to_le_bytes());
    out[8..16].copy_from_slice(&value.to_le_bytes());
    out[16..20].copy_from_slice(&kind.to_le_bytes());
    let crc = crc32c::crc32c(&out[..20]);
    out[20..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(page: &[u8], at: u64, file_id: u64) -> Option<(u64, u32)> {
    let note = page.get(at as usize..at as usize + NOTE_LEN)?;
    let value = u64::from_le_bytes(note[8..16].try_into().ok()?);
    let kind = u32::from_le_bytes(note[16..20].try_into().ok()?);
    (note == encode(file_id, value, kind)).then_some((value, kind))
}

/// How a file begins a life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    pub header: FileHeader,
    /// The last commit of the last checkpoint.
    pub checkpoint: u64,
    /// Each group will be synced before the next is written, and all before the file is.
    pub is_synced: bool,
}

/// Notes the length of a file that has its header, and where the last checkpoint stands. It need not be synced, and is only written when
/// the file is: a note of the length that is there says that the file had it once.
pub(super) fn begin(file: &dyn File, beginning: &Beginning, len: u64) -> io::Result<()> {
    let header = &beginning.header;
    let len = encode(header.id, len, u32::from(beginning.is_synced));
    file.write_at(Length::AT, &[&len])?;
    note_checkpoint(file, header.id, beginning.checkpoint)
}

/// Notes a checkpoint. It need not be synced: it becomes durable with the next records.
pub(super) fn note_checkpoint(file: &dyn File, file_id: u64, seq: u64) -> io::Result<()> {
    file.write_at(Checkpoint::AT, &[&encode(file_id, seq, 0)])
}

/// Notes and syncs that `seq` is the last commit of the file. All of its records are synced.
pub(super) fn note_end(file: &dyn File, file_id: u64, seq: u64, next: Next) -> io::Result<()> {
    file.write_at(End::AT, &[&encode(file_id, seq, next as u32)])?;
    file.sync_data()
}

/// Header and notes of a file. `None`: it has no header, or a damaged one.
pub(super) fn read(file: &dyn File) -> io::Result<Option<(FileHeader, Notes)>> {
    let mut page = [0; PAGE_LEN];
    let mut len = 0;
    while len < PAGE_LEN {
        match file.read_at(len as u64, &mut page[len..])? {
            0 => break,
            n => len += n,
        }
    }
    let page = &page[..len];
    let Some(header) = FileHeader::decode(page) else {
        return Ok(None);
    };
    let len = decode(page, Length::AT, header.id);
    let checkpoint = decode(page, Checkpoint::AT, header.id);
    let end = decode(page, End::AT, header.id).and_then(|(seq, kind)| match kind {
        1 => Some((seq, Next::File)),
        2 => Some((seq, Next::Nothing)),
        _ => None,
    });
    let notes = Notes {
        len: len.map(|(len, _)| len),
        is_synced: len.is_some_and(|(_, kind)| kind == 1),
        checkpoint: checkpoint.map(|(seq, _)| seq),
        end,
    };
    Ok(Some((header, notes)))
}
