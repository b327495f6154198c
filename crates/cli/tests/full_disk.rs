//! A disk that fills up: a file system of a few MiB in memory, which only root can mount.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ottla_client::Connection;
use ottla_client::kafka_protocol::ResponseError;
use support::wire::*;
use support::{PATIENCE, Served, ottla, refused, text};
use tempfile::TempDir;

/// A mounted tmpfs; unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    /// `None`, with the reason told, where mounting is not allowed.
    fn mount(options: &str) -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk(dir)),
            Ok(output) => {
                eprintln!("skipped, no tmpfs: {}", text(&output.stderr));
                None
            }
            Err(e) => {
                eprintln!("skipped, no mount command: {e}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", options])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a broker that a failing test left may hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

const STORAGE_ERROR: ResponseError = ResponseError::KafkaStorageError;

/// Produces until the disk is full; the number of batches that were acknowledged.
async fn fill(connection: &mut Connection, topic: &str) -> i64 {
    let large = batch(&[vec![7; 300_000]]);
    let mut kept = 0;
    loop {
        match produce(connection, topic, large.clone()).await {
            (0, offset) => {
                assert_eq!(offset, kept);
                kept += 1;
                assert!(kept < 1000, "the disk is never full");
            }
            (code, _) => {
                assert_eq!(code, STORAGE_ERROR.code());
                return kept;
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_reads_go_on_and_a_deleted_topic_makes_room() {
    let Some(disk) = Disk::mount("size=48m") else {
        return;
    };
    let mut broker = Served::start(disk.path());
    let mut connection = broker.connect().await;
    for topic in ["large", "small"] {
        assert_eq!(auto_create(&mut connection, topic).await, 0);
    }
    let first = produce(&mut connection, "small", batch(&[b"before".to_vec()])).await;
    assert_eq!(first, (0, 0));
    let kept = fill(&mut connection, "large").await;
    assert!(kept > 10, "{kept}");
    broker.wait_for("no space left");

    // Reads go on, of the first and of the last.
    for (topic, offset) in [("large", 0), ("large", kept - 1), ("small", 0)] {
        let (error, records) = fetch(&mut connection, topic, offset).await;
        assert_eq!(error, 0, "{topic} {offset}");
        assert!(!records.is_empty(), "{topic} {offset}");
    }
    broker.ok(&["topic", "delete", "large"]);
    let until = Instant::now() + PATIENCE;
    let again = loop {
        match produce(&mut connection, "small", batch(&[b"after".to_vec()])).await {
            (0, offset) => break offset,
            (code, _) => assert_eq!(code, STORAGE_ERROR.code()),
        }
        assert!(Instant::now() < until, "writes do not resume");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(again, 1);
    assert_eq!(broker.stop().0, Some(0));
    let broker = Served::start(disk.path());
    assert_eq!(broker.ok(&["consume", "small", "-e"]), "before\nafter\n");
    assert_eq!(broker.ok(&["topic", "list", "--json"]).lines().count(), 1);
}

#[tokio::test]
async fn a_record_is_not_dead_lettered_on_a_full_disk_and_not_lost_and_once_when_there_is_room() {
    let Some(disk) = Disk::mount("size=48m") else {
        return;
    };
    let broker = Served::start(disk.path());
    let mut connection = broker.connect().await;
    for topic in ["large", "t"] {
        assert_eq!(auto_create(&mut connection, topic).await, 0);
    }
    let records = [b"poison".to_vec(), b"sound".to_vec()];
    assert_eq!(produce(&mut connection, "t", batch(&records)).await.0, 0);
    fill(&mut connection, "large").await;

    let refused = commit(&mut connection, "g", "t", 0, "!dead unreadable").await;
    let unavailable = ResponseError::CoordinatorNotAvailable.code();
    assert_eq!(refused, unavailable, "an error that clients retry");
    assert_eq!(committed(&mut connection, "g", "t").await, -1);

    broker.ok(&["topic", "delete", "large"]);
    let until = Instant::now() + PATIENCE;
    while committed(&mut connection, "g", "t").await != 1 {
        assert!(Instant::now() < until, "the record stays where it is");
        // As a client does; if the broker was faster, it is before the position.
        let code = commit(&mut connection, "g", "t", 0, "!dead unreadable").await;
        let moved = ResponseError::OffsetOutOfRange.code();
        assert!([0, unavailable, moved].contains(&code), "{code}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(broker.ok(&["consume", "t.dlq", "-e"]), "poison\n");
    assert_eq!(broker.stop().0, Some(0));
}

#[tokio::test]
async fn a_broker_killed_on_a_full_disk_has_everything_acknowledged_when_it_is_back() {
    let Some(disk) = Disk::mount("size=48m") else {
        return;
    };
    let broker = Served::start(disk.path());
    let mut connection = broker.connect().await;
    assert_eq!(auto_create(&mut connection, "t").await, 0);
    let kept = fill(&mut connection, "t").await;
    broker.kill();
    let broker = Served::start(disk.path());
    let read = broker.ok(&["consume", "t", "-e", "-f", r"%o %S\n"]);
    let expected: String = (0..kept).map(|o| format!("{o} 300000\n")).collect();
    assert_eq!(read, expected);
    broker.kill();
    disk.remount("remount,size=80m");
    let broker = Served::start(disk.path());
    let mut connection = broker.connect().await;
    let next = produce(&mut connection, "t", batch(&[b"on".to_vec()])).await;
    assert_eq!(next, (0, kept));
    assert_eq!(broker.stop().0, Some(0));
    let checked = ottla(&["check", "--data-dir", disk.path().to_str().unwrap()]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
}

#[test]
fn a_file_system_that_is_read_only_is_refused_with_the_reason() {
    let Some(disk) = Disk::mount("size=8m,ro") else {
        return;
    };
    for path in [disk.path().to_owned(), disk.path().join("data")] {
        let told = refused::<&str>(&path, &[]);
        assert!(told.contains("ead-only file system"), "{told}");
        assert!(told.contains(path.to_str().unwrap()), "{told}");
    }
}
