//! Sending a part of a file to a socket: by the kernel where it can (Linux), else by way of a buffer.

use std::io;

use ottla_storage::FileSlice;
use tokio::net::TcpStream;

/// Bytes that one call reads at most when it must go by way of a buffer.
const BUFFER: usize = 64 * 1024;

/// Sends up to `len` bytes at `position`. Returns how many the socket took; `WouldBlock` when it takes none now.
pub(crate) fn send(
    socket: &TcpStream,
    file: &FileSlice,
    position: u64,
    len: usize,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if let Some(os_file) = file.os_file() {
        return by_kernel(socket, os_file, position, len);
    }
    by_buffer(socket, file, position, len)
}

#[cfg(target_os = "linux")]
fn by_kernel(
    socket: &TcpStream,
    file: &std::fs::File,
    position: u64,
    len: usize,
) -> io::Result<usize> {
    /// A call does not keep the thread longer than sending this much takes.
    const PER_CALL: usize = 1 << 20;
    socket.try_io(tokio::io::Interest::WRITABLE, || {
        let mut offset = position;
        loop {
            match rustix::fs::sendfile(socket, file, Some(&mut offset), len.min(PER_CALL)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => return Ok(n),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    })
}

/// What the socket does not take is read again: rare, since it is asked for room before.
fn by_buffer(socket: &TcpStream, file: &FileSlice, position: u64, len: usize) -> io::Result<usize> {
    let mut buffer = vec![0; len.min(BUFFER)];
    file.read_at(position, &mut buffer)?;
    socket.try_write(&buffer)
}
