//! Batches as they came, and with the CRC put right so that the checks behind it are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_codec::batch::{self, BatchHeader};

fuzz_target!(|data: &[u8]| {
    let _ = batch::check_all(data);
    let mut bytes = data.to_vec();
    if let Some(magic) = bytes.get_mut(16) {
        *magic = 2;
    }
    let Ok(header) = BatchHeader::parse(&bytes) else {
        return;
    };
    header.next_offset();
    header.last_sequence();
    if header.size > bytes.len() {
        return;
    }
    batch::set_offset_and_epoch(&mut bytes, header.base_offset, 3);
    batch::set_log_append_time(&mut bytes, 1);
    assert_eq!(batch::check_crc(&bytes), Ok(()));
    if let Ok(headers) = batch::check_all(&bytes) {
        let total: usize = headers.iter().map(|h| h.size).sum();
        assert_eq!(total, bytes.len());
    }
});
