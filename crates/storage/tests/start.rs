//! Start-up does not grow with the data: neither with records, nor with segments, nor with partitions.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/observed.rs"]
mod observed;
mod support;

use std::path::Path;
use std::sync::Arc;

use observed::ObservedFs;
use ottla_storage::{NewTopic, Store, TopicId};
use support::*;

async fn fill(dir: &Path, partitions: i32, segments: usize) {
    let store = open(dir);
    let new = NewTopic {
        id: TopicId::from_u128(1),
        name: "orders".to_owned(),
        partitions,
        configs: [("segment.bytes".to_owned(), "1000".to_owned())].into(),
        created_ms: 0,
    };
    store.create_topic(new).unwrap().unwrap();
    let mut last = None;
    for index in 0..partitions {
        let p = store.partition(&TopicId::from_u128(1), index).unwrap();
        for _ in 0..segments {
            let (bytes, headers) = batch(&[&[7; 800]], 5);
            last = Some(p.append(bytes, &headers, NOW).unwrap().commit);
        }
    }
    store.durable(last.unwrap()).await.unwrap();
    store.close().unwrap();
    drop(store);
    // The next start reads the journal's last file, a bounded part of what was written: this one leaves an empty one.
    open(dir).close().unwrap();
}

/// Operations on files, and bytes read from them, until the store is open and has written its first record.
async fn cost_of_opening(dir: &Path) -> (u64, u64) {
    let fs = ObservedFs::default();
    let store = Store::open(Arc::new(fs.clone()), dir, options()).unwrap();
    let p = store.partition(&TopicId::from_u128(1), 0).unwrap();
    append(&store, &p, &[b"x"], 5).await;
    (fs.operations(), fs.bytes_read())
}

#[tokio::test]
async fn opening_a_store_costs_the_same_however_much_it_holds() {
    let mut costs = Vec::new();
    for (partitions, segments) in [(10, 1), (10, 200), (400, 1)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), partitions, segments).await;
        costs.push(cost_of_opening(dir.path()).await);
    }
    println!("(operations, bytes read): {costs:?}");
    let (operations, bytes) = costs[0];
    for (o, b) in &costs {
        // The background thread's look for leftovers may or may not have come already; spare journal files are opened. Segments and
        // partitions differ by hundreds.
        assert!(o.abs_diff(operations) <= 12, "{costs:?}");
        assert!(*b <= bytes + 4096, "{costs:?}");
    }
    assert!(operations < 60, "{costs:?}");
}
