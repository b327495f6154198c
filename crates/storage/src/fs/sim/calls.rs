//! The calls to the simulated disk.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, Inode, Node, Pending, Rename, SimFs, write_into};
use crate::fs::{DirEntry, File, Fs, LockError, OpenMode};
use crate::meta::{MetaStore, SimMeta};

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
        let synced = disk.sync_tick(self.generation);
        let cleans = synced.is_err() && std::mem::take(&mut disk.cleans_failed);
        let inode = disk.inodes.get_mut(&self.inode).ok_or_else(gone)?;
        match &synced {
            Ok(()) => inode.sync(),
            Err(_) if cleans => inode.pending.retain(|p| matches!(p, Pending::SetLen(_))),
            Err(_) => {}
        }
        synced
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
        disk.settle_renames(|dir| dir == path);
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
        let replaced = disk.durable_names.get(to).copied();
        disk.renames.push(Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            replaced,
        });
        disk.move_names(from, to);
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
        disk.settle_renames(|dir| dir.starts_with(path));
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

    fn write_meta_again(&self, dir: &Path) -> io::Result<()> {
        self.write_rows_again(dir)
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
