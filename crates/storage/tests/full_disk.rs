//! A disk that fills up: writes are refused, reads go on, deleting a topic works, and writes resume by themselves.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/observed.rs"]
mod observed;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use observed::ObservedFs;
use ottla_storage::fs::{Fs, OsFs};
use ottla_storage::{AppendError, Store, StoreError};
use support::*;

/// Writes until the disk is full. Returns how many batches were acknowledged.
async fn fill(store: &Store, partition: &ottla_storage::Partition, size: usize) -> i64 {
    for kept in 0.. {
        let (bytes, headers) = batch(&[&vec![kept as u8; size]], 5);
        let outcome = match partition.append(bytes, &headers, NOW) {
            Ok(appended) => store.durable(appended.commit).await,
            Err(AppendError::Store(e)) => Err(e),
            Err(e) => panic!("{e}"),
        };
        match outcome {
            Ok(()) => {}
            Err(StoreError::DiskFull) => return kept,
            Err(e) => panic!("{e}"),
        }
    }
    unreachable!("the disk is never full")
}

async fn fills_up_and_recovers(fs: Arc<dyn Fs>, dir: &Path, size: usize) {
    let store = Store::open(fs.clone(), dir, options()).unwrap();
    let big = create(&store, "big", &[("segment.bytes", "1000000")]);
    let other = create(&store, "other", &[]);
    let p = store.partition(&big.id, 0).unwrap();
    let q = store.partition(&other.id, 0).unwrap();
    append(&store, &q, &[b"before"], 1).await;

    let kept = fill(&store, &p, size).await;
    assert!(kept > 3, "{kept}");
    assert!(matches!(store.write_trouble(), Some(StoreError::DiskFull)));

    let records = read_all(&p, 300_000);
    assert_eq!(records.len() as i64, kept);
    assert!(records.iter().all(|(o, v)| *v == vec![*o as u8; size]));
    assert_eq!(read_all(&q, 1000), [(0, b"before".to_vec())]);

    let commit = store.delete_topic(&big.id).unwrap().unwrap();
    store.durable(commit).await.unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    while store.write_trouble().is_some() {
        // The store looks for room by itself now and then; nothing announces it.
        let room = fs.available_bytes(dir).unwrap();
        assert!(
            Instant::now() < patience,
            "writes do not resume though {room} bytes are free"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    append(&store, &q, &[b"after"], 2).await;
    store.close().unwrap();
    drop((p, q, store));

    let store = Store::open(fs, dir, options()).unwrap();
    assert!(store.topics().by_name("big").is_none());
    let q = store.partition(&other.id, 0).unwrap();
    let expected = [(0, b"before".to_vec()), (1, b"after".to_vec())];
    assert_eq!(read_all(&q, 1000), expected);
    assert_eq!(store.check().unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_budget_of_bytes_small_appends_fill_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let fs = ObservedFs::default();
    fs.limit(12 << 20);
    fills_up_and_recovers(Arc::new(fs), dir.path(), 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_budget_of_bytes_large_appends_fill_their_segments() {
    let dir = tempfile::tempdir().unwrap();
    let fs = ObservedFs::default();
    fs.limit(12 << 20);
    fills_up_and_recovers(Arc::new(fs), dir.path(), 100_000).await;
}

struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Result<Mounted, String> {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(dir.path())
            .output()
            .map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Mounted(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0.path()).status();
        if !status.is_ok_and(|s| s.success()) {
            eprintln!("{} stays mounted", self.0.path().display());
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_file_system_of_16_mib() {
    for size in [20_000, 100_000] {
        let mounted = match Mounted::new() {
            Ok(mounted) => mounted,
            Err(reason) => {
                println!("skipped: no file system can be mounted here: {reason}");
                return;
            }
        };
        fills_up_and_recovers(Arc::new(OsFs), &mounted.0.path().join("data"), size).await;
    }
}
