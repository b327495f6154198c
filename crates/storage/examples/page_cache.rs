//! What large appends cost by way of the page cache and past it, and what it then costs to read them.
//!
//! `cargo run --release -p ottla-storage --example page_cache -- DIRECTORY [MIB]`: CPU of this process for each GiB, written in blocks
//! of 1 MiB with a sync after each.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("O_DIRECT is Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{self, Error};
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use rustix::fs::{Advice, Mode, OFlags};

    const BLOCK: usize = 1 << 20;
    /// What direct writes must be aligned to, with room to spare.
    const ALIGNMENT: usize = 4096;

    pub fn main() -> io::Result<()> {
        let mut arguments = std::env::args().skip(1);
        let directory = arguments
            .next()
            .map_or_else(std::env::temp_dir, PathBuf::from);
        let mib = arguments.next().map_or(Ok(1024), |n| n.parse());
        let mib: u64 = mib.map_err(Error::other)?;
        let directory = tempfile::tempdir_in(directory)?;
        let mut memory = vec![7; BLOCK + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let block = &mut memory[start..start + BLOCK];

        println!("{:<40} {:>9} {:>8}", "", "CPU s/GiB", "MiB/s");
        let cached = directory.path().join("cached");
        let direct = directory.path().join("direct");
        for over in [OFlags::TRUNC, OFlags::empty()] {
            for (path, way) in [(&cached, OFlags::empty()), (&direct, OFlags::DIRECT)] {
                let file = open(path, OFlags::CREATE | over | way)?;
                let verb = if over.is_empty() {
                    "overwrite"
                } else {
                    "append"
                };
                let what = if way.is_empty() {
                    "by the page cache"
                } else {
                    "past it"
                };
                measure(&format!("{verb} {what}"), mib, |at| {
                    file.write_all_at(block, at)?;
                    file.sync_data()
                })?;
            }
        }
        let file = open(&cached, OFlags::empty())?;
        measure("read what is in the page cache", mib, |at| {
            file.read_exact_at(block, at)
        })?;
        let file = open(&direct, OFlags::empty())?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        measure("read what is not", mib, |at| file.read_exact_at(block, at))
    }

    fn open(path: &Path, flags: OFlags) -> io::Result<File> {
        let file = rustix::fs::open(path, OFlags::RDWR | flags, Mode::from_raw_mode(0o600))?;
        Ok(file.into())
    }

    fn measure(
        what: &str,
        mib: u64,
        mut block_at: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        for number in 0..mib {
            block_at(number * BLOCK as u64)?;
        }
        let cpu = (cpu_seconds()? - cpu) * 1024.0 / mib as f64;
        let speed = mib as f64 / began.elapsed().as_secs_f64();
        println!("{what:<40} {cpu:>9.2} {speed:>8.0}");
        Ok(())
    }

    /// User and system time of this process so far.
    fn cpu_seconds() -> io::Result<f64> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
        Ok(ticks.map_err(Error::other)?.iter().sum::<f64>() / 100.0)
    }
}
