//! A file system in memory that loses what was not synced, tears writes at sectors, fills up, fails syncs and crashes at a chosen call.
//!
//! After a crash each write that was not synced is there, absent, or torn at 512 bytes, independently of the others;
//! names that were not synced are there or not, and the last renames before no sync of their directory never happened; the key-value store keeps any part of what it was given since its last sync.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::meta::{MetaWrite, TreeId};

mod calls;
mod rows;

use rows::apply;

const SECTOR: usize = 512;

/// What happened to a simulated disk so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SimStats {
    pub power_cuts: u64,
    /// Writes, not synced, of which a power cut kept some sectors only.
    pub torn_writes: u64,
    /// Writes, not synced, that a power cut lost.
    pub lost_writes: u64,
    /// Writes refused since the disk was full.
    pub refused_writes: u64,
    pub failed_syncs: u64,
    /// Rows of the key-value store that were written, removals included, and their bytes.
    pub rows_written: u64,
    pub row_bytes_written: u64,
    /// Rows that were read one by one, and their bytes.
    pub rows_read: u64,
    pub row_bytes_read: u64,
}

/// A simulated disk. Clones share it.
#[derive(Clone)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

#[derive(Clone)]
struct Rename {
    from: PathBuf,
    to: PathBuf,
    /// What had the name.
    replaced: Option<Node>,
}

/// The directory of the store, tree and key.
type RowKey = (PathBuf, TreeId, Vec<u8>);
type MetaMap = BTreeMap<RowKey, Vec<u8>>;

#[derive(Clone)]
struct Disk {
    rng: SplitMix,
    generation: u64,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Renames that no sync of a directory has made durable, oldest first.
    renames: Vec<Rename>,
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    meta: MetaMap,
    durable_meta: MetaMap,
    pending_meta: Vec<(PathBuf, MetaWrite)>,
    used: u64,
    capacity: u64,
    /// Calls until the crash.
    fuse: Option<u64>,
    crashed: bool,
    fail_next_sync: bool,
    /// What it should have synced is lost if the power goes, whatever is synced later.
    cleans_failed: bool,
    calls: u64,
    stats: SimStats,
}

/// SplitMix64: enough for choosing what survives, and the same everywhere.
#[derive(Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn coin(&mut self) -> bool {
        self.next() & 1 == 0
    }
}

/// Where `path` is after `from` was renamed to `to`; `None` if it is not below it.
fn renamed(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(match rest.as_os_str().is_empty() {
        true => to.to_owned(),
        false => to.join(rest),
    })
}

fn write_into(data: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = position as usize;
    if data.len() < start + bytes.len() {
        data.resize(start + bytes.len(), 0);
    }
    data[start..start + bytes.len()].copy_from_slice(bytes);
}

impl Inode {
    fn apply(data: &mut Vec<u8>, change: &Pending) {
        match change {
            Pending::Write(position, bytes) => write_into(data, *position, bytes),
            Pending::SetLen(len) => data.resize(*len as usize, 0),
        }
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            Inode::apply(&mut self.durable, &change);
        }
    }

    fn crash(&mut self, rng: &mut SplitMix, stats: &mut SimStats) {
        for change in std::mem::take(&mut self.pending) {
            match &change {
                Pending::SetLen(_) if rng.coin() => Inode::apply(&mut self.durable, &change),
                Pending::SetLen(_) => {}
                Pending::Write(position, bytes) => match rng.next() % 3 {
                    0 => Inode::apply(&mut self.durable, &change),
                    1 => stats.lost_writes += 1,
                    _ => {
                        stats.torn_writes += 1;
                        let mut at = 0;
                        while at < bytes.len() {
                            let sector_end = SECTOR - (*position as usize + at) % SECTOR;
                            let end = bytes.len().min(at + sector_end);
                            if rng.coin() {
                                write_into(
                                    &mut self.durable,
                                    position + at as u64,
                                    &bytes[at..end],
                                );
                            }
                            at = end;
                        }
                    }
                },
            }
        }
        self.current.clone_from(&self.durable);
    }
}

