//! The time of day as a program sees it. Its way past the kernel (the vDSO) is taken from it when it starts, so that it asks the kernel.

use std::io;

use crate::sys;

/// Entries of the auxiliary vector (`getauxval(3)`).
const AT_NULL: u64 = 0;
const AT_IGNORE: u64 = 1;
const AT_SYSINFO_EHDR: u64 = 33;
const WORD: u64 = 8;

/// Hides the vDSO from a program that is at its first instruction: above its stack pointer are the count of its arguments, the
/// arguments, the environment, and the auxiliary vector.
pub fn hide_vdso(pid: u32, stack: u64) -> io::Result<()> {
    let word = |at: u64| -> io::Result<u64> {
        let bytes = sys::read_memory(pid, at, WORD as usize)?;
        let bytes = bytes
            .try_into()
            .map_err(|_| io::Error::other("the stack ends before the auxiliary vector"))?;
        Ok(u64::from_ne_bytes(bytes))
    };
    // The count, the arguments, a zero.
    let mut at = stack + WORD * (word(stack)? + 2);
    while word(at)? != 0 {
        at += WORD;
    }
    at += WORD;
    loop {
        match word(at)? {
            AT_NULL => return Ok(()),
            AT_SYSINFO_EHDR => return sys::write_memory(pid, at, &AT_IGNORE.to_ne_bytes()),
            _ => at += 2 * WORD,
        }
    }
}

/// The time of day, `offset` seconds off.
pub fn shifted(offset: i64) -> io::Result<libc::timespec> {
    let mut now = sys::time_of_day()?;
    now.tv_sec += offset;
    Ok(now)
}
