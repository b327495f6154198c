//! Keeps numbers in files below a directory, carefully or not, and says after each that it is kept. The tests cut its power.
//!   careless-writer DIR HOW COUNT

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// One number, `0` up to the count, into its file.
fn keep(dir: &Path, how: &str, number: u64) -> io::Result<()> {
    let path = dir.join(number.to_string());
    let text = number.to_string().repeat(600);
    match how {
        // Written beside it, synced, renamed, and the name synced.
        "carefully" => {
            let new = dir.join("new");
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(dir)?.sync_all()
        }
        "without-sync" => {
            File::create(&path)?.write_all(text.as_bytes())?;
            File::open(dir)?.sync_all()
        }
        "without-sync-of-the-directory" => {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }
        "renamed-before-the-sync" => {
            let new = dir.join("new");
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&new, &path)?;
            File::open(dir)?.sync_all()
        }
        // In a directory whose own name is not durable.
        "in-a-new-directory" => {
            let below = dir.join(format!("dir-{number}"));
            fs::create_dir(&below)?;
            let mut file = File::create(below.join("file"))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            File::open(&below)?.sync_all()?;
            fs::hard_link(below.join("file"), &path)
        }
        // Over and over in one place: a torn write is of two numbers.
        "in-place" => {
            let file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(dir.join("place"));
            File::open(dir)?.sync_all()?;
            file?.write_all(text.repeat(10).as_bytes())
        }
        "time" => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_err(io::Error::other)?;
            println!("{}", now.as_secs());
            Ok(())
        }
        other => Err(io::Error::other(format!("{other}: no such way"))),
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, how, count] = &args[..] else {
        return Err(io::Error::other("careless-writer DIR HOW COUNT"));
    };
    let count: u64 = count.parse().map_err(io::Error::other)?;
    for number in 0..count {
        match keep(Path::new(dir), how, number) {
            Ok(()) => println!("kept {number}"),
            Err(e) => println!("failed {number}: {e}"),
        }
    }
    println!("all");
    // Until it is killed.
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