impl Disk {
    /// Counts a call; the one that burns the fuse is interrupted by the crash.
    fn tick(&mut self, generation: u64) -> io::Result<bool> {
        if self.crashed || generation != self.generation {
            return Err(io::Error::other("simulated crash"));
        }
        self.calls += 1;
        match &mut self.fuse {
            Some(0) => {
                self.crashed = true;
                Ok(true)
            }
            Some(n) => {
                *n -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn read_tick(&self, generation: u64) -> io::Result<()> {
        if self.crashed || generation != self.generation {
            return Err(io::Error::other("simulated crash"));
        }
        Ok(())
    }

    fn note_row(&mut self, value: Option<&Vec<u8>>) {
        self.stats.rows_read += 1;
        self.stats.row_bytes_read += value.map_or(0, |v| v.len() as u64);
    }

    fn changed(crashing: bool) -> io::Result<()> {
        if crashing {
            return Err(io::Error::other("simulated crash"));
        }
        Ok(())
    }

    /// Gives what is at or below `from`, files and rows, the path `to`.
    fn move_names(&mut self, from: &Path, to: &Path) {
        for names in [&mut self.names, &mut self.durable_names] {
            let moved: Vec<PathBuf> = names
                .keys()
                .filter(|p| p.starts_with(from))
                .cloned()
                .collect();
            for path in moved {
                if let (Some(node), Some(target)) = (names.remove(&path), renamed(&path, from, to))
                {
                    names.insert(target, node);
                }
            }
        }
        for meta in [&mut self.meta, &mut self.durable_meta] {
            *meta = std::mem::take(meta)
                .into_iter()
                .map(|((dir, tree, key), value)| {
                    let dir = renamed(&dir, from, to).unwrap_or(dir);
                    ((dir, tree, key), value)
                })
                .collect();
        }
        for (dir, _) in &mut self.pending_meta {
            if let Some(target) = renamed(dir, from, to) {
                *dir = target;
            }
        }
    }

    /// The names in a directory are durable, so are renames into it and out of it.
    fn settle_renames(&mut self, is_synced: impl Fn(&Path) -> bool) {
        let in_synced = |path: &Path| path.parent().is_some_and(&is_synced);
        self.renames
            .retain(|r| !in_synced(&r.from) && !in_synced(&r.to));
    }

    /// Takes back the last renames, from one by chance on.
    fn lose_renames(&mut self) {
        let kept = self.rng.next() as usize % (self.renames.len() + 1);
        for lost in self.renames.drain(..).skip(kept).rev().collect::<Vec<_>>() {
            self.move_names(&lost.to, &lost.from);
            if let Some(node) = lost.replaced {
                self.names.insert(lost.to.clone(), node);
                self.durable_names.insert(lost.to, node);
            }
        }
    }

    fn sync_tick(&mut self, generation: u64) -> io::Result<()> {
        Disk::changed(self.tick(generation)?)?;
        if std::mem::take(&mut self.fail_next_sync) {
            self.stats.failed_syncs += 1;
            return Err(io::Error::other("simulated failed sync"));
        }
        Ok(())
    }
}

impl SimFs {
    /// An empty disk.
    pub fn new(seed: u64) -> SimFs {
        let disk = Disk {
            rng: SplitMix(seed),
            generation: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renames: Vec::new(),
            inodes: HashMap::new(),
            next_inode: 1,
            meta: BTreeMap::new(),
            durable_meta: BTreeMap::new(),
            pending_meta: Vec::new(),
            used: 0,
            capacity: u64::MAX,
            fuse: None,
            crashed: false,
            fail_next_sync: false,
            cleans_failed: false,
            calls: 0,
            stats: SimStats::default(),
        };
        SimFs {
            disk: Arc::new(Mutex::new(disk)),
        }
    }

    /// A disk of its own with the same content.
    pub fn fork(&self) -> SimFs {
        SimFs {
            disk: Arc::new(Mutex::new(self.disk.lock().clone())),
        }
    }

    /// Lets crashes from here on come out in another way.
    pub fn reseed(&self, seed: u64) {
        self.disk.lock().rng = SplitMix(seed);
    }

    /// Crashes at the call that comes after `calls` more of them.
    pub fn crash_after(&self, calls: u64) {
        self.disk.lock().fuse = Some(calls);
    }

    /// The power cut itself: what was not synced is lost in part. Files that are open fail from here on.
    pub fn crash(&self) {
        let mut disk = self.disk.lock();
        let disk = &mut *disk;
        disk.lose_renames();
        let names = std::mem::take(&mut disk.names);
        for (path, node) in &names {
            if disk.durable_names.get(path) != Some(node) && disk.rng.coin() {
                disk.durable_names.insert(path.clone(), *node);
            }
        }
        let gone: Vec<PathBuf> = disk
            .durable_names
            .keys()
            .filter(|p| !names.contains_key(*p))
            .cloned()
            .collect();
        for path in gone {
            if disk.rng.coin() {
                disk.durable_names.remove(&path);
            }
        }
        let orphans: Vec<PathBuf> = disk
            .durable_names
            .keys()
            .filter(|p| {
                p.ancestors()
                    .skip(1)
                    .any(|a| a.parent().is_some() && disk.durable_names.get(a) != Some(&Node::Dir))
            })
            .cloned()
            .collect();
        for path in orphans {
            disk.durable_names.remove(&path);
        }
        disk.names.clone_from(&disk.durable_names);
        let live: std::collections::HashSet<u64> = disk
            .names
            .values()
            .filter_map(|n| match n {
                Node::File(i) => Some(*i),
                Node::Dir => None,
            })
            .collect();
        disk.inodes.retain(|i, _| live.contains(i));
        // In the order of their numbers, so that a seed gives the same crash every time.
        let mut order: Vec<u64> = live.into_iter().collect();
        order.sort_unstable();
        for i in order {
            if let Some(inode) = disk.inodes.get_mut(&i) {
                inode.crash(&mut disk.rng, &mut disk.stats);
            }
        }
        for (dir, write) in std::mem::take(&mut disk.pending_meta) {
            if disk.rng.coin() {
                apply(&mut disk.durable_meta, &dir, &write);
            }
        }
        let names = &disk.names;
        disk.durable_meta
            .retain(|(dir, _, _), _| names.contains_key(dir));
        disk.meta.clone_from(&disk.durable_meta);
        disk.used = disk.inodes.values().map(|i| i.current.len() as u64).sum();
        disk.stats.power_cuts += 1;
        disk.generation += 1;
        disk.crashed = false;
        disk.fuse = None;
        disk.fail_next_sync = false;
        disk.cleans_failed = false;
    }

    /// The process dies; the operating system lives: nothing is lost, what was open fails from here on.
    pub fn kill(&self) {
        let mut disk = self.disk.lock();
        disk.generation += 1;
        disk.crashed = false;
        disk.fuse = None;
        disk.fail_next_sync = false;
        disk.cleans_failed = false;
    }

    /// Whether the fuse has burnt.
    pub fn has_crashed(&self) -> bool {
        self.disk.lock().crashed
    }

    /// How many bytes fit beyond those that are used now; `None`: as many as one likes.
    pub fn set_free(&self, bytes: Option<u64>) {
        let mut disk = self.disk.lock();
        disk.capacity = bytes.map_or(u64::MAX, |b| disk.used.saturating_add(b));
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&self) {
        self.disk.lock().fail_next_sync = true;
    }

    /// The same of a file, and as Linux has it: the pages that were not written are clean from then on. They can be read, and no later sync
    /// brings them to the disk.
    pub fn fail_next_sync_and_clean(&self) {
        let mut disk = self.disk.lock();
        disk.fail_next_sync = true;
        disk.cleans_failed = true;
    }

    /// What happened so far.
    pub fn stats(&self) -> SimStats {
        self.disk.lock().stats
    }

    /// How many changing calls there were.
    pub fn calls(&self) -> u64 {
        self.disk.lock().calls
    }

    /// Flips one bit of a file, as a bad disk would.
    pub fn flip_bit(&self, path: &Path, position: u64) {
        let mut disk = self.disk.lock();
        if let Some(Node::File(i)) = disk.names.get(path).copied()
            && let Some(inode) = disk.inodes.get_mut(&i)
        {
            for data in [&mut inode.current, &mut inode.durable] {
                if let Some(byte) = data.get_mut(position as usize) {
                    *byte ^= 1;
                }
            }
        }
    }

    /// Changes the content of a file, or the value of a row of the small trees, in every place that has it: all of them are counted, files
    /// first, and `which` is taken modulo their number. Returns which one it was; `None` on an empty disk.
    pub fn damage(&self, which: usize, change: impl Fn(&mut Vec<u8>)) -> Option<String> {
        let mut disk = self.disk.lock();
        let disk = &mut *disk;
        let files: Vec<(PathBuf, u64)> = disk
            .names
            .iter()
            .filter_map(|(path, node)| match node {
                Node::File(inode) => Some((path.clone(), *inode)),
                Node::Dir => None,
            })
            .collect();
        let at = which.checked_rem(files.len() + disk.meta.len())?;
        let told = match files.get(at) {
            Some((path, inode)) => {
                let inode = disk.inodes.get_mut(inode)?;
                change(&mut inode.current);
                inode.durable.clone_from(&inode.current);
                inode.pending.clear();
                path.display().to_string()
            }
            None => {
                let key = disk.meta.keys().nth(at - files.len())?.clone();
                let value = disk.meta.get_mut(&key)?;
                change(value);
                disk.durable_meta.insert(key.clone(), value.clone());
                format!("{key:?}")
            }
        };
        disk.used = disk.inodes.values().map(|i| i.current.len() as u64).sum();
        Some(told)
    }

    /// All files, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let disk = self.disk.lock();
        disk.names
            .iter()
            .filter_map(|(path, node)| match node {
                Node::File(i) => Some((path.clone(), disk.inodes[i].current.len() as u64)),
                Node::Dir => None,
            })
            .collect()
    }

    fn generation(&self) -> u64 {
        self.disk.lock().generation
    }
}
