//! The program's own pages.
//!
//! A start runs through half of the program's code, and the kernel maps 64 KiB around each place that is touched. Most of it no broker
//! needs again: the command line, the settings, recovery.

use std::ops::Range;
use std::path::Path;

/// Lets go of the code that has run so far. What is needed again is mapped again from the page cache, 64 KiB a fault; the
/// rest counts for no process, and is the first that the kernel takes when it needs memory.
pub fn let_go_of_code() {
    if let Err(error) = try_let_go() {
        tracing::debug!(%error, "the pages of the start stay mapped");
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // Nothing safe unmaps pages.
fn try_let_go() -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    for code in unchanged_code(&smaps, &program) {
        let start = std::ptr::with_exposed_provenance_mut(code.start);
        // SAFETY: the range is a mapping of a file that cannot be written to and has no page of its own (no breakpoint either), so
        // what is read there afterwards is what was there before.
        let result = unsafe { libc::madvise(start, code.len(), libc::MADV_DONTNEED) };
        if result != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn try_let_go() -> std::io::Result<()> {
    Ok(())
}

/// The addresses of `program`'s code in `/proc/PID/smaps`, where it is as in the file.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn unchanged_code(smaps: &str, program: &Path) -> Vec<Range<usize>> {
    let of_program = format!(" {}", program.display());
    let mut found = Vec::new();
    let mut code = None;
    for line in smaps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let first = fields.next().unwrap_or_default();
        let second = fields.next();
        if first == "Anonymous:" {
            found.extend(code.take().filter(|_| second == Some("0")));
        } else if let Some(range) = addresses(first) {
            let is_code = second == Some("r-xp") && line.ends_with(&of_program);
            code = is_code.then_some(range);
        }
    }
    found
}

/// Of `564820b4d000-5648210f0000`.
fn addresses(field: &str) -> Option<Range<usize>> {
    let (start, end) = field.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_that_nobody_changed_is_let_go_of() {
        let mapping = |addresses: &str, permissions: &str, path: &str, anonymous: u32| {
            format!(
                "{addresses} {permissions} 005a2000 fe:00 5525115   {path}\nSize: 8 kB\nRss: 8 kB\nAnonymous: {anonymous} kB\n\
                 VmFlags: rd ex mr mw me\n"
            )
        };
        let smaps = [
            mapping("1000-2000", "r--p", "/opt/my ottla", 0),
            mapping("2000-4000", "r-xp", "/opt/my ottla", 0),
            mapping("4000-5000", "r-xp", "/opt/my ottla", 4),
            mapping("5000-6000", "rw-p", "/opt/my ottla", 0),
            mapping("6000-7000", "r-xp", "/lib/libc.so.6", 0),
            mapping("7000-8000", "r-xp", "", 0),
        ];
        let code = unchanged_code(&smaps.concat(), Path::new("/opt/my ottla"));
        assert_eq!(code, std::slice::from_ref(&(0x2000..0x4000)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn code_that_was_let_go_of_runs() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let code = unchanged_code(&smaps, &std::env::current_exe().unwrap());
        let here = let_go_of_code as fn() as usize;
        assert!(code.iter().any(|range| range.contains(&here)));
        try_let_go().unwrap();
        assert_eq!(addresses("10-20"), Some(16..32));
    }
}
