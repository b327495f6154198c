//! Harming a file, and which kinds of files a data directory has.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)] // told with the file
pub(super) enum Damage {
    /// At this byte.
    FlippedBit(u64),
    CutTo(u64),
    Missing,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileKind {
    Segment,
    Index,
    Journal,
    Catalogue,
    Properties,
    Snapshot,
    /// The lock's file, the reserve.
    Other,
}

/// All files below a directory.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => dirs.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

/// Copies a data directory.
pub(super) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("is below"));
        fs::create_dir_all(target.parent().expect("is below")).expect("can be made");
        fs::copy(file, target).expect("can be copied");
    }
}

impl FileKind {
    /// Of a file by its path in the data directory.
    pub fn of(path: &Path) -> FileKind {
        let first = path.iter().next().and_then(|name| name.to_str());
        let extension = path.extension().and_then(|e| e.to_str());
        match (first, extension) {
            (Some("topics"), Some("log")) => FileKind::Segment,
            (Some("topics"), _) => FileKind::Index,
            (Some("journal"), _) => FileKind::Journal,
            (Some("meta"), _) => FileKind::Catalogue,
            (Some("meta.properties"), _) => FileKind::Properties,
            (Some("snapshots"), _) => FileKind::Snapshot,
            _ => FileKind::Other,
        }
    }
}

/// A file of a data directory, by its path there, so that each kind is taken as often as others.
pub(super) fn choose(dir: &Path, random: &mut StdRng) -> PathBuf {
    let all = files(dir);
    let all: Vec<&Path> = all
        .iter()
        .map(|f| f.strip_prefix(dir).expect("is below"))
        .collect();
    let mut kinds: Vec<FileKind> = all.iter().map(|f| FileKind::of(f)).collect();
    kinds.sort();
    kinds.dedup();
    let kind = *kinds.choose(random).expect("there are files");
    let of_kind: Vec<&&Path> = all.iter().filter(|f| FileKind::of(f) == kind).collect();
    of_kind.choose(random).expect("one at least").to_path_buf()
}

/// Harms a file: where it holds anything, since most of some is zeros.
pub(super) fn harm(file: &Path, random: &mut StdRng) -> Damage {
    let content = fs::read(file).expect("is there");
    let used = content.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1) as u64;
    let damage = match random.random_range(0..6) {
        0 => Damage::Missing,
        1 if used > 0 => Damage::CutTo(random.random_range(0..used)),
        // Beginnings say more than the rest.
        2 if used > 0 => Damage::FlippedBit(random.random_range(0..used.min(64))),
        _ if used > 0 => Damage::FlippedBit(random.random_range(0..used)),
        _ => Damage::Missing,
    };
    let open = || File::options().read(true).write(true).open(file);
    match damage {
        Damage::Missing => fs::remove_file(file).expect("can be removed"),
        Damage::CutTo(len) => open().and_then(|f| f.set_len(len)).expect("can be cut"),
        Damage::FlippedBit(at) => {
            let byte = content[at as usize] ^ (1 << random.random_range(0..8));
            let file = open().expect("can be opened");
            file.write_all_at(&[byte], at).expect("can be written");
        }
    }
    damage
}
