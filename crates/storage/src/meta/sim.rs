//! The key-value store of the simulation: what was not synced is lost in part at a crash.

use std::io;
use std::path::PathBuf;

use super::{MetaStore, MetaWrite, Pair, Pairs, TreeId};
use crate::fs::sim::SimFs;

pub(crate) struct SimMeta {
    fs: SimFs,
    dir: PathBuf,
}

impl SimMeta {
    pub fn new(fs: SimFs, dir: PathBuf) -> SimMeta {
        SimMeta { fs, dir }
    }
}

impl MetaStore for SimMeta {
    fn get(&self, tree: TreeId, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.fs.meta_get(&self.dir, tree, key)
    }
    fn scan(&self, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs> {
        self.fs.meta_scan(&self.dir, tree, prefix)
    }
    fn first(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        self.fs.meta_first(&self.dir, tree, from, to)
    }
    fn last(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        self.fs.meta_last(&self.dir, tree, from, to)
    }
    fn write(&self, writes: &[MetaWrite]) -> io::Result<()> {
        self.fs.meta_write(&self.dir, writes)
    }
    fn sync(&self) -> io::Result<()> {
        self.fs.meta_sync(&self.dir)
    }
    fn trees(&self) -> io::Result<Vec<TreeId>> {
        self.fs.meta_trees(&self.dir)
    }
    fn close(&self) {}
}
