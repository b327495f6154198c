//! The key-value store of the simulation: what was not synced is lost in part at a crash.

use std::io;

use super::{MetaStore, MetaWrite, Pairs, TreeId};
use crate::fs::sim::SimFs;

pub(crate) struct SimMeta {
    fs: SimFs,
}

impl SimMeta {
    pub fn new(fs: SimFs) -> SimMeta {
        SimMeta { fs }
    }
}

impl MetaStore for SimMeta {
    fn get(&self, tree: TreeId, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.fs.meta_get(tree, key)
    }
    fn scan(&self, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs> {
        self.fs.meta_scan(tree, prefix)
    }
    fn write(&self, writes: &[MetaWrite]) -> io::Result<()> {
        self.fs.meta_write(writes)
    }
    fn sync(&self) -> io::Result<()> {
        self.fs.meta_sync()
    }
    fn close(&self) {}
}
