//! What a peer can make the broker allocate with one request: a small multiple of what it sent.
//!
//! The one test of its own binary, so that nothing else allocates while it counts.
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use ottla_codec::api::Api;
use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::{Compression, decompress};
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::walk::walk;
use ottla_codec::{produce, request};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that was allocated at once while `work` ran.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    work();
    PEAK.load(Relaxed) - before
}

/// Bytes that look like a body: small numbers, lengths and counts, now and then a huge one.
fn plausible(rng: &mut StdRng, len: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(len + 8);
    while body.len() < len {
        match rng.random_range(0..8) {
            0 => body.extend_from_slice(&rng.random_range(0..1000_i32).to_be_bytes()),
            1 => body.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            2 => body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            3 => body.push(rng.random()),
            _ => body.extend(std::iter::repeat_n(rng.random_range(0..3_u8), 7)),
        }
    }
    body
}

#[test]
fn no_request_takes_more_than_a_small_multiple_of_its_bytes() {
    const FLOOR: usize = 5 << 20;
    let mut rng = StdRng::seed_from_u64(7);
    for round in 0..60 {
        let len = [10, 100, 1000, 100_000][round % 4];
        let bytes = plausible(&mut rng, len);
        for &api in Api::ALL {
            for version in api.versions() {
                let body = Bytes::from(bytes.clone());
                let taken = peak(|| drop(request::check(api, version, body)));
                assert!(
                    taken <= FLOOR + 7 * bytes.len(),
                    "{} v{version}: {taken} bytes for {}",
                    api.name(),
                    bytes.len()
                );
            }
        }
        for version in Api::Produce.versions() {
            let body = BytesMut::from(&bytes[..]);
            let taken = peak(|| drop(produce::decode(version, body)));
            assert!(
                taken <= FLOOR + 7 * bytes.len(),
                "Produce v{version}: {taken}"
            );
        }
    }

    // The worst that honest syntax allows: as many of the smallest elements as fit, up to the refusal.
    for count in [100, 10_000, 100_000, 1_000_000_u32] {
        let mut body = vec![(count + 1) as u8 | 0x80, ((count + 1) >> 7) as u8 | 0x80];
        body.push(((count + 1) >> 14) as u8);
        body[2] |= 0x80;
        body.push(((count + 1) >> 21) as u8);
        body.extend(std::iter::repeat_n([2, b't', 0], count as usize).flatten());
        body.extend_from_slice(&[1, 0, 0, 0]);
        let len = body.len();
        let body = Bytes::from(body);
        let taken = peak(|| drop(request::check(Api::Metadata, 9, body)));
        assert!(
            taken <= FLOOR + 6 * len,
            "{count} topics: {taken} for {len}"
        );
    }

    // A block that claims or holds far more than the limit: gzip, lz4 and zstd of zeros, snappy's length alone.
    let limit = 1 << 20;
    let bomb = vec![0_u8; 256 << 20];
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let block = ottla_codec::compression::compress(codec, &bomb);
        let taken = peak(|| drop(decompress(codec, &block, limit)));
        assert!(taken <= 16 << 20, "{codec:?}: {taken}");
    }
    let block = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1];
    let taken = peak(|| drop(decompress(Compression::Snappy, &block, usize::MAX)));
    assert!(taken <= 1 << 20, "snappy: {taken}");

    // A producer's batch is looked at while it is inflated: one record of many megabytes, and many small ones. (What zstd
    // allocates itself is not seen here, see the broker's tests with bombs.)
    for values in [vec![40 << 20], vec![100; 200_000]] {
        let records: Vec<Record> = (0..).zip(&values).map(zeros).collect();
        for compression in [
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let builder = BatchBuilder {
                compression,
                ..BatchBuilder::default()
            };
            let batch = builder.build(&records);
            let header = BatchHeader::parse(&batch).unwrap();
            let mut seen = 0;
            let taken = peak(|| walk(&header, &batch, 128 << 20, |_| seen += 1).unwrap());
            assert_eq!(seen, values.len());
            // Blocks of LZ4 are of up to 4 MiB: one as it came, two inflated.
            let most = match compression {
                Compression::Lz4 => 13 << 20,
                _ => 512 << 10,
            };
            assert!(taken <= most, "{compression:?}: {taken}");
        }
    }
}

fn zeros((offset, size): (i64, &usize)) -> Record {
    Record {
        offset,
        timestamp: 0,
        key: None,
        value: Some(Bytes::from(vec![0; *size])),
        headers: Vec::new(),
    }
}
