//! The files that connectors read and write, and the connectors.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

/// A source connector that follows a file.
pub fn source(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": file,
        "topic": topic,
        // Otherwise what lies in its buffer may wait for the next line.
        "batch.size": "1000000",
    })
}

/// A sink connector that writes what is committed.
pub fn sink(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "FileStreamSink",
        "tasks.max": "1",
        "file": file,
        "topics": topic,
        "consumer.override.isolation.level": "read_committed",
        "consumer.override.metadata.max.age.ms": "1000",
    })
}

/// The nth line of a file: no two are the same, and their lengths differ.
pub fn line(number: usize) -> String {
    format!("{number:07} {}", "abcdefghij".repeat(number % 13))
}

/// The whole lines that a file has; none when it is not there.
pub fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// A program that writes lines to a file all the time.
pub struct Writer {
    pub file: PathBuf,
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub fn start(file: PathBuf) -> Writer {
        let written = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, end) = (written.clone(), stop.clone());
        let mut out = BufWriter::new(File::create(&file).unwrap());
        let thread = thread::spawn(move || {
            let mut number = 0;
            while !end.load(Ordering::Relaxed) {
                for _ in 0..10 {
                    writeln!(out, "{}", line(number)).unwrap();
                    number += 1;
                }
                out.flush().unwrap();
                count.store(number, Ordering::Relaxed);
                // The pace of a log that is written to.
                thread::sleep(Duration::from_millis(10));
            }
        });
        Writer {
            file,
            written,
            stop,
            thread,
        }
    }

    /// Lines so far.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Ends it; the number of lines.
    pub fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.written.load(Ordering::Relaxed)
    }
}
