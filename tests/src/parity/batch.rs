//! Record batches for requests, right and wrong ones, built without Ottla's own codec: what is checked with it must not build it.

use bytes::{BufMut, Bytes, BytesMut};

/// 2023-11-14, a fixed time so that both brokers see the same batches.
pub const TIME: i64 = 1_700_000_000_000;

/// A batch to be built. The counts follow from the records unless they are set.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Batch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub magic: i8,
    pub attributes: i16,
    pub last_offset_delta: Option<i32>,
    pub base_timestamp: i64,
    pub max_timestamp: Option<i64>,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: Option<i32>,
    /// (key, value, timestamp delta)
    pub records: Vec<(Option<String>, Option<String>, i64)>,
    /// Replaces the records' bytes, as they are.
    pub body: Option<Vec<u8>>,
    /// Added to the right length.
    pub length_error: i32,
    /// Added to the right CRC.
    pub crc_error: u32,
}

impl Batch {
    /// A batch with these values and keys `k`, a millisecond apart from [`TIME`] on.
    pub fn of(values: &[&str]) -> Batch {
        let records = values
            .iter()
            .enumerate()
            .map(|(i, value)| (Some("k".to_owned()), Some((*value).to_owned()), i as i64))
            .collect();
        Batch {
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            attributes: 0,
            last_offset_delta: None,
            base_timestamp: TIME,
            max_timestamp: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: None,
            records,
            body: None,
            length_error: 0,
            crc_error: 0,
        }
    }

    /// Changes something in passing.
    pub fn with(mut self, change: impl FnOnce(&mut Batch)) -> Batch {
        change(&mut self);
        self
    }

    /// The records as they stand in a batch.
    pub fn record_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (offset, (key, value, timestamp)) in self.records.iter().enumerate() {
            let mut record = vec![0];
            varint(&mut record, *timestamp);
            varint(&mut record, offset as i64);
            for field in [key, value] {
                match field {
                    Some(text) => {
                        varint(&mut record, text.len() as i64);
                        record.extend(text.as_bytes());
                    }
                    None => varint(&mut record, -1),
                }
            }
            varint(&mut record, 0);
            varint(&mut body, record.len() as i64);
            body.extend(record);
        }
        body
    }

    /// The batch's bytes.
    pub fn build(&self) -> Bytes {
        let body = self.body.clone().unwrap_or_else(|| self.record_bytes());
        let last = self.records.len() as i32;
        let max_delta = self.records.iter().map(|r| r.2).max().unwrap_or_default();
        let mut after_crc = BytesMut::new();
        after_crc.put_i16(self.attributes);
        after_crc.put_i32(self.last_offset_delta.unwrap_or(last - 1));
        after_crc.put_i64(self.base_timestamp);
        after_crc.put_i64(
            self.max_timestamp
                .unwrap_or(self.base_timestamp + max_delta),
        );
        after_crc.put_i64(self.producer_id);
        after_crc.put_i16(self.producer_epoch);
        after_crc.put_i32(self.base_sequence);
        after_crc.put_i32(self.count.unwrap_or(last));
        after_crc.put_slice(&body);
        let mut batch = BytesMut::new();
        batch.put_i64(self.base_offset);
        batch.put_i32(9 + after_crc.len() as i32 + self.length_error);
        batch.put_i32(self.leader_epoch);
        batch.put_i8(self.magic);
        batch.put_u32(crc32c::crc32c(&after_crc).wrapping_add(self.crc_error));
        batch.put_slice(&after_crc);
        batch.freeze()
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
