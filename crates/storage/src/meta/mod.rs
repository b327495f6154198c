//! The small trees: a key-value store underneath, and above it the changes that it does not have yet.

use std::io;

mod overlay;
mod sim;
mod sled;

pub(crate) use overlay::Overlay;
pub(crate) use sim::SimMeta;
pub(crate) use sled::{SledMeta, write_again as write_sled_again};

use crate::store::Tree;

/// A tree, those of the store itself included. The number is on disk.
pub type TreeId = u8;

/// Trees of the store itself.
pub(crate) const TOPICS: TreeId = 101;
/// Log start offsets that were moved.
pub(crate) const LOG_STARTS: TreeId = 102;
/// One row per partition; written at checkpoints only.
pub(crate) const PARTITIONS: TreeId = 103;
/// Snapshots of [`crate::PartitionState`]; written at checkpoints only.
pub(crate) const STATES: TreeId = 104;
/// The journal position.
pub(crate) const CHECKPOINT: TreeId = 105;
/// Blocks of aborted transactions; written at checkpoints only.
pub(crate) const ABORTED: TreeId = 106;

/// The number of a public tree on disk.
pub(crate) fn tree_id(tree: Tree) -> TreeId {
    match tree {
        Tree::Groups => 1,
        Tree::Offsets => 2,
        Tree::Producers => 3,
        Tree::Configs => 4,
        Tree::DeadLetters => 5,
        Tree::Transactions => 6,
        Tree::PendingOffsets => 7,
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaWrite {
    /// Where.
    pub tree: TreeId,
    /// The key.
    pub key: Vec<u8>,
    /// The value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

impl MetaWrite {
    /// Bytes of key and value.
    pub(crate) fn len(&self) -> u64 {
        (self.key.len() + self.value.as_ref().map_or(0, Vec::len)) as u64
    }
}

/// Key and value.
pub type Pair = (Vec<u8>, Vec<u8>);
/// Pairs of key and value.
pub type Pairs = Vec<Pair>;

/// The key-value store that holds what describes the log. What was not synced may be lost at a power cut, in part and in any order.
pub trait MetaStore: Send + Sync {
    /// A value.
    fn get(&self, tree: TreeId, key: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// All pairs whose key starts with `prefix`, in order.
    fn scan(&self, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs>;
    /// The first pair with a key in `from..to`.
    fn first(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>>;
    /// The last pair with a key in `from..to`.
    fn last(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>>;
    /// Writes, without making it durable.
    fn write(&self, writes: &[MetaWrite]) -> io::Result<()>;
    /// Makes all writes durable.
    fn sync(&self) -> io::Result<()>;
    /// The trees that were ever written to, in order.
    fn trees(&self) -> io::Result<Vec<TreeId>>;
    /// Lets go of the files; every later call fails.
    fn close(&self);
}
