//! Kafka's own reader of log files reads what compaction writes anew.

use std::hash::Hasher;

use bytes::Bytes;
use ottla_codec::compression::Compression;
use ottla_codec::records::{BatchBuilder, Record};
use ottla_codec::{control, rewrite};
use ottla_tests::harness::kafka_tool;

/// 2024-01-01T00:00:00Z.
const T0: i64 = 1_704_067_200_000;

/// Keys do not matter here.
#[derive(Default)]
struct NoHash;

impl Hasher for NoHash {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        0
    }
}

#[test]
fn kafkas_log_tool_reads_a_batch_that_was_written_anew() {
    const HORIZON: i64 = T0 + 1_000;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let record = |offset: i64| Record {
        offset,
        timestamp: T0 + offset * 7,
        key: Some(Bytes::from(format!("key-{offset}"))),
        value: (offset % 3 != 0).then(|| Bytes::from(format!("value-{offset}"))),
        headers: Vec::new(),
    };
    let mut log = Vec::new();
    let mut expected = Vec::new();
    for (i, compression) in (0_i64..).zip(codecs) {
        let records: Vec<Record> = (i * 10..i * 10 + 10).map(record).collect();
        let builder = BatchBuilder {
            compression,
            leader_epoch: 0,
            ..BatchBuilder::default()
        };
        let batch = builder.build(&records);
        let keeps = |offset: i64| offset % 10 > 2;
        let choice = rewrite::choose(&batch, 1 << 20, NoHash::default, |r| keeps(r.offset));
        let thinned = choice.expect("sound").rewrite(&batch, Some(HORIZON));
        log.extend_from_slice(&thinned.expect("sound"));
        expected.extend(records.into_iter().filter(|r| keeps(r.offset)));
    }
    let mut marker = control::marker(5, 0, control::Outcome::Abort, T0);
    ottla_codec::batch::set_offset_and_epoch(&mut marker, 50, 0);
    let choice = rewrite::choose(&marker, 1 << 20, NoHash::default, |_| true);
    let marker = choice.expect("sound").rewrite(&marker, Some(HORIZON));
    log.extend_from_slice(&marker.expect("sound"));

    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("00000000000000000000.log");
    std::fs::write(&file, log).expect("the directory can be written");
    let file = file.to_str().expect("a path in UTF-8");
    let args = ["--deep-iteration", "--print-data-log", "--files", file];
    let said = kafka_tool("dump-log", &args, b"");
    let said = said.success();
    let horizon = format!("deleteHorizonMs: OptionalLong[{HORIZON}]");
    assert_eq!(said.matches(&horizon).count(), 6, "{said}");
    assert_eq!(said.matches("isvalid: true").count(), 6, "{said}");
    for record in &expected {
        let offset = record.offset;
        let line = said
            .lines()
            .find(|line| line.contains(&format!("| offset: {offset} ")))
            .unwrap_or_else(|| panic!("no record at {offset}:\n{said}"));
        assert!(
            line.contains(&format!("CreateTime: {}", record.timestamp)),
            "{line}"
        );
        assert!(line.contains(&format!("key: key-{offset}")), "{line}");
        let has_value = line.contains(&format!("payload: value-{offset}"));
        assert_eq!(has_value, record.value.is_some(), "{line}");
    }
    assert_eq!(
        said.matches("| offset: ").count(),
        expected.len() + 1,
        "{said}"
    );
    assert!(said.contains("endTxnMarker: ABORT"), "{said}");
}
