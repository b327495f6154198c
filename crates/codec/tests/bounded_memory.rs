//! What a peer can make the broker allocate with one request, and a broker its client with one answer: a small multiple of
//! what was sent.
//!
//! The one test of its own binary, so that nothing else allocates while it counts.
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout, System};
use std::hash::DefaultHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;
use ottla_codec::api::Api;
use ottla_codec::batch::BatchHeader;
use ottla_codec::compression::{Compression, decompress};
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::walk::walk;
use ottla_codec::{StrBytes, answer, produce, request, rewrite};
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
fn no_message_takes_more_than_a_small_multiple_of_its_bytes() {
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

    answers(&mut rng);

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

            // Compaction writes it anew: what reading it takes, the codec's own, and what comes out.
            let written_anew = || {
                let all = rewrite::choose(&batch, 128 << 20, DefaultHasher::new, |_| true).unwrap();
                drop(all.rewrite(&batch, Some(1)).unwrap());
            };
            let taken = peak(written_anew);
            let most = most + 3 * batch.len() + (1 << 20);
            assert!(taken <= most, "{compression:?} anew: {taken}");
        }
    }
}

fn zeros((offset, size): (i64, &usize)) -> Record {
    Record {
        offset,
        timestamp: 0,
        key: Some(Bytes::from(vec![0; *size / 2])),
        value: Some(Bytes::from(vec![0; *size / 2])),
        headers: Vec::new(),
    }
}

/// What a broker can make a client allocate: noise, and answers cut short and changed.
fn answers(rng: &mut StdRng) {
    const FLOOR: usize = 5 << 20;
    let bounded = |api: Api, version: i16, body: Vec<u8>| {
        let most = FLOOR + 13 * body.len();
        let body = Bytes::from(body);
        let taken = peak(|| drop(answer::check(api, version, body)));
        assert!(
            taken <= most,
            "{} v{version}: {taken} of {most}",
            api.name()
        );
    };
    for round in 0..20 {
        let bytes = plausible(rng, [10, 100, 1000, 100_000][round % 4]);
        for &api in Api::ALL {
            for version in answer::versions(api) {
                bounded(api, version, bytes.clone());
            }
        }
    }
    for (api, version, body) in sound_answers() {
        assert_eq!(answer::check(api, version, body.clone().into()), Ok(()));
        for _ in 0..100 {
            let mut body = body.clone();
            body.truncate(rng.random_range(0..=body.len() * 2));
            for _ in 0..rng.random_range(0..4) {
                if body.len() > 5 {
                    let at = rng.random_range(0..body.len() - 4);
                    let with: [u8; 4] = rng.random();
                    let with = [with, [0x7f; 4], [0xff, 0xff, 0xff, 0x0f]][rng.random_range(0..3)];
                    body[at..at + 4].copy_from_slice(&with);
                }
            }
            bounded(api, version, body);
        }
    }
    // Counts that fit the bytes, of the smallest elements: refused, or decoded within the bound.
    for (api, version, at) in [
        (Api::Metadata, 12, 5),
        (Api::Fetch, 16, 11),
        (Api::ApiVersions, 3, 2),
    ] {
        for count in [1000, 100_000, 2_000_000_u32] {
            let mut body = vec![0; at];
            // All bits of a varint of four bytes.
            body.extend(
                (0..4).map(|i| ((count >> (7 * i)) & 0x7f) as u8 | if i < 3 { 0x80 } else { 0 }),
            );
            body.resize(body.len() + 7 * count as usize, 0);
            bounded(api, version, body);
        }
    }
}

fn sound_answers() -> Vec<(Api, i16, Vec<u8>)> {
    use ottla_codec::messages::*;
    fn all<M: Encodable>(api: Api, message: &M) -> Vec<(Api, i16, Vec<u8>)> {
        let encoded = |version| {
            let mut body = Vec::new();
            // Versions without one of the fields that are set are left out.
            message.encode(&mut body, version).ok()?;
            Some((api, version, body))
        };
        let all: Vec<_> = answer::versions(api).filter_map(encoded).collect();
        assert!(all.len() > 1, "{}", api.name());
        all
    }
    let name = || TopicName(StrBytes::from_static_str("topic"));
    let partition = metadata_response::MetadataResponsePartition::default()
        .with_replica_nodes(vec![BrokerId(1), BrokerId(2)]);
    let topic = metadata_response::MetadataResponseTopic::default()
        .with_name(Some(name()))
        .with_partitions(vec![partition; 50]);
    let metadata = MetadataResponse::default()
        .with_brokers(vec![Default::default(); 3])
        .with_topics(vec![topic; 20]);
    let data = fetch_response::PartitionData::default()
        .with_aborted_transactions(Some(vec![Default::default(); 2]))
        .with_records(Some(Bytes::from_static(&[7; 100])));
    let fetched = fetch_response::FetchableTopicResponse::default()
        .with_topic(name())
        .with_partitions(vec![data; 30]);
    let fetch = FetchResponse::default().with_responses(vec![fetched; 5]);
    let member = describe_groups_response::DescribedGroupMember::default()
        .with_member_metadata(Bytes::from_static(&[1; 50]));
    let group = describe_groups_response::DescribedGroup::default().with_members(vec![member; 20]);
    let groups = DescribeGroupsResponse::default().with_groups(vec![group; 3]);
    let config = describe_configs_response::DescribeConfigsResourceResult::default()
        .with_value(Some(StrBytes::from_static_str("value")));
    let configured =
        describe_configs_response::DescribeConfigsResult::default().with_configs(vec![config; 80]);
    let configs = DescribeConfigsResponse::default().with_results(vec![configured; 3]);
    [
        all(Api::Metadata, &metadata),
        all(Api::Fetch, &fetch),
        all(Api::DescribeGroups, &groups),
        all(Api::DescribeConfigs, &configs),
    ]
    .concat()
}
