//! A file system in memory that loses what was not synced, tears writes at sectors, fills up, fails syncs and crashes at a chosen call.
//!
//! After a crash each write that was not synced is there, absent, or torn at 512 bytes, independently of the others;
//! names that were not synced are there or not; the key-value store keeps any part of what it was given since its last sync.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirEntry, File, Fs, LockError, OpenMode};
use crate::meta::{MetaStore, MetaWrite, Pair, Pairs, SimMeta, TreeId};

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

/// The directory of the store, tree and key.
type RowKey = (PathBuf, TreeId, Vec<u8>);
type MetaMap = BTreeMap<RowKey, Vec<u8>>;

#[derive(Clone)]
struct Disk {
    rng: SplitMix,
    generation: u64,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
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
                meta_apply(&mut disk.durable_meta, &dir, &write);
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
    }

    /// The process dies; the operating system lives: nothing is lost, what was open fails from here on.
    pub fn kill(&self) {
        let mut disk = self.disk.lock();
        disk.generation += 1;
        disk.crashed = false;
        disk.fuse = None;
        disk.fail_next_sync = false;
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

    pub(crate) fn meta_get(
        &self,
        dir: &Path,
        tree: TreeId,
        key: &[u8],
    ) -> io::Result<Option<Vec<u8>>> {
        let mut disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let key = (dir.to_owned(), tree, key.to_vec());
        let found = disk.meta.get(&key).cloned();
        disk.note_row(found.as_ref());
        Ok(found)
    }

    pub(crate) fn meta_first(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
    ) -> io::Result<Option<Pair>> {
        self.meta_one_of(dir, tree, from, to, |mut rows| rows.next())
    }

    pub(crate) fn meta_last(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
    ) -> io::Result<Option<Pair>> {
        self.meta_one_of(dir, tree, from, to, |mut rows| rows.next_back())
    }

    fn meta_one_of(
        &self,
        dir: &Path,
        tree: TreeId,
        from: &[u8],
        to: &[u8],
        one: impl for<'a> FnOnce(Range<'a, RowKey, Vec<u8>>) -> Option<(&'a RowKey, &'a Vec<u8>)>,
    ) -> io::Result<Option<Pair>> {
        let mut disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let key = |key: &[u8]| (dir.to_owned(), tree, key.to_vec());
        let found = one(disk.meta.range(key(from)..key(to)));
        let found = found.map(|((_, _, k), v)| (k.clone(), v.clone()));
        disk.note_row(found.as_ref().map(|(_, v)| v));
        Ok(found)
    }

    pub(crate) fn meta_scan(&self, dir: &Path, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        Ok(disk
            .meta
            .range((dir.to_owned(), tree, prefix.to_vec())..)
            .take_while(|((d, t, k), _)| d == dir && *t == tree && k.starts_with(prefix))
            .map(|((_, _, k), v)| (k.clone(), v.clone()))
            .collect())
    }

    pub(crate) fn meta_trees(&self, dir: &Path) -> io::Result<Vec<TreeId>> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        let mut trees: Vec<TreeId> = disk
            .meta
            .keys()
            .filter(|(d, _, _)| d == dir)
            .map(|(_, tree, _)| *tree)
            .collect();
        trees.dedup();
        Ok(trees)
    }

    pub(crate) fn meta_write(&self, dir: &Path, writes: &[MetaWrite]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        for write in writes {
            let generation = disk.generation;
            let crashing = disk.tick(generation)?;
            meta_apply(&mut disk.meta, dir, write);
            disk.stats.rows_written += 1;
            disk.stats.row_bytes_written += write.len();
            disk.pending_meta.push((dir.to_owned(), write.clone()));
            Disk::changed(crashing)?;
        }
        Ok(())
    }

    pub(crate) fn meta_sync(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        disk.sync_tick(generation)?;
        let (synced, others) = std::mem::take(&mut disk.pending_meta)
            .into_iter()
            .partition(|(of, _)| of == dir);
        disk.pending_meta = others;
        let synced: Vec<(PathBuf, MetaWrite)> = synced;
        for (dir, write) in synced {
            meta_apply(&mut disk.durable_meta, &dir, &write);
        }
        Ok(())
    }
}

fn meta_apply(map: &mut MetaMap, dir: &Path, write: &MetaWrite) {
    let key = (dir.to_owned(), write.tree, write.key.clone());
    match &write.value {
        Some(v) => map.insert(key, v.clone()),
        None => map.remove(&key),
    };
}

/// Where `path` is after `from` was renamed to `to`; `None` if it is not below it.
fn renamed(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(match rest.as_os_str().is_empty() {
        true => to.to_owned(),
        false => to.join(rest),
    })
}

