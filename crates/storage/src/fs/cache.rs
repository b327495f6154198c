//! Open files, bounded: the least recently used is closed. A reader that holds one keeps it open.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::File;
use crate::partition::files::SegmentId;

/// A partition's number in this process, a segment, and which of its files.
pub(crate) type FileKey = (u64, SegmentId, u8);

pub(crate) struct FileCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    files: HashMap<FileKey, (u64, Arc<dyn File>)>,
    clock: u64,
}

impl FileCache {
    pub fn new(capacity: usize) -> FileCache {
        FileCache {
            capacity: capacity.max(1),
            inner: Mutex::default(),
        }
    }

    /// The open file of `key`, or what `open` gives. Two threads may open the same file at once; one handle is kept.
    pub fn get_or_open(
        &self,
        key: FileKey,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
    ) -> io::Result<Arc<dyn File>> {
        {
            let mut inner = self.inner.lock();
            inner.clock += 1;
            let clock = inner.clock;
            if let Some((used, file)) = inner.files.get_mut(&key) {
                *used = clock;
                return Ok(file.clone());
            }
        }
        let file = open()?;
        let mut closed = None;
        let mut inner = self.inner.lock();
        if inner.files.len() >= self.capacity {
            let oldest = inner
                .files
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(k, _)| *k);
            closed = oldest.and_then(|k| inner.files.remove(&k));
        }
        inner.clock += 1;
        let clock = inner.clock;
        inner.files.insert(key, (clock, file.clone()));
        drop(inner);
        drop(closed);
        Ok(file)
    }

    /// Forgets the files of a segment.
    pub fn forget(&self, partition: u64, segment: SegmentId) {
        let mut closed = Vec::new();
        let mut inner = self.inner.lock();
        for kind in 0..3 {
            closed.extend(inner.files.remove(&(partition, segment, kind)));
        }
        drop(inner);
    }

    #[cfg(test)]
    pub fn holds(&self, partition: u64, segment: SegmentId) -> bool {
        let inner = self.inner.lock();
        (0..3).any(|kind| inner.files.contains_key(&(partition, segment, kind)))
    }

    /// Forgets the files of a partition.
    pub fn forget_partition(&self, partition: u64) {
        let mut inner = self.inner.lock();
        let keys: Vec<FileKey> = inner
            .files
            .keys()
            .filter(|k| k.0 == partition)
            .copied()
            .collect();
        let closed: Vec<_> = keys.iter().filter_map(|k| inner.files.remove(k)).collect();
        drop(inner);
        drop(closed);
    }
}
