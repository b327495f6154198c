//! What a process has used: CPU seconds and resident memory, from /proc on Linux and from `ps` elsewhere; more of it on Linux.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// User and system time that the process has used so far, seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    if cfg!(target_os = "linux") {
        linux_cpu_seconds(pid)
    } else {
        let text = ps(pid, "time=")?;
        parse_ps_time(&text).with_context(|| format!("ps says a time of {text:?}"))
    }
}

/// Resident memory, bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let kib: u64 = if cfg!(target_os = "linux") {
        status(pid, "VmRSS")?
    } else {
        ps(pid, "rss=")?.parse()?
    };
    Ok(kib * 1024)
}

/// The part of the resident memory that is no file's, bytes. Linux only.
pub fn anonymous_bytes(pid: u32) -> Result<u64> {
    Ok(status(pid, "RssAnon")? * 1024)
}

/// Threads. Linux only.
pub fn threads(pid: u32) -> Result<u64> {
    status(pid, "Threads")
}

/// Open files, sockets among them, but no pipes: librdkafka's pass to every program that its user starts. Linux only.
pub fn open_files(pid: u32) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that is closed meanwhile is none.
        let target = std::fs::read_link(entry?.path());
        count +=
            usize::from(target.is_ok_and(|target| !target.to_string_lossy().starts_with("pipe:")));
    }
    Ok(count)
}

/// How often the process's threads that are alive went to sleep of themselves: an idle one does not. Linux only.
pub fn sleeps(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ends meanwhile is none.
        let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        let mut lines = status.lines();
        if let Some(count) = lines.find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")) {
            sum += count.trim().parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// A number of /proc/PID/status, in kB where it is one of bytes.
fn status(pid: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.with_context(|| format!("no {name} in /proc/PID/status"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Bytes that the files below `directory` occupy on the device (a sparse file counts what is allocated).
pub fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => std::os::unix::fs::MetadataExt::blocks(&meta) * 512,
            // A file that goes while we look occupies nothing.
            Err(_) => 0,
        })
        .sum()
}

fn linux_cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name is in parentheses and may hold blanks: the fields are counted after it.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("too few fields")?.parse()?) };
    // USER_HZ is 100 on every Linux that Rust has a target for.
    Ok((ticks()? + ticks()?) / 100.0)
}

fn ps(pid: u32, column: &str) -> Result<String> {
    let output = Command::new("ps")
        .args(["-o", column, "-p", &pid.to_string()])
        .output()
        .context("ps cannot be run")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// `[[dd-]hh:]mm:ss[.cc]`
fn parse_ps_time(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (days.parse::<f64>().ok()?, clock),
        None => (0.0, text),
    };
    clock
        .split(':')
        .try_fold(0.0, |sum, part| {
            Some(sum * 60.0 + part.parse::<f64>().ok()?)
        })
        .map(|seconds| seconds + days * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_that_ps_prints_are_read() {
        for (text, seconds) in [
            ("0:01.50", 1.5),
            ("01:02:03", 3723.0),
            ("2-00:00:01", 172_801.0),
        ] {
            assert_eq!(parse_ps_time(text), Some(seconds), "{text}");
        }
        assert_eq!(parse_ps_time("soon"), None);
    }

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let pid = std::process::id();
        let before = cpu_seconds(pid).unwrap();
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 100 {
            std::hint::spin_loop();
        }
        assert!(cpu_seconds(pid).unwrap() > before);
        assert!(resident_bytes(pid).unwrap() > 100_000);
        if cfg!(target_os = "linux") {
            assert!(open_files(pid).unwrap() > 2);
            let before = sleeps(pid).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
            assert!(sleeps(pid).unwrap() > before);
            assert!(anonymous_bytes(pid).unwrap() < resident_bytes(pid).unwrap());
            assert!(threads(pid).unwrap() >= 1);
        }
    }
}
