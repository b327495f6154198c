//! How fast a large topic is compacted, in how much memory, and what that does to appends and reads meanwhile:
//! `cargo run --release -p ottla-storage --example compact [GB] [KEYS] [VALUE BYTES] [DIRECTORY]` (2, 1000, 1000).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_codec::batch::check_all;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::response::Chunk;
use ottla_storage::fs::OsFs;
use ottla_storage::{
    AppendContext, CleanupPolicy, CompactionConfig, CompactionOptions, Durability, LogConfig,
    NewTopic, Partition, Store, StoreOptions, TopicId,
};

#[path = "../tests/support/no_state.rs"]
mod no_state;

use no_state::NoState;

/// Compaction begins when the topic is there.
static ENABLED: AtomicBool = AtomicBool::new(false);

fn open(dir: &Path) -> anyhow::Result<Store> {
    let options = StoreOptions {
        durability: Durability::Disk,
        cache_bytes: 16 << 20,
        max_open_files: 100,
        checkpoint_bytes: 64 << 20,
        checkpoint_interval: Duration::from_secs(5),
        log_config: Arc::new(|_| LogConfig {
            segment_bytes: 256 << 20,
            max_message_bytes: 4 << 20,
            cleanup_policy: CleanupPolicy {
                compact: true,
                delete: false,
            },
            ..LogConfig::default()
        }),
        partition_state: Arc::new(NoState),
        compaction: CompactionOptions {
            config: Arc::new(|| CompactionConfig {
                enabled: ENABLED.load(Ordering::SeqCst),
                map_bytes: 1 << 30,
                ..CompactionConfig::default()
            }),
            now_ms: || 1,
        },
        cluster_id: None,
        cut_damaged_journal: false,
    };
    Ok(Store::open(Arc::new(OsFs), dir, options)?)
}

fn create(store: &Store, name: &str) -> anyhow::Result<Arc<Partition>> {
    let new = NewTopic {
        id: TopicId::new_v4(),
        name: name.to_owned(),
        partitions: 1,
        configs: Default::default(),
        created_ms: 0,
    };
    let Some((topic, _)) = store.create_topic(new)? else {
        anyhow::bail!("the directory has a topic of that name: use a new one");
    };
    store
        .partition(&topic.id, 0)
        .ok_or_else(|| anyhow::anyhow!("the new topic has no partition"))
}

fn record(offset: i64, key: u64, value: &Bytes) -> Record {
    Record {
        offset,
        timestamp: 1,
        key: Some(Bytes::copy_from_slice(&key.to_be_bytes())),
        value: Some(value.clone()),
        headers: Vec::new(),
    }
}

async fn append(store: &Store, partition: &Partition, batch: &[u8]) -> anyhow::Result<()> {
    let headers = check_all(batch)?;
    let appended = partition.append(BytesMut::from(batch), &headers, AppendContext::at(1))?;
    Ok(store.durable(appended.commit).await?)
}

async fn fill(
    store: &Store,
    partition: &Partition,
    bytes: u64,
    keys: u64,
    value: &Bytes,
) -> anyhow::Result<u64> {
    let in_batch = ((512 << 10) / (value.len() + 20)).max(1) as u64;
    let mut n = 0;
    while partition.size_bytes() < bytes {
        let records: Vec<Record> = (0..in_batch)
            .map(|i| record(i as i64, (n + i) % keys, value))
            .collect();
        append(store, partition, &BatchBuilder::default().build(&records)).await?;
        n += in_batch;
    }
    Ok(n)
}

/// Times in microseconds: of durable appends of 1 KB, and of reads of 64 KiB from anywhere in the large topic.
async fn delays(
    store: &Store,
    small: &Partition,
    large: &Partition,
    stop: impl Fn() -> bool,
) -> anyhow::Result<[Vec<u128>; 2]> {
    let value = Bytes::from(vec![7; 1000]);
    let batch = BatchBuilder::default().build(&[record(0, 1, &value)]);
    let (mut appends, mut reads) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 4 << 20];
    let mut at = 0x9e37_79b9_7f4a_7c15_u64;
    while !stop() {
        let start = Instant::now();
        append(store, small, &batch).await?;
        appends.push(start.elapsed().as_micros());
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let end = large.high_watermark();
        let start = Instant::now();
        let slice = large.read((at >> 33) as i64 % end, end, 64 << 10, true)?;
        for chunk in &slice.chunks {
            if let Chunk::File {
                file,
                position,
                len,
            } = chunk
            {
                file.read_at(*position, &mut buffer[..*len])?;
            }
        }
        reads.push(start.elapsed().as_micros());
    }
    Ok([appends, reads])
}

fn say(when: &str, times: [Vec<u128>; 2]) {
    for (what, mut times) in ["append", "read"].into_iter().zip(times) {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{when}: {what} p50 {} us, p99 {} us, p99.9 {} us ({} of them)",
            at(0.5),
            at(0.99),
            at(0.999),
            times.len()
        );
    }
}

/// The most memory that this process had, MB, since it was last asked.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kb = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    // Linux forgets the peak when 5 is written here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    kb.unwrap_or(0) / 1024
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(Ok(default), |n| n.parse());
    let (gigabytes, keys, value) = (number(2)?, number(1000)?, number(1000)?);
    let dir = match args.next() {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("ottla-compact-{}", std::process::id())),
    };
    let store = open(&dir)?;
    let (small, large) = (create(&store, "small")?, create(&store, "large")?);
    let value = Bytes::from(vec![3; value as usize]);
    let records = fill(&store, &large, gigabytes * 1_000_000_000, keys, &value).await?;
    let before = large.size_bytes();
    println!(
        "{records} records of {keys} keys, {} MB",
        before / 1_000_000
    );

    let until = Instant::now() + Duration::from_secs(10);
    let times = delays(&store, &small, &large, || Instant::now() > until).await?;
    say("without compaction", times);
    let resting = peak_mb();
    let start = Instant::now();
    ENABLED.store(true, Ordering::SeqCst);
    store.refresh_log_configs();
    let passed = || {
        let stats = store.compaction_stats();
        stats.passes + stats.passes_ended_early > 0
    };
    let times = delays(&store, &small, &large, passed).await?;
    let took = start.elapsed().as_secs_f64();
    say("with compaction   ", times);
    let stats = store.compaction_stats();
    println!(
        "a pass over {} MB took {took:.1} s ({:.0} MB/s): read {} MB, wrote {} MB, {} MB are left, memory {resting} MB before and {} MB at most",
        before / 1_000_000,
        before as f64 / 1e6 / took,
        stats.bytes_read / 1_000_000,
        stats.bytes_written / 1_000_000,
        large.size_bytes() / 1_000_000,
        peak_mb()
    );
    store.close()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
