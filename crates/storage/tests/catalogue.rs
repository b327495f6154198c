//! Damage in the catalogue's own files.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use ottla_storage::fs::OsFs;
use ottla_storage::{OpenError, Store};
use support::*;

#[tokio::test]
async fn a_flipped_bit_in_the_catalogue_is_an_error_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let topic = create(&store, "orders", &[]);
    let p = store.partition(&topic.id, 0).unwrap();
    for i in 0..20u8 {
        append(&store, &p, &[&[i; 100]], 1).await;
    }
    store.close().unwrap();
    drop((p, store));
    let files: Vec<PathBuf> = std::fs::read_dir(dir.path().join("meta"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .collect();
    let (mut refused, mut harmless) = (0, 0);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i] != 0).collect();
        for at in used.iter().step_by((used.len() / 60).max(1)) {
            let copied = tempfile::tempdir().unwrap();
            copy_tree(dir.path(), copied.path());
            let mut bad = bytes.clone();
            bad[*at] ^= 1;
            let target = copied.path().join("meta").join(file.file_name().unwrap());
            std::fs::write(&target, bad).unwrap();
            match Store::open(Arc::new(OsFs), copied.path(), options()) {
                Ok(store) => {
                    let found = store.topics().by_name("orders").is_some();
                    assert!(
                        found,
                        "{file:?} {at}: the topic is gone, and nobody says so"
                    );
                    match store.partition(&topic.id, 0) {
                        Some(p) => {
                            assert_eq!(read_all(&p, 1000).len(), 20, "{file:?} {at}");
                            harmless += 1;
                        }
                        None => refused += 1,
                    }
                }
                Err(e) => {
                    assert!(
                        matches!(e, OpenError::Damaged { .. } | OpenError::Io { .. }),
                        "{e}"
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > 0);
}
