//! Starting what a sync will wait for.
//!
//! A sync of a file (`fdatasync`) hands its changed pages to the device, waits for them, and then for the file system to write down the file's
//! new length. Of several files that are synced one after the other each waits for all that alone. When the pages of all of them are handed
//! over first, the device takes them together, and the file system writes down all lengths with the first sync: the others find little to do.

use std::fs::File;
use std::io;

/// Hands the changed pages among `len` bytes at `position` to the device and does not wait for them. Promises nothing: what must be kept is synced
/// nevertheless, and an error of the device is told by that sync. An error of this call says that nothing was started. Outside of Linux nothing ever is.
#[allow(unsafe_code)]
#[cfg(target_os = "linux")]
pub fn start(file: &File, position: u64, len: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let number = |n: u64| i64::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
    let (position, len) = (number(position)?, number(len)?);
    // SAFETY: The descriptor is open for as long as `file` is borrowed, and the call touches no memory of the process. Without its flags that
    // wait it takes no error away from a later sync (sync_file_range(2)).
    let result = unsafe {
        libc::sync_file_range(file.as_raw_fd(), position, len, libc::SYNC_FILE_RANGE_WRITE)
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts nothing: there is no such call here.
#[cfg(not(target_os = "linux"))]
pub fn start(_file: &File, _position: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn pages_of_a_file_are_started_and_stay() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 300_000]).expect("room");
        start(&file, 0, 100_000).expect("a part");
        start(&file, 100_000, 200_000).expect("the rest");
        start(&file, 300_000, 1 << 40).expect("behind the end there is nothing to do");
        file.sync_data().expect("a disk");
        let mut read = Vec::new();
        io::Seek::rewind(&mut file).expect("a file");
        file.read_to_end(&mut read).expect("its bytes");
        assert_eq!(read, [7; 300_000]);
    }

    #[test]
    fn what_has_no_pages_is_told() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let error = start(&file, 0, 1).expect_err("a pipe has no pages");
        assert_eq!(error.raw_os_error(), Some(libc::ESPIPE));
        let file = tempfile::tempfile().expect("a file");
        let error = start(&file, u64::MAX, 1).expect_err("no file is as long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
