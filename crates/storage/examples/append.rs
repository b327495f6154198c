//! How fast the store takes durable appends: `cargo run --release -p ottla-storage --example append [directory]`.
//! Prints small commits a second with 50 in flight, and MB/s of 1 MiB appends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_storage::fs::OsFs;
use ottla_storage::{
    AppendContext, CompactionOptions, Durability, LogConfig, NewTopic, Partition, Store,
    StoreOptions, TopicId,
};

#[path = "../tests/support/no_state.rs"]
mod no_state;

use no_state::NoState;

const NOW: AppendContext = AppendContext::at(1);

async fn produce(
    store: Store,
    partition: Arc<Partition>,
    batch: Bytes,
    count: usize,
) -> anyhow::Result<()> {
    let headers = check_all(&batch)?;
    for _ in 0..count {
        let appended = partition.append(BytesMut::from(&batch[..]), &headers, NOW)?;
        store.durable(appended.commit).await?;
    }
    Ok(())
}

async fn run(
    store: &Store,
    partition: &Arc<Partition>,
    size: usize,
    tasks: usize,
    count: usize,
) -> anyhow::Result<f64> {
    let record = Record {
        offset: 0,
        timestamp: 0,
        key: None,
        value: Some(Bytes::from(vec![1; size])),
        headers: Vec::new(),
    };
    let batch = BatchBuilder::default().build(&[record]);
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            tokio::spawn(produce(
                store.clone(),
                partition.clone(),
                batch.clone(),
                count,
            ))
        })
        .collect();
    for task in running {
        task.await??;
    }
    Ok((tasks * count) as f64 / start.elapsed().as_secs_f64())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let dir = match std::env::args().nth(1) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("ottla-append-{}", std::process::id())),
    };
    let options = StoreOptions {
        durability: Durability::Disk,
        cache_bytes: 16 << 20,
        max_open_files: 100,
        checkpoint_bytes: 64 << 20,
        checkpoint_interval: Duration::from_secs(5),
        log_config: Arc::new(|_| LogConfig {
            max_message_bytes: 4 << 20,
            ..LogConfig::default()
        }),
        partition_state: Arc::new(NoState),
        compaction: CompactionOptions::new(|| 0),
        cluster_id: None,
        cut_damaged_journal: false,
    };
    let store = Store::open(Arc::new(OsFs), &dir, options)?;
    let new = NewTopic {
        id: TopicId::new_v4(),
        name: "bench".to_owned(),
        partitions: 1,
        configs: Default::default(),
        created_ms: 0,
    };
    let topic = match store.create_topic(new)? {
        Some((topic, _)) => topic,
        None => anyhow::bail!(
            "{} has a topic of that name: use a new directory",
            dir.display()
        ),
    };
    let Some(partition) = store.partition(&topic.id, 0) else {
        anyhow::bail!("the new topic has no partition");
    };
    let small = run(&store, &partition, 100, 50, 4000).await?;
    println!("50 in flight, 100 B: {small:.0} durable commits/s");
    let large = run(&store, &partition, 1 << 20, 5, 200).await?;
    println!("5 in flight, 1 MiB: {large:.0} MB/s durable");
    store.close()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
