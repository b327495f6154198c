//! sled 0.34 as the key-value store.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use rustix::fs::{FlockOperation, flock};

use super::{MetaStore, MetaWrite, Pair, Pairs, TreeId};

/// The file by whose lock (flock) sled keeps others out.
const LOCKED_FILE: &str = "db";

/// Makes a file, or the names in a directory, durable. A test may look on.
type Fsync = Box<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

pub(crate) struct SledMeta {
    dir: PathBuf,
    fsync: Fsync,
    open: RwLock<Option<Open>>,
}

struct Open {
    db: sled::Db,
    trees: Vec<(TreeId, sled::Tree)>,
}

impl SledMeta {
    pub fn open(dir: &Path) -> io::Result<SledMeta> {
        SledMeta::open_with(dir, Box::new(|path| fs::File::open(path)?.sync_all()))
    }

    fn open_with(dir: &Path, fsync: Fsync) -> io::Result<SledMeta> {
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
            fsync,
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

/// Has the device hold what can be read of a catalogue that nobody has open, if there is one. A sync alone does not do that: after one that failed the
/// kernel takes pages for clean that are nowhere but in its cache, and sled goes on after what it finds there.
pub(crate) fn write_again(dir: &Path) -> io::Result<()> {
    let locked = match fs::File::open(dir.join(LOCKED_FILE)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    flock(&locked, FlockOperation::LockExclusive)?;
    let write: Fsync = Box::new(|path| match path.is_dir() {
        true => fs::File::open(path)?.sync_all(),
        false => write_file_again(path),
    });
    sync_tree(dir, &write)
}

fn write_file_again(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut block = vec![0; 256 * 1024];
    let mut position = 0;
    loop {
        let n = file.read_at(&mut block, position)?;
        if n == 0 {
            return file.sync_all();
        }
        file.write_all_at(&block[..n], position)?;
        position += n as u64;
    }
}

fn pair(found: Option<sled::Result<(sled::IVec, sled::IVec)>>) -> io::Result<Option<Pair>> {
    let found = found.transpose().map_err(io_error)?;
    Ok(found.map(|(k, v)| (k.to_vec(), v.to_vec())))
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

    fn first(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        pair(self.tree(tree)?.range(from..to).next())
    }

    fn last(&self, tree: TreeId, from: &[u8], to: &[u8]) -> io::Result<Option<Pair>> {
        pair(self.tree(tree)?.range(from..to).next_back())
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
        sync_tree(&self.dir, &self.fsync)
    }

    fn trees(&self) -> io::Result<Vec<TreeId>> {
        let open = self.open.read();
        let names = open.as_ref().ok_or_else(closed)?.db.tree_names();
        // sled has a tree of its own, whose name is longer.
        let mut trees: Vec<TreeId> = names
            .iter()
            .filter_map(|name| match name[..] {
                [id] => Some(id),
                _ => None,
            })
            .collect();
        trees.sort_unstable();
        Ok(trees)
    }

    /// Threads of sled's own may have the file for a moment longer: whoever opens the directory next would find it locked.
    fn close(&self) {
        let was_open = self.open.write().take().is_some();
        if was_open && let Ok(file) = fs::File::open(self.dir.join(LOCKED_FILE)) {
            // Nobody else can have it: the data directory is locked until this returns. What fails here fails at the next opening.
            let _ = flock(&file, FlockOperation::LockExclusive);
        }
    }
}

fn sync_tree(dir: &Path, fsync: &Fsync) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let done = match entry.file_type() {
            Ok(t) if t.is_dir() => sync_tree(&entry.path(), fsync),
            Ok(_) => fsync(&entry.path()),
            Err(e) => Err(e),
        };
        match done {
            // sled removes old snapshots and blobs in the background.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    fsync(dir)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::meta::MetaWrite;

    fn write(meta: &SledMeta, keys: std::ops::Range<u32>) {
        let put = |k: u32| MetaWrite {
            tree: 2,
            key: k.to_be_bytes().to_vec(),
            // Some large enough for sled to give them files of their own.
            value: Some(vec![
                k as u8;
                if k.is_multiple_of(100) { 300_000 } else { 50 }
            ]),
        };
        meta.write(&keys.map(put).collect::<Vec<_>>())
            .expect("written");
    }

    /// A disk that keeps of each file what it held when it was last fsynced, and names of synced directories only.
    #[derive(Default)]
    struct Platter {
        files: std::collections::BTreeMap<PathBuf, Vec<u8>>,
        names: Vec<PathBuf>,
    }

    impl Platter {
        fn fsync(&mut self, path: &Path) -> io::Result<()> {
            if !path.is_dir() {
                self.files.insert(path.to_owned(), fs::read(path)?);
                return Ok(());
            }
            self.names.retain(|p| p.parent() != Some(path));
            for entry in fs::read_dir(path)? {
                self.names.push(entry?.path());
            }
            Ok(())
        }

        /// What is there after the power came back.
        fn copy(&self, from: &Path, to: &Path) {
            for (path, bytes) in self.files.iter().filter(|(p, _)| self.names.contains(p)) {
                let target = to.join(path.strip_prefix(from).expect("below"));
                fs::create_dir_all(target.parent().expect("a directory")).expect("made");
                fs::write(target, bytes).expect("copied");
            }
        }
    }

    #[test]
    fn what_was_synced_survives_a_power_cut_that_keeps_fsynced_bytes_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let platter = Arc::new(Mutex::new(Platter::default()));
        let disk = platter.clone();
        let fsync: Fsync = Box::new(move |path| disk.lock().fsync(path));
        let meta = SledMeta::open_with(dir.path(), fsync).expect("open");
        let mut kept = 0;
        for round in 0..4 {
            write(&meta, kept..kept + 700);
            kept += 700;
            meta.sync().expect("synced");
            // Not synced: may go, must not harm.
            write(&meta, 100_000 + round * 10..100_010 + round * 10);
            let after = tempfile::tempdir().expect("a directory");
            platter.lock().copy(dir.path(), after.path());
            let found = SledMeta::open(after.path()).expect("opens after the power cut");
            for k in 0..kept {
                let value = found.get(2, &k.to_be_bytes()).expect("read");
                assert!(value.is_some_and(|v| v[0] == k as u8), "{k} of {kept}");
            }
        }
    }

    #[test]
    fn a_catalogue_that_is_written_again_is_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("meta");
        write_again(&dir).expect("there is none");
        assert!(!dir.exists());
        let meta = SledMeta::open(&dir).expect("open");
        write(&meta, 0..700);
        meta.sync().expect("synced");
        meta.close();
        let mut before = Platter::default();
        let mut after = Platter::default();
        sync_all(&dir, &mut before);
        write_again(&dir).expect("written");
        sync_all(&dir, &mut after);
        assert!(before.files.len() > 3, "{:?}", before.files.keys());
        assert!(before.files == after.files && before.names == after.names);
        let meta = SledMeta::open(&dir).expect("open");
        assert!(meta.get(2, &699u32.to_be_bytes()).expect("read").is_some());
    }

    fn sync_all(dir: &Path, platter: &mut Platter) {
        let mut paths = vec![dir.to_owned(), dir.join("blobs")];
        while let Some(path) = paths.pop() {
            platter.fsync(&path).expect("there");
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("there");
                let files = entries.map(|e| e.expect("there").path());
                paths.extend(files.filter(|p| !p.is_dir()));
            }
        }
        platter.names.sort();
    }
}
