//! Decoders of what is in files, for the fuzzer: a disk may hold anything.

use std::path::Path;

use crate::catalog::TopicRow;
use crate::journal::format::{self, FileHeader};
use crate::partition::{aborted, row};
use crate::snapshot::manifest::Manifest;

/// Bytes as a journal file's header, as a record, and as the payload of one. What can be read is the same when it is written again.
pub fn journal(bytes: &[u8]) {
    let _ = FileHeader::decode(bytes);
    let _ = format::decode_record(bytes, 1);
    if let Some(ops) = format::decode_ops(bytes) {
        let mark = format::begins_synced_group(bytes).then(|| format::first_unsettled(bytes));
        let mut record = Vec::new();
        format::encode_record(&mut record, 1, 1, &ops, mark);
        let (_, payload, len) =
            format::decode_record(&record, 1).expect("what was written can be read");
        assert_eq!(len, record.len());
        assert_eq!(format::decode_ops(payload), Some(ops));
    }
}

/// Bytes as the rows of small trees that describe partitions, and as a snapshot's manifest.
pub fn rows(bytes: &[u8]) {
    let _ = row::parse_partition_key(bytes);
    let _ = row::PartitionRow::decode(bytes);
    let _ = aborted::decode(bytes);
    let _ = postcard::from_bytes::<TopicRow>(bytes);
    let _ = Manifest::parse(bytes, Path::new("snapshot"));
}
