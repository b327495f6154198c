//! A redrive on a disk that fills up: a file system of a few MiB in memory, which only root can mount.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::Broker;
use ottla_broker::dead_letters::Selection;
use ottla_broker::dead_letters::views::RedriveRequest;
use ottla_broker::settings::BrokerConfig;
use ottla_codec::ResponseError;
use ottla_codec::records::BatchBuilder;

use crate::fixture::*;
use crate::support::{Running, produce_request, produced};

/// A mounted tmpfs; unmounted when dropped.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a broker that a failing test left may hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(options: &str, at: &Path) -> bool {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(at)
        .status();
    mounted.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn on_a_full_disk_a_redrive_waits_and_says_so_and_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    if !mount("size=40m", dir.path()) {
        eprintln!("skipped: tmpfs cannot be mounted");
        return;
    }
    let _mounted = Mounted(dir.path().to_owned());
    let values = BTreeMap::from([("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned())]);
    let config = BrokerConfig {
        data_dir: dir.path().to_owned(),
        values,
    };
    let broker = Broker::start(config).await.unwrap();
    let running = Running { broker, dir };
    let mut connection = running.connect().await;
    for topic in ["orders", "orders.dlq", "ballast"] {
        make(&mut connection, topic, 1).await;
    }
    fill(&mut connection, 2_000).await;
    let request = RedriveRequest {
        rate: Some(20),
        ..RedriveRequest::default()
    };
    let task = begin(&running, request).await.unwrap();

    let ballast = Bytes::from(vec![7; 300_000]);
    let mut heavy = record(None, None);
    heavy.value = Some(ballast);
    let batch = BatchBuilder::default().build(&[heavy]);
    let queues = running.broker.dead_letters();
    let waiting = tokio::time::timeout(WAIT, async {
        loop {
            let answer = connection
                .call(9, &produce_request("ballast", -1, batch.clone()))
                .await
                .unwrap();
            if produced(&answer).0 == 0 {
                continue;
            }
            assert_eq!(produced(&answer).0, ResponseError::KafkaStorageError.code());
            let step = Duration::from_millis(20);
            let now = queues.redrive_status(task.id, step).await.unwrap();
            assert_eq!(now.state, "running");
            if now.waiting.is_some() {
                return now;
            }
        }
    })
    .await
    .unwrap();
    assert!(waiting.waiting.unwrap().contains("no space left"));
    assert!(waiting.moved < 2_000);

    let grown = Command::new("mount")
        .args(["-o", "remount,size=200m"])
        .arg(running.dir.path())
        .status();
    assert!(grown.unwrap().success());
    let moved = tokio::time::timeout(WAIT, async {
        loop {
            let step = Duration::from_millis(20);
            let now = queues.redrive_status(task.id, step).await.unwrap();
            if now.moved > waiting.moved && now.waiting.is_none() {
                return queues.cancel(task.id).await.unwrap().moved;
            }
        }
    })
    .await
    .unwrap();
    let rest = redrive(&running, Selection::default()).await;
    assert_eq!(rest.moved, 2_000 - moved);
    let back = values_in_order(&read(&mut connection, "orders", 0).await);
    assert_eq!(back, (0..2_000).collect::<Vec<_>>());
}

fn values_in_order(records: &[ottla_codec::records::Record]) -> Vec<usize> {
    values(records).iter().map(|v| v.parse().unwrap()).collect()
}