struct SimFile {
    fs: SimFs,
    inode: u64,
    generation: u64,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl File for SimFile {
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        let disk = self.fs.disk.lock();
        disk.read_tick(self.generation)?;
        let data = &disk.inodes.get(&self.inode).ok_or_else(gone)?.current;
        let start = data.len().min(position as usize);
        let n = buf.len().min(data.len() - start);
        buf[..n].copy_from_slice(&data[start..start + n]);
        Ok(n)
    }

    fn write_at(&self, mut position: u64, bufs: &[&[u8]]) -> io::Result<()> {
        let mut disk = self.fs.disk.lock();
        for buf in bufs {
            let crashing = disk.tick(self.generation)?;
            let disk = &mut *disk;
            let inode = disk.inodes.get_mut(&self.inode).ok_or_else(gone)?;
            let grown = (position + buf.len() as u64).saturating_sub(inode.current.len() as u64);
            if disk.used.saturating_add(grown) > disk.capacity {
                disk.stats.refused_writes += 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.used += grown;
            write_into(&mut inode.current, position, buf);
            inode.pending.push(Pending::Write(position, buf.to_vec()));
            position += buf.len() as u64;
            Disk::changed(crashing)?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.fs.disk.lock();
        disk.sync_tick(self.generation)?;
        disk.inodes.get_mut(&self.inode).ok_or_else(gone)?.sync();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.fs.disk.lock();
        let crashing = disk.tick(self.generation)?;
        let disk = &mut *disk;
        let inode = disk.inodes.get_mut(&self.inode).ok_or_else(gone)?;
        disk.used = disk.used + len - (inode.current.len() as u64);
        inode.current.resize(len as usize, 0);
        inode.pending.push(Pending::SetLen(len));
        Disk::changed(crashing)
    }

    fn len(&self) -> io::Result<u64> {
        let disk = self.fs.disk.lock();
        disk.read_tick(self.generation)?;
        Ok(disk.inodes.get(&self.inode).ok_or_else(gone)?.current.len() as u64)
    }

    fn os_file(&self) -> Option<&std::fs::File> {
        None
    }
}

impl Fs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let generation = self.generation();
        let mut disk = self.disk.lock();
        disk.read_tick(generation)?;
        let inode = match (disk.names.get(path).copied(), mode) {
            (Some(Node::File(i)), OpenMode::Truncate) => {
                let crashing = disk.tick(generation)?;
                let disk = &mut *disk;
                let inode = disk.inodes.get_mut(&i).ok_or_else(gone)?;
                disk.used -= inode.current.len() as u64;
                inode.current.clear();
                inode.pending.push(Pending::SetLen(0));
                Disk::changed(crashing)?;
                i
            }
            (Some(Node::File(i)), _) => i,
            (Some(Node::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, OpenMode::Truncate) => {
                if path.parent().and_then(|p| disk.names.get(p)) != Some(&Node::Dir) {
                    return Err(gone());
                }
                let crashing = disk.tick(generation)?;
                let i = disk.next_inode;
                disk.next_inode += 1;
                disk.inodes.insert(i, Inode::default());
                disk.names.insert(path.to_owned(), Node::File(i));
                Disk::changed(crashing)?;
                i
            }
            (None, _) => return Err(gone()),
        };
        Ok(Arc::new(SimFile {
            fs: self.clone(),
            inode,
            generation,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        for dir in path.ancestors() {
            if !disk.names.contains_key(dir) {
                let crashing = disk.tick(generation)?;
                disk.names.insert(dir.to_owned(), Node::Dir);
                Disk::changed(crashing)?;
            }
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        disk.sync_tick(generation)?;
        let disk = &mut *disk;
        let child = |p: &Path| p.parent() == Some(path);
        let removed: Vec<PathBuf> = disk
            .durable_names
            .keys()
            .filter(|p| child(p) && !disk.names.contains_key(*p))
            .cloned()
            .collect();
        // With a directory goes what is below it: a later one of that name is another.
        disk.durable_names
            .retain(|p, _| !removed.iter().any(|gone| p.starts_with(gone)));
        for (p, node) in &disk.names {
            // The data directory itself is there before the broker is.
            if child(p) || p.parent().is_none() || p == path {
                disk.durable_names.insert(p.clone(), *node);
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        if disk.names.get(path) != Some(&Node::Dir) {
            return Err(gone());
        }
        Ok(disk
            .names
            .iter()
            .filter(|(p, _)| p.parent() == Some(path))
            .filter_map(|(p, node)| {
                Some(DirEntry {
                    name: p.file_name()?.to_string_lossy().into_owned(),
                    is_dir: *node == Node::Dir,
                })
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let disk = self.disk.lock();
        disk.read_tick(disk.generation)?;
        Ok(disk.names.contains_key(path))
    }

    /// Durable at once, as on a file system that journals names in order.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        Disk::changed(disk.tick(generation)?)?;
        let disk = &mut *disk;
        if !disk.names.contains_key(from) {
            return Err(gone());
        }
        for names in [&mut disk.names, &mut disk.durable_names] {
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
        for meta in [&mut disk.meta, &mut disk.durable_meta] {
            *meta = std::mem::take(meta)
                .into_iter()
                .map(|((dir, tree, key), value)| {
                    let dir = renamed(&dir, from, to).unwrap_or(dir);
                    ((dir, tree, key), value)
                })
                .collect();
        }
        for (dir, _) in &mut disk.pending_meta {
            if let Some(target) = renamed(dir, from, to) {
                *dir = target;
            }
        }
        if let Some(node) = disk.names.get(to) {
            disk.durable_names.insert(to.to_owned(), *node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        let crashing = disk.tick(generation)?;
        match disk.names.remove(path) {
            Some(Node::File(i)) if !disk.names.values().any(|n| *n == Node::File(i)) => {
                let len = disk.inodes.get(&i).map_or(0, |n| n.current.len() as u64);
                disk.used -= len;
            }
            // It has another name.
            Some(Node::File(_)) => {}
            _ => return Err(gone()),
        }
        Disk::changed(crashing)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        disk.read_tick(generation)?;
        let Some(Node::File(inode)) = disk.names.get(from).copied() else {
            return Err(gone());
        };
        if to.parent().and_then(|p| disk.names.get(p)) != Some(&Node::Dir) {
            return Err(gone());
        }
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let crashing = disk.tick(generation)?;
        disk.names.insert(to.to_owned(), Node::File(inode));
        Disk::changed(crashing)
    }

    fn sync_tree(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let generation = disk.generation;
        disk.sync_tick(generation)?;
        let disk = &mut *disk;
        disk.durable_names
            .retain(|p, _| !p.starts_with(path) || disk.names.contains_key(p));
        for (p, node) in disk.names.iter().filter(|(p, _)| p.starts_with(path)) {
            disk.durable_names.insert(p.clone(), *node);
            if let Node::File(inode) = node
                && let Some(inode) = disk.inodes.get_mut(inode)
            {
                inode.sync();
            }
        }
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let paths: Vec<(PathBuf, Node)> = {
            let disk = self.disk.lock();
            disk.read_tick(disk.generation)?;
            disk.names
                .iter()
                .filter(|(p, _)| p.starts_with(path))
                .map(|(p, n)| (p.clone(), *n))
                .collect()
        };
        if paths.is_empty() {
            return Err(gone());
        }
        {
            let mut disk = self.disk.lock();
            let disk = &mut *disk;
            disk.pending_meta.retain(|(dir, _)| !dir.starts_with(path));
            for meta in [&mut disk.meta, &mut disk.durable_meta] {
                meta.retain(|(dir, _, _), _| !dir.starts_with(path));
            }
        }
        for (path, node) in paths.into_iter().rev() {
            match node {
                Node::File(_) => self.remove_file(&path)?,
                Node::Dir => {
                    let mut disk = self.disk.lock();
                    let generation = disk.generation;
                    Disk::changed(disk.tick(generation)?)?;
                    disk.names.remove(&path);
                }
            }
        }
        Ok(())
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        let disk = self.disk.lock();
        Ok(disk.capacity.saturating_sub(disk.used))
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        Ok(Box::new(()))
    }

    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>> {
        Ok(Box::new(SimMeta::new(self.clone(), dir.to_owned())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_whose_removal_was_synced_do_not_come_back_in_another_of_its_name() {
        let (root, dir) = (Path::new("/data"), Path::new("/data/a"));
        for seed in 0..20 {
            let fs = SimFs::new(seed);
            fs.create_dir_all(dir).unwrap();
            let file = fs.open(&dir.join("old"), OpenMode::Truncate).unwrap();
            file.sync_data().unwrap();
            for name in [Path::new("/"), root, dir] {
                fs.sync_dir(name).unwrap();
            }
            fs.remove_dir_all(dir).unwrap();
            fs.sync_dir(root).unwrap();
            fs.create_dir_all(dir).unwrap();
            fs.sync_dir(root).unwrap();
            fs.crash();
            assert_eq!(fs.files(), [], "seed {seed}");
        }
    }
}
