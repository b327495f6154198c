//! What the broker takes, once a second.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ottla_bench::{process, stats};

use super::shared::{Shared, lock};
use crate::harness::rest;

/// The time between two samples.
pub const EVERY: Duration = Duration::from_secs(1);

/// What is sampled; [`Sample::values`] has them in this order.
pub const COLUMNS: [&str; 13] = [
    "resident memory, bytes",
    "anonymous memory, bytes",
    "open files",
    "threads",
    "disk, bytes",
    "CPU seconds",
    "connections",
    "topics",
    "partitions",
    "requests",
    "latency p50, ms",
    "latency p99, ms",
    "bytes acknowledged",
];

/// The broker at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds since the load began.
    pub at: f64,
    /// Which life of the broker it is, from 0 on.
    pub life: usize,
    /// Seconds since this life began.
    pub age: f64,
    /// As [`COLUMNS`] says.
    pub values: [f64; COLUMNS.len()],
}

impl Sample {
    /// A column by its name.
    pub fn value(&self, column: &str) -> f64 {
        let at = COLUMNS.iter().position(|name| *name == column);
        self.values[at.expect("a name of a column")]
    }
}

/// A life of the broker.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Which one, from 0 on.
    pub number: usize,
    /// Its process.
    pub pid: u32,
    /// When it began.
    pub began: Instant,
}

/// Takes samples while there is a broker, until `end`.
pub struct Sampler {
    /// The broker that runs now.
    pub life: Mutex<Option<Life>>,
    /// Where its data is.
    pub data: PathBuf,
    /// What was taken.
    pub samples: Mutex<Vec<Sample>>,
    /// Ends it.
    pub end: AtomicBool,
}

impl Sampler {
    /// Of a broker that is not there yet.
    pub fn new(data: PathBuf) -> Arc<Sampler> {
        Arc::new(Sampler {
            life: Mutex::default(),
            data,
            samples: Mutex::default(),
            end: AtomicBool::new(false),
        })
    }

    /// Samples until the end.
    pub fn run(&self, shared: &Shared) {
        let mut next = Instant::now();
        while !self.end.load(Ordering::Relaxed) {
            let life = *lock(&self.life);
            // A broker that dies meanwhile has no figures.
            if let Some(life) = life
                && let Ok(sample) = self.take(shared, life)
                && lock(&self.life).is_some_and(|now| now.number == life.number)
            {
                lock(&self.samples).push(sample);
            }
            next += EVERY;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn take(&self, shared: &Shared, life: Life) -> Result<Sample> {
        let metrics = metrics(shared.port)?;
        let metric = |name: &str| sum(&metrics, name);
        let mut latencies = shared.latencies();
        let bytes = shared.counts.bytes.load(Ordering::Relaxed);
        Ok(Sample {
            at: shared.began.elapsed().as_secs_f64(),
            life: life.number,
            age: life.began.elapsed().as_secs_f64(),
            values: [
                process::resident_bytes(life.pid)? as f64,
                process::anonymous_bytes(life.pid)? as f64,
                process::open_files(life.pid)? as f64,
                process::threads(life.pid)? as f64,
                process::disk_bytes(&self.data) as f64,
                process::cpu_seconds(life.pid)?,
                metric("ottla_connections"),
                metric("ottla_topics"),
                metric("ottla_partitions"),
                metric("ottla_requests_total"),
                stats::percentile_ms(&mut latencies, 50.0),
                stats::percentile_ms(&mut latencies, 99.0),
                bytes as f64,
            ],
        })
    }
}

fn metrics(port: u16) -> Result<String> {
    let answer = rest::ask(port, "GET", "/metrics", None)?;
    let text = answer.body.as_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other("no metrics"))
        .context("the broker has other things to do")
}

/// All series of a metric together.
fn sum(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_of_a_metric_count_and_no_others() {
        let text =
            "# TYPE a counter\na_total{api=\"x\"} 2\na_total{api=\"y\"} 3.5\na_total_of 7\na 1\n";
        assert_eq!(sum(text, "a_total"), 5.5);
        assert_eq!(sum(text, "a"), 1.0);
        assert_eq!(sum(text, "b"), 0.0);
    }
}
