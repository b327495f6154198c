//! A broker under a mixed load with churn for a long time, and whether it stays as it was. See docs/LONG_RUN.md.

mod checker;
mod churn;
mod compacted;
mod groups;
mod letters;
pub mod load;
pub mod picture;
pub mod report;
pub mod samples;
mod shared;
mod streams;
mod transactions;
pub mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::load::Load;
use self::report::Report;
use self::samples::{Life, Sampler};
use self::shared::{Shared, lock};
use crate::harness::Broker;

/// What kind of run it is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How long the load is on, at least.
    pub time: Duration,
    /// In the first half of the time the broker is started anew so often; then it lives to the end.
    pub restart_every: Duration,
    /// How much of the usual load.
    pub load: f64,
    /// Whether connections are leaked, to see that it is found.
    pub leak: bool,
    /// Where results go.
    pub output: PathBuf,
}

impl Plan {
    /// The usual one for so long.
    pub fn of(time: Duration, output: PathBuf) -> Plan {
        Plan {
            time,
            restart_every: Duration::from_secs(180).min(time / 6),
            load: 1.0,
            leak: false,
            output,
        }
    }
}

/// How much longer the load is on if there is something that was not done even once.
const PATIENCE: Duration = Duration::from_secs(300);

/// Settings under which everything that happens in days happens in minutes.
const SETTINGS: [&str; 8] = [
    "http.port=0",
    "log.retention.check.interval.ms=5000",
    "log.cleaner.backoff.ms=2000",
    "offsets.retention.minutes=1",
    "offsets.retention.check.interval.ms=10000",
    "producer.id.expiration.ms=60000",
    "transactional.id.expiration.ms=120000",
    "transaction.remove.expired.transaction.cleanup.interval.ms=10000",
];

/// Runs it and writes results.json, curves.svg and the broker's log.
pub fn run(plan: &Plan) -> Result<Report> {
    std::fs::create_dir_all(&plan.output)?;
    let mut broker = Broker::not_started(&SETTINGS);
    let sampler = Sampler::new(broker.data_dir());
    let mut life = start(&mut broker, &sampler, 0).context("the first start")?;
    let shared = Shared::new(broker.port(), plan.load);
    let load = Load::start(&shared, plan.leak);
    let sampling = {
        let sampler = Arc::clone(&sampler);
        shared.spawn("the sampler", move |shared| sampler.run(shared))
    };
    let patience = plan.time + PATIENCE;
    while shared.began.elapsed() < plan.time
        || !shared.counts.missing().is_empty() && shared.began.elapsed() < patience
    {
        let restart =
            life.began.elapsed() > plan.restart_every && shared.began.elapsed() < plan.time / 2;
        if broker.has_ended() {
            shared.fail("the broker ended by itself: see its log".into());
            break;
        }
        if restart {
            *lock(&sampler.life) = None;
            end(&shared, &mut broker, life.number);
            match start(&mut broker, &sampler, life.number + 1) {
                Ok(next) => life = next,
                Err(reason) => {
                    shared.fail(format!("{reason:#}"));
                    break;
                }
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    for missing in shared.counts.missing() {
        shared.fail(format!("no {missing}"));
    }
    let ended = shared.began.elapsed();
    load.finish();
    sampler.end.store(true, Ordering::Relaxed);
    *lock(&sampler.life) = None;
    let _ = sampling.join();
    if !broker.has_ended() {
        end(&shared, &mut broker, 0);
    }
    let samples = std::mem::take(&mut *lock(&sampler.samples));
    let report = Report::new(ended, &shared, life.number, samples);
    report.write(plan, &broker.log())?;
    Ok(report)
}

fn start(broker: &mut Broker, sampler: &Sampler, number: usize) -> Result<Life> {
    let began = Instant::now();
    broker.try_restart(None).map_err(anyhow::Error::msg)?;
    let life = Life {
        number,
        pid: broker.pid(),
        began,
    };
    *lock(&sampler.life) = Some(life);
    Ok(life)
}

/// SIGTERM and SIGKILL in turn.
fn end(shared: &Shared, broker: &mut Broker, life: usize) {
    if life % 2 == 1 {
        broker.kill();
        return;
    }
    let status = broker.terminate();
    if !status.success() {
        shared.fail(format!("the broker ended with {status} on SIGTERM"));
    }
}
