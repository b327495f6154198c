//! What it costs to look at the batches of a producer, codec by codec: to be run under callgrind or `perf stat`.
//!
//! `cargo run --release -p ottla-codec --example walk -- CODEC BYTES ROUNDS` walks ROUNDS times over one batch of records
//! of 1 KiB (BYTES in all) that look like a log, and says what was seen.

use std::process::ExitCode;

use bytes::Bytes;
use ottla_codec::batch;
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::walk::walk;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const USAGE: &str = "usage: walk none|gzip|snappy|lz4|zstd BYTES ROUNDS";
const RECORD_BYTES: usize = 1024;
const INFLATED_MAX: usize = 128 << 20;

/// Words in random order: text compresses about as well as what is logged does.
fn value(rng: &mut StdRng) -> Bytes {
    const WORDS: [&str; 8] = [
        "\"level\":\"info\",",
        "\"user\":",
        "order ",
        "2026-05-01T",
        "\"path\":\"/api/v1/items/",
        "status=",
        "GET ",
        "ms ",
    ];
    let mut text = String::with_capacity(RECORD_BYTES + 32);
    while text.len() < RECORD_BYTES {
        text.push_str(WORDS[rng.random_range(0..WORDS.len())]);
        text.push_str(&rng.random_range(0..100_000_u32).to_string());
    }
    text.truncate(RECORD_BYTES);
    text.into()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &args[..] {
        [codec, bytes, rounds] => codec_of(codec)
            .zip(bytes.parse().ok())
            .zip(rounds.parse().ok()),
        _ => None,
    };
    let Some(((compression, bytes), rounds)): Option<((_, usize), usize)> = parsed else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut rng = StdRng::seed_from_u64(1);
    let records: Vec<Record> = (0..bytes.div_ceil(RECORD_BYTES) as i64)
        .map(|offset| Record {
            offset,
            timestamp: 1000 + offset,
            key: None,
            value: Some(value(&mut rng)),
            headers: Vec::new(),
        })
        .collect();
    let builder = BatchBuilder {
        compression,
        ..BatchBuilder::default()
    };
    let batch = builder.build(&records);
    let mut seen = 0;
    for _ in 0..rounds {
        let header = batch::check_all(&batch).expect("the batch was just built")[0];
        walk(&header, &batch, INFLATED_MAX, |_| seen += 1).expect("the batch was just built");
    }
    println!(
        "{} records in a batch of {} bytes, {seen} seen",
        records.len(),
        batch.len()
    );
    ExitCode::SUCCESS
}

fn codec_of(name: &str) -> Option<Compression> {
    Some(match name {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return None,
    })
}
