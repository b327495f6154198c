use std::io::Write;

use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use ottla_codec::compression::{Compression, compress};

use crate::parity::batch::Batch;
use crate::parity::both::Both;
use crate::parity::words::{fetch, produce};

pub async fn codecs(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let fixed = both
        .topic("fixed", 1, &[("compression.type", "producer")])
        .await?;
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = Batch::of(&["a", "b", "c"]).with(|b| {
            b.attributes = codec as i16;
            b.body = Some(compress(codec, &b.record_bytes()));
        });
        let step = format!("{codec:?}");
        for topic in [&topic, &fixed] {
            both.call_in_each_version::<ProduceRequest>(&step, |side, v| {
                produce(side, v, topic, 0, batch.build())
            })
            .await;
        }
    }
    for version in both.versions::<FetchRequest>() {
        both.call::<FetchRequest>("read back, zstd among it", version, |side| {
            fetch(side, version, &topic, &[(0, 0)])
        })
        .await;
    }
    Ok(())
}

/// Consumers differ in what of LZ4's frame format they read; Java's take the least.
pub async fn lz4_frames(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let value = "repeated ".repeat(10_000);
    let records = Batch::of(&[&value, "b"]);
    let body = records.record_bytes();
    let info = || FrameInfo::new().block_size(BlockSize::Max64KB);
    let sound = frame(info(), &body)?;
    let (first, second) = body.split_at(70_000);
    let several = [frame(info(), first)?, frame(info(), second)?].concat();
    let block = lz4_flex::block::compress(&body);
    let length = u32::try_from(block.len())?.to_le_bytes();
    let legacy = [&0x184C_2102_u32.to_le_bytes()[..], &length, &block].concat();
    let checked = frame(info().block_checksums(true), &body)?;
    for (step, body) in [
        ("blocks of 64 KB", sound.clone()),
        (
            "blocks of 4 MB",
            frame(FrameInfo::new().block_size(BlockSize::Max4MB), &body)?,
        ),
        ("checksums of blocks", checked.clone()),
        ("checksum and size of the content", {
            let size = Some(body.len() as u64);
            frame(info().content_checksum(true).content_size(size), &body)?
        }),
        (
            "unreadable: linked blocks",
            frame(info().block_mode(BlockMode::Linked), &body)?,
        ),
        ("unreadable: a frame of before version 1", legacy),
        ("records in a second frame", several),
        ("unreadable: no end mark", sound[..sound.len() - 4].to_vec()),
        ("unreadable: a changed flag", changed(&sound, 4)),
        ("unreadable: a changed block size", changed(&sound, 5)),
        (
            "unreadable: a changed checksum of the header",
            changed(&sound, 6),
        ),
        (
            "unreadable: a changed checksum of a block",
            changed(&checked, checked.len() - 5),
        ),
        ("unreadable: no frame", b"not a frame at all".to_vec()),
    ] {
        let batch = records.clone().with(|b| {
            b.attributes = Compression::Lz4 as i16;
            b.body = Some(body);
        });
        let version = both.latest::<ProduceRequest>();
        both.call::<ProduceRequest>(step, version, |side| {
            produce(side, version, &topic, 0, batch.build())
        })
        .await;
    }
    both.call::<FetchRequest>("read back", 12, |side| fetch(side, 12, &topic, &[(0, 0)]))
        .await;
    Ok(())
}

fn frame(info: FrameInfo, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// `frame` with one bit changed.
fn changed(frame: &[u8], at: usize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] ^= 1;
    frame
}
