//! Page cache that costs the same in every run.
//!
//! A virtual machine gives free memory back to its host (free page reporting, a balloon). The next program that touches such a page
//! waits for the host, and the wait is booked as CPU time of its write: ten times what the copy costs. Which broker meets those
//! pages would be chance.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

const BLOCK: usize = 1 << 20;

/// Has `bytes` of free memory touched: fills the page cache with a file in `directory`, and removes it.
pub fn touch(directory: &Path, bytes: u64) -> io::Result<()> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let block = vec![1; BLOCK];
    for _ in 0..bytes.div_ceil(BLOCK as u64) {
        file.write_all(&block)?;
    }
    Ok(())
}
