//! sled 0.34 as the key-value store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;

use super::{MetaStore, MetaWrite, Pairs, TreeId};

pub(crate) struct SledMeta {
    dir: PathBuf,
    open: RwLock<Option<Open>>,
}

struct Open {
    db: sled::Db,
    trees: Vec<(TreeId, sled::Tree)>,
}

impl SledMeta {
    pub fn open(dir: &Path) -> io::Result<SledMeta> {
        let db = sled::Config::new()
            .path(dir)
            // sled would wake twice a second to flush; checkpoints do it.
            .flush_every_ms(None)
            .cache_capacity(8 << 20)
            .segment_size(256 * 1024)
            .open()
            .map_err(io_error)?;
        Ok(SledMeta {
            dir: dir.to_owned(),
            open: RwLock::new(Some(Open {
                db,
                trees: Vec::new(),
            })),
        })
    }

    fn tree(&self, id: TreeId) -> io::Result<sled::Tree> {
        if let Some(open) = &*self.open.read()
            && let Some((_, tree)) = open.trees.iter().find(|(t, _)| *t == id)
        {
            return Ok(tree.clone());
        }
        let mut open = self.open.write();
        let open = open.as_mut().ok_or_else(closed)?;
        let tree = open.db.open_tree([id]).map_err(io_error)?;
        open.trees.push((id, tree.clone()));
        Ok(tree)
    }
}

fn closed() -> io::Error {
    io::Error::other("the catalogue is closed")
}

fn io_error(e: sled::Error) -> io::Error {
    match e {
        sled::Error::Io(e) => e,
        other => io::Error::other(other),
    }
}

impl MetaStore for SledMeta {
    fn get(&self, tree: TreeId, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self
            .tree(tree)?
            .get(key)
            .map_err(io_error)?
            .map(|v| v.to_vec()))
    }

    fn scan(&self, tree: TreeId, prefix: &[u8]) -> io::Result<Pairs> {
        self.tree(tree)?
            .scan_prefix(prefix)
            .map(|pair| {
                let (k, v) = pair.map_err(io_error)?;
                Ok((k.to_vec(), v.to_vec()))
            })
            .collect()
    }

    fn write(&self, writes: &[MetaWrite]) -> io::Result<()> {
        for w in writes {
            let tree = self.tree(w.tree)?;
            match &w.value {
                Some(v) => tree.insert(&w.key, v.as_slice()),
                None => tree.remove(&w.key),
            }
            .map_err(io_error)?;
        }
        Ok(())
    }

    /// sled's flush calls sync_file_range only, which keeps neither the files' metadata nor the device's cache:
    /// every file and the directories are synced behind it.
    fn sync(&self) -> io::Result<()> {
        let open = self.open.read();
        let db = &open.as_ref().ok_or_else(closed)?.db;
        db.flush().map_err(io_error)?;
        sync_tree(&self.dir)
    }

    fn close(&self) {
        self.open.write().take();
    }
}

fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(t) if t.is_dir() => sync_tree(&entry.path())?,
            Ok(_) => match fs::File::open(entry.path()) {
                Ok(file) => file.sync_all()?,
                // sled removes old snapshots and blobs in the background.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    fs::File::open(dir)?.sync_all()
}
