//! A log of any size on little room: the storage writes it over a file system that leaves out blocks of zeros.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_storage::fs::{DirEntry, File, Fs, LockError, OpenMode, OsFs};
use ottla_storage::meta::MetaStore;
use ottla_storage::{
    AppendContext, CompactionOptions, Durability, LogConfig, NewTopic, Store, StoreOptions,
};
use uuid::Uuid;

#[path = "../../../crates/storage/tests/support/no_state.rs"]
mod no_state;

use no_state::NoState;

/// The topic, of one partition.
pub const TOPIC: &str = "scale-log";
/// Its id.
pub const ID: Uuid = Uuid::from_u128(0x5ca1e);
/// A batch has one record, of zeros.
const RECORD_BYTES: usize = 1_000_000;
/// Milliseconds from one batch to the next.
pub const STEP_MS: i64 = 10;
/// So many batches are on their way to the disk at the same time.
const AT_ONCE: u64 = 64;
/// A file system's block, and what is looked at for zeros.
const BLOCK: usize = 4096;

/// Fills `directory` with a topic of about `gigabytes`, whose first batch is of `first_ms`. How many batches it has.
pub async fn fill(directory: &Path, gigabytes: u64, first_ms: i64) -> Result<u64> {
    let store = Store::open(Arc::new(SparseFs), directory, options())?;
    let topic = NewTopic {
        id: ID,
        name: TOPIC.to_owned(),
        partitions: 1,
        configs: Default::default(),
        created_ms: first_ms,
    };
    store.create_topic(topic)?;
    let partition = store
        .partition(&ID, 0)
        .context("the partition is not there")?;
    let mut batches = 0;
    let mut last = None;
    while partition.size_bytes() < gigabytes * 1_000_000_000 {
        let time = first_ms + batches as i64 * STEP_MS;
        let batch = batch(time);
        let headers = check_all(&batch)?;
        let appended =
            partition.append(BytesMut::from(batch), &headers, AppendContext::at(time))?;
        batches += 1;
        last = Some(appended.commit);
        if batches % AT_ONCE == 0 {
            store.durable(appended.commit).await?;
        }
    }
    if let Some(last) = last {
        store.durable(last).await?;
    }
    store.close()?;
    Ok(batches)
}

fn batch(timestamp: i64) -> Bytes {
    let record = Record {
        offset: 0,
        timestamp,
        key: None,
        value: Some(Bytes::from_static(&[0; RECORD_BYTES])),
        headers: Vec::new(),
    };
    BatchBuilder::default().build(&[record])
}

/// As a broker has them without settings, as far as it matters here.
fn options() -> StoreOptions {
    StoreOptions {
        durability: Durability::Os,
        cache_bytes: 16 << 20,
        max_open_files: 64,
        checkpoint_bytes: 64 << 20,
        checkpoint_interval: Duration::from_secs(3600),
        log_config: Arc::new(|_| LogConfig::default()),
        partition_state: Arc::new(NoState),
        compaction: CompactionOptions::new(|| 0),
        cluster_id: None,
        cut_damaged_journal: false,
    }
}

/// [`OsFs`], whose files have holes where zeros are written.
struct SparseFs;

#[derive(Debug)]
struct SparseFile(Arc<dyn File>);

impl File for SparseFile {
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(position, buf)
    }
    fn write_at(&self, mut position: u64, bufs: &[&[u8]]) -> io::Result<()> {
        for buf in bufs {
            let mut rest = *buf;
            while !rest.is_empty() {
                // Up to the end of the block that it begins in.
                let room = BLOCK - (position % BLOCK as u64) as usize;
                let (block, after) = rest.split_at(room.min(rest.len()));
                if block.len() < BLOCK || block.iter().any(|b| *b != 0) || after.is_empty() {
                    self.0.write_at(position, &[block])?;
                }
                position += block.len() as u64;
                rest = after;
            }
        }
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn os_file(&self) -> Option<&std::fs::File> {
        self.0.os_file()
    }
}

impl Fs for SparseFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = OsFs.open(path, mode)?;
        // The journal is written over and over: what is a hole here would be old bytes there.
        let is_log = path.extension().is_some_and(|e| e == "log");
        Ok(if is_log {
            Arc::new(SparseFile(file))
        } else {
            file
        })
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        OsFs.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsFs.sync_dir(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        OsFs.read_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsFs.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.hard_link(from, to)
    }
    fn sync_tree(&self, dir: &Path) -> io::Result<()> {
        OsFs.sync_tree(dir)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsFs.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        OsFs.remove_dir_all(path)
    }
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        OsFs.available_bytes(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        OsFs.lock(path)
    }
    fn write_meta_again(&self, dir: &Path) -> io::Result<()> {
        OsFs.write_meta_again(dir)
    }

    fn open_meta(&self, dir: &Path) -> io::Result<Box<dyn MetaStore>> {
        OsFs.open_meta(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sparse_log_is_whole_and_takes_little_room() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let batches = fill(&data, 1, 5).await.unwrap();
        let log = data.join(format!("topics/{TOPIC}-0/00000000000000000000.log"));
        assert!(std::fs::metadata(&log).unwrap().len() > 990_000_000);
        assert!(crate::process::disk_bytes(&data) < 200 << 20);
        let store = Store::open(Arc::new(OsFs), &data, options()).unwrap();
        let partition = store.partition(&ID, 0).unwrap();
        assert_eq!(partition.high_watermark(), batches as i64);
        let middle = batches as i64 / 2;
        let end = partition.high_watermark();
        let read = partition.read(middle, end, 1, true).unwrap();
        assert_eq!(read.next, middle + 1);
    }
}
