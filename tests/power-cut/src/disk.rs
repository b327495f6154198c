//! The simulated disk: names and contents together, and what a power cut leaves of them.
//!
//! The program works on the live directory. Beside it, in `shadow/`, are the durable bytes of the files that it has changed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::CutReport;
use crate::content::{Change, Content, Durable, Kept, Losses};
use crate::names::{NameChange, Names, NodeId, Place, ROOT, Survivors};

#[derive(Debug)]
pub(crate) struct Disk {
    /// The data directory, absolute.
    pub root: PathBuf,
    shadow: tempfile::TempDir,
    pub names: Names,
    contents: HashMap<NodeId, Content>,
    /// By device and inode number of the live file.
    live: HashMap<(u64, u64), NodeId>,
    next_node: u64,
    /// Counts changes, which gives their order.
    pub clock: u64,
}

impl Disk {
    /// A disk with what a directory holds, all of it durable.
    pub fn new(root: &Path) -> io::Result<Disk> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let beside = root.parent().unwrap_or(&root).to_owned();
        let mut disk = Disk {
            shadow: tempfile::Builder::new()
                .prefix("power-cut-")
                .tempdir_in(beside)?,
            root,
            names: Names::default(),
            contents: HashMap::new(),
            live: HashMap::new(),
            next_node: 1,
            clock: 0,
        };
        let root = disk.root.clone();
        disk.register(&fs::metadata(&root)?, ROOT);
        disk.scan(&root, ROOT)?;
        Ok(disk)
    }

    fn scan(&mut self, path: &Path, dir: NodeId) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            let known = self.live.get(&(meta.dev(), meta.ino())).copied();
            let node = known.unwrap_or_else(|| self.new_node(&meta));
            let place = Place {
                dir,
                name: entry.file_name(),
            };
            self.names.found(&place, node, meta.is_dir());
            if meta.is_dir() {
                self.scan(&entry.path(), node)?;
            } else {
                self.contents.insert(node, Content::found(meta.len()));
            }
        }
        Ok(())
    }

    fn register(&mut self, meta: &fs::Metadata, node: NodeId) {
        self.live.insert((meta.dev(), meta.ino()), node);
    }

    fn new_node(&mut self, meta: &fs::Metadata) -> NodeId {
        let node = NodeId(self.next_node);
        self.next_node += 1;
        self.register(meta, node);
        node
    }

    pub fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The file or directory that an open file is.
    pub fn node_of(&self, file: &File) -> io::Result<Option<NodeId>> {
        let meta = file.metadata()?;
        if !meta.is_file() && !meta.is_dir() {
            return Ok(None);
        }
        Ok(self.live.get(&(meta.dev(), meta.ino())).copied())
    }

    pub fn len(&self, node: NodeId) -> u64 {
        self.contents.get(&node).map_or(0, |content| content.len)
    }

    /// A path below the root, relative to it.
    pub fn relative<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.strip_prefix(&self.root).ok()
    }

    /// Where a path below the root is, and what it names now.
    pub fn find(&self, relative: &Path) -> Option<(Place, Option<NodeId>)> {
        let place = self.names.place(relative)?;
        let node = self.names.current.get(place.dir, &place.name);
        Some((place, node))
    }

    fn own(&self, node: NodeId) -> PathBuf {
        self.shadow.path().join(node.0.to_string())
    }

    fn linked(&self, node: NodeId) -> PathBuf {
        self.shadow.path().join(format!("{}~", node.0))
    }

    /// Must come before the first change of a file's bytes: keeps those that are durable. `live` is the file, open in whatever way.
    pub fn before_change(&mut self, node: NodeId, live: &Path) -> io::Result<()> {
        let (own, linked) = (self.own(node), self.linked(node));
        let Some(content) = self.contents.get_mut(&node) else {
            return Ok(());
        };
        if matches!(content.durable, Durable::Live | Durable::Linked) {
            fs::copy(live, own)?;
            if content.durable == Durable::Linked {
                fs::remove_file(linked)?;
            }
            content.durable = Durable::Own;
        }
        Ok(())
    }

    /// Must come before a file loses a name: its bytes may be needed after a power cut.
    pub fn before_unlink(&mut self, node: NodeId, path: &Path) -> io::Result<()> {
        let linked = self.linked(node);
        if let Some(content) = self.contents.get_mut(&node)
            && content.durable == Durable::Live
        {
            fs::hard_link(path, linked)?;
            content.durable = Durable::Linked;
        }
        Ok(())
    }

    pub fn changed(&mut self, node: NodeId, change: Change) {
        let at = self.tick();
        if let Some(content) = self.contents.get_mut(&node) {
            content.change(at, change);
        }
    }

    /// A file or directory that has just been made.
    pub fn created(&mut self, place: Place, meta: &fs::Metadata) -> NodeId {
        let node = self.new_node(meta);
        if meta.is_dir() {
            self.names.new_dir(node);
        } else {
            self.contents.insert(node, Content::new());
        }
        self.renamed(NameChange::Link(place, node));
        node
    }

    pub fn renamed(&mut self, change: NameChange) {
        let at = self.tick();
        self.names.change(at, change);
    }

    /// A sync, begun at `when`, of a file or directory.
    pub fn sync(&mut self, node: NodeId, when: u64) -> io::Result<()> {
        if self.names.is_dir(node) {
            self.names.sync(node, when);
            return self.forget_unnamed();
        }
        let own = self.own(node);
        match self.contents.get_mut(&node) {
            Some(content) => content.sync(when, &own),
            None => Ok(()),
        }
    }

    /// The same of everything.
    pub fn sync_all(&mut self, when: u64) -> io::Result<()> {
        for (node, content) in &mut self.contents {
            content.sync(when, &self.shadow.path().join(node.0.to_string()))?;
        }
        self.names.sync_all(when);
        self.forget_unnamed()
    }

    /// A sync that fails: what it should have kept may be lost for ever.
    pub fn fail_sync(&mut self, node: NodeId, rng: &mut StdRng) -> io::Result<()> {
        let own = self.own(node);
        match self.contents.get_mut(&node) {
            Some(content) => content.fail_sync(&own, rng),
            None => Ok(()),
        }
    }

    fn forget_unnamed(&mut self) -> io::Result<()> {
        let named = self.names.named();
        let gone: Vec<NodeId> = self
            .contents
            .keys()
            .filter(|node| !named.contains(node))
            .copied()
            .collect();
        for node in gone {
            self.contents.remove(&node);
            self.live.retain(|_, other| *other != node);
            for path in [self.own(node), self.linked(node)] {
                match fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The power cut: puts into place what it leaves, and takes that as durable from here on. No program may have the directory open.
    pub fn cut(&mut self, seed: u64) -> io::Result<CutReport> {
        let mut rng = StdRng::seed_from_u64(seed);
        let moment = self.clock.saturating_sub(rng.random_range(0..64)) + 1;
        let (bytes, names) = match rng.random_range(0..8) {
            // All that was not synced is gone, or none of it, as when the process alone dies.
            0 => (Kept::Before(0), Survivors::Before(0)),
            1 => (Kept::Before(u64::MAX), Survivors::Before(u64::MAX)),
            // As if the disk had stopped a little earlier.
            2 => (Kept::Before(moment), Survivors::Before(moment)),
            // Names without their bytes, bytes without their names.
            3 => (Kept::Before(0), Survivors::Before(u64::MAX)),
            4 => (Kept::Before(u64::MAX), Survivors::Before(0)),
            // A journalling file system, which orders names and not bytes.
            5 => (Kept::Any, Survivors::Before(moment)),
            _ => (Kept::Any, Survivors::Any),
        };
        let mut report = CutReport {
            lost_names: self.names.cut(names, || rng.random()) as u64,
            ..CutReport::default()
        };
        // In their order, so that a seed gives the same every time.
        let mut order: Vec<NodeId> = self.contents.keys().copied().collect();
        order.sort_unstable();
        for node in order {
            let own = self.own(node);
            if let Some(content) = self.contents.get_mut(&node) {
                let Losses { lost, torn, kept } = content.cut(bytes, &own, &mut rng)?;
                report.lost_writes += lost;
                report.torn_writes += torn;
                report.kept_writes += kept;
            }
        }
        self.put_into_place()?;
        *self = Disk::new(&self.root)?;
        Ok(report)
    }

    fn put_into_place(&self) -> io::Result<()> {
        let image = self.shadow.path().join("image");
        fs::create_dir(&image)?;
        let mut placed = HashMap::new();
        self.place_dir(ROOT, &image, &mut placed)?;
        fs::rename(&self.root, self.shadow.path().join("before"))?;
        fs::rename(&image, &self.root)
    }

    fn place_dir(
        &self,
        dir: NodeId,
        path: &Path,
        placed: &mut HashMap<NodeId, PathBuf>,
    ) -> io::Result<()> {
        for (name, node) in self.names.durable.entries(dir) {
            let path = path.join(name);
            if self.names.is_dir(node) {
                fs::create_dir(&path)?;
                self.place_dir(node, &path, placed)?;
            } else if let Some(first) = placed.get(&node) {
                fs::hard_link(first, &path)?;
            } else {
                match self.contents.get(&node).map(|content| content.durable) {
                    None | Some(Durable::Nothing) => File::create(&path).map(|_| ())?,
                    Some(Durable::Own) => fs::hard_link(self.own(node), &path)?,
                    Some(Durable::Linked) => fs::hard_link(self.linked(node), &path)?,
                    Some(Durable::Live) => fs::hard_link(self.live_path(node)?, &path)?,
                }
                placed.insert(node, path);
            }
        }
        Ok(())
    }

    /// A name of a file in the live directory.
    fn live_path(&self, node: NodeId) -> io::Result<PathBuf> {
        self.search(ROOT, &self.root, node)
            .ok_or_else(|| io::Error::other(format!("no live name of {node:?}")))
    }

    fn search(&self, dir: NodeId, path: &Path, wanted: NodeId) -> Option<PathBuf> {
        self.names.current.entries(dir).find_map(|(name, node)| {
            let path = path.join::<&OsStr>(name);
            if node == wanted {
                Some(path)
            } else if self.names.is_dir(node) {
                self.search(node, &path, wanted)
            } else {
                None
            }
        })
    }
}
