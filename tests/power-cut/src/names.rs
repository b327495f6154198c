//! Directories: the names as the program sees them, those that are durable, and the changes between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

/// A file or directory of the simulated disk. Never used again for another one, as the numbers of inodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// The data directory itself.
pub const ROOT: NodeId = NodeId(0);

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub dir: NodeId,
    pub name: OsString,
}

/// One change of names; a rename is atomic, as on every file system in use.
#[derive(Debug, Clone)]
pub enum NameChange {
    Link(Place, NodeId),
    Unlink(Place, NodeId),
    Rename {
        from: Place,
        to: Place,
        node: NodeId,
    },
}

impl NameChange {
    fn dirs(&self) -> [NodeId; 2] {
        match self {
            NameChange::Link(place, _) | NameChange::Unlink(place, _) => [place.dir, place.dir],
            NameChange::Rename { from, to, .. } => [from.dir, to.dir],
        }
    }
}

/// The names of all directories.
#[derive(Debug, Clone, Default)]
pub struct Tree(HashMap<NodeId, BTreeMap<OsString, NodeId>>);

impl Tree {
    pub fn get(&self, dir: NodeId, name: &OsStr) -> Option<NodeId> {
        self.0.get(&dir)?.get(name).copied()
    }

    /// What a directory holds.
    pub fn entries(&self, dir: NodeId) -> impl Iterator<Item = (&OsString, NodeId)> {
        self.0
            .get(&dir)
            .into_iter()
            .flatten()
            .map(|(name, node)| (name, *node))
    }

    fn insert(&mut self, place: &Place, node: NodeId) {
        let dir = self.0.entry(place.dir).or_default();
        dir.insert(place.name.clone(), node);
    }

    fn remove(&mut self, place: &Place, node: NodeId) {
        if let Some(dir) = self.0.get_mut(&place.dir)
            && dir.get(&place.name) == Some(&node)
        {
            dir.remove(&place.name);
        }
    }

    fn apply(&mut self, change: &NameChange, is_dir: impl Fn(NodeId) -> bool) {
        match change {
            NameChange::Link(place, node) => self.insert(place, *node),
            NameChange::Unlink(place, node) => self.remove(place, *node),
            NameChange::Rename { from, to, node } => {
                self.remove(from, *node);
                if is_dir(*node) {
                    // A directory has one name; an earlier rename may have been lost.
                    for dir in self.0.values_mut() {
                        dir.retain(|_, other| other != node);
                    }
                }
                self.insert(to, *node);
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.values().flat_map(|dir| dir.values().copied())
    }
}

/// How much of what was not synced a power cut leaves of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// Those of changes made before this moment, as of a journalling file system.
    Before(u64),
    /// Each change or not.
    Any,
}

/// All names, and what has become of them.
#[derive(Debug, Default)]
pub struct Names {
    pub current: Tree,
    pub durable: Tree,
    pending: Vec<(u64, NameChange)>,
    dirs: BTreeSet<NodeId>,
}

impl Names {
    /// What was there when the disk was made, durable all of it.
    pub fn found(&mut self, place: &Place, node: NodeId, is_dir: bool) {
        self.current.insert(place, node);
        self.durable.insert(place, node);
        if is_dir {
            self.dirs.insert(node);
        }
    }

    pub fn is_dir(&self, node: NodeId) -> bool {
        node == ROOT || self.dirs.contains(&node)
    }

    pub fn new_dir(&mut self, node: NodeId) {
        self.dirs.insert(node);
    }

    pub fn change(&mut self, at: u64, change: NameChange) {
        self.current
            .apply(&change, |node| self.dirs.contains(&node));
        self.pending.push((at, change));
    }

    /// The directory that a path below the root names, and the last name in it.
    pub fn place(&self, path: &Path) -> Option<Place> {
        let mut dir = ROOT;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else {
                return None;
            };
            if parts.peek().is_none() {
                let name = name.to_owned();
                return Some(Place { dir, name });
            }
            dir = self.current.get(dir, name)?;
        }
        None
    }

    /// All files and directories to which something leads now, or may after a power cut.
    pub fn named(&self) -> BTreeSet<NodeId> {
        let pending = self.pending.iter().map(|(_, change)| match change {
            NameChange::Link(_, node) | NameChange::Unlink(_, node) => *node,
            NameChange::Rename { node, .. } => *node,
        });
        self.current
            .nodes()
            .chain(self.durable.nodes())
            .chain(pending)
            .collect()
    }

    /// How many names a file has now.
    pub fn names_of(&self, node: NodeId) -> usize {
        self.current.nodes().filter(|n| *n == node).count()
    }

    /// A sync of a directory that began at `at`. A rename out of it or into it is synced as a whole, with all that the other
    /// directory saw before.
    pub fn sync(&mut self, dir: NodeId, at: u64) {
        let mut dirs = BTreeSet::from([dir]);
        let mut synced = vec![false; self.pending.len()];
        for (i, (when, change)) in self.pending.iter().enumerate().rev() {
            if *when <= at && change.dirs().iter().any(|d| dirs.contains(d)) {
                dirs.extend(change.dirs());
                synced[i] = true;
            }
        }
        self.make_durable(&synced);
    }

    /// The same for all directories.
    pub fn sync_all(&mut self, at: u64) {
        let synced: Vec<bool> = self.pending.iter().map(|(when, _)| *when <= at).collect();
        self.make_durable(&synced);
    }

    fn make_durable(&mut self, chosen: &[bool]) {
        let dirs = &self.dirs;
        let mut chosen = chosen.iter();
        let durable = &mut self.durable;
        self.pending.retain(|(_, change)| {
            let is_chosen = *chosen.next().expect("one choice a change");
            if is_chosen {
                durable.apply(change, |node| dirs.contains(&node));
            }
            !is_chosen
        });
    }

    /// What is there after a power cut; how many changes are not.
    pub fn cut(&mut self, survivors: Survivors, mut coin: impl FnMut() -> bool) -> usize {
        let chosen: Vec<bool> = self
            .pending
            .iter()
            .map(|(when, _)| match survivors {
                Survivors::Before(at) => *when < at,
                Survivors::Any => coin(),
            })
            .collect();
        self.make_durable(&chosen);
        std::mem::take(&mut self.pending).len()
    }
}
