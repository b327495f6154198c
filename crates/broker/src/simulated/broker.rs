//! A broker over its lives: requests, time, work of the background, ends and starts.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::Now;
use ottla_storage::fs::sim::SimFs;
use ottla_storage::{CheckReport, Store};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::{Connection, Process, SetClock, Timers};
use crate::connections::Connections;
use crate::http::Http;
use crate::settings::{BrokerConfig, Settings};

/// 2024-07-03, so that timestamps have as many bytes as today's.
const FIRST_WALL_MS: i64 = 1_720_000_000_000;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Power is cut: what was not synced is lost in part.
    PowerCut,
    /// It is killed: nothing that was written is lost.
    Kill,
}

impl Damage {
    /// Leaves the disk as the process finds it next.
    pub(crate) fn befall(self, fs: &SimFs) {
        match self {
            Damage::PowerCut => fs.crash(),
            Damage::Kill => fs.kill(),
        }
    }
}

/// What on the disk is changed, and how: see `SimFs::damage`.
pub type Change<'a> = (usize, &'a dyn Fn(&mut Vec<u8>));

/// See the module.
pub struct Simulated {
    fs: SimFs,
    config: BrokerConfig,
    clock: SetClock,
    timers: Timers,
    /// `None` while another is started.
    process: Option<Process>,
    connections: u64,
    runtime: Runtime,
}

impl Simulated {
    /// A broker with an empty disk, and with these settings.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(seed: u64, values: &[(&str, &str)]) -> anyhow::Result<Simulated> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let config = BrokerConfig {
            data_dir: PathBuf::from("/data"),
            values: values.iter().map(own).collect(),
        };
        let clock = Arc::new(Mutex::new(Now {
            monotonic_ms: 0,
            wall_ms: FIRST_WALL_MS,
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()?;
        let fs = SimFs::new(seed);
        let process = open(&fs, &config, &clock, &runtime)?;
        Ok(Simulated {
            fs,
            config,
            clock,
            timers: Timers::default(),
            process: Some(process),
            connections: 0,
            runtime,
        })
    }

    /// Leaves room for `bytes` more on the disk.
    pub fn limit_disk(&self, bytes: u64) {
        self.fs.set_free(Some(bytes));
    }

    /// Runs what uses timers of the runtime.
    pub fn enter<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.enter();
        work()
    }

    /// A new connection to this process. It must be dropped before the process ends.
    pub fn connect(&mut self) -> Connection {
        self.connections += 1;
        Connection::new(self.process(), self.connections)
    }

    /// Writes until nothing waits, and runs what that lets go on.
    pub fn settle(&mut self) {
        let shared = self.process().broker.groups.shared.clone();
        loop {
            while self.process().stepped.write() {}
            self.run_timers();
            self.yield_now();
            let more = self.process().stepped.write();
            if !more && shared.moves.is_empty() {
                return;
            }
            if !more {
                // A move reads on a thread of its own.
                self.runtime
                    .block_on(async { tokio::time::sleep(Duration::from_micros(50)).await });
            }
        }
    }

    fn process(&self) -> &Process {
        self.process
            .as_ref()
            .expect("a start that failed is the end")
    }

    fn run_timers(&mut self) {
        let _inside = self.runtime.enter();
        if let Some(process) = &self.process {
            self.timers.run(process);
        }
    }

    fn yield_now(&self) {
        self.runtime.block_on(async {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Lets time pass.
    pub fn advance(&mut self, ms: u32) {
        {
            let mut now = self.clock.lock();
            now.monotonic_ms += u64::from(ms);
            now.wall_ms += i64::from(ms);
        }
        self.run_timers();
    }

    /// The disk refuses the next sync.
    #[cfg(test)]
    pub(crate) fn fail_next_sync(&self) {
        self.fs.fail_next_sync();
    }

    /// The work of the background, as it comes from time to time: 0 a checkpoint, 1 a flush, 2 removes files, 3 retention,
    /// 4 compaction, 5 and all others expiration of ids and offsets.
    pub fn work(&mut self, which: u8) {
        let wall_ms = self.clock.lock().wall_ms;
        let store = self.process().stepped.store().clone();
        let shared = self.process().broker.groups.shared.clone();
        let _inside = self.runtime.enter();
        match which {
            0 => _ = self.process().stepped.checkpoint(),
            1 => self.process().stepped.flush(),
            2 => self.process().stepped.remove_files(),
            // What cannot be is the store's trouble.
            3 => _ = store.run_retention(wall_ms),
            4 => _ = store.compact_now(wall_ms),
            _ => {
                shared.expire_transactional_ids(&mut shared.lock());
                shared.expire_offsets();
            }
        }
    }

    /// Ends what waits for other members or for data, as a stop does.
    pub fn end_waits(&mut self) {
        self.process().broker.shutdown.cancel();
        self.process().broker.groups.end_waits();
    }

    /// The process ends, and another takes its place. All connections must have been dropped.
    ///
    /// # Errors
    /// It does not start, which it must.
    pub fn restart(&mut self, damage: Damage) -> anyhow::Result<()> {
        damage.befall(&self.fs);
        self.clock.lock().monotonic_ms = 0;
        self.timers = Timers::default();
        self.process = None;
        self.process = Some(open(&self.fs, &self.config, &self.clock, &self.runtime)?);
        Ok(())
    }

    /// Ends the process, changes one of the things on the disk as `SimFs::damage` does, and starts another.
    ///
    /// # Errors
    /// It does not start, which is no wonder. There is no process then.
    pub fn restart_damaged(&mut self, damages: &[Change<'_>]) -> anyhow::Result<()> {
        self.process = None;
        self.fs.kill();
        for (which, change) in damages {
            self.fs.damage(*which, change);
        }
        self.restart(Damage::Kill)
    }

    /// What the disk holds, verified.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn check(&self) -> anyhow::Result<CheckReport> {
        Ok(self.process().stepped.store().check()?)
    }

    /// The log and the catalogue.
    pub fn store(&self) -> &Store {
        self.process().stepped.store()
    }

    /// Sends `bytes` as a connection of HTTP and takes what comes until nothing more does; the answers.
    pub fn http(&mut self, bytes: &[u8]) -> Bytes {
        let connections = Arc::new(Connections::default());
        let http = Http::new(self.process().broker.clone(), connections, &[]);
        let stepped = &self.process().stepped;
        self.runtime.block_on(async {
            let answered = http.answer(bytes);
            let mut answered = std::pin::pin!(answered);
            loop {
                // Whoever waits for the disk waits for nobody else.
                while stepped.write() {}
                tokio::select! {
                    biased;
                    answers = &mut answered => return answers,
                    () = pause() => {}
                }
            }
        })
    }
}

fn pause() -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_micros(100))
}

fn open(
    fs: &SimFs,
    config: &BrokerConfig,
    clock: &SetClock,
    runtime: &Runtime,
) -> anyhow::Result<Process> {
    let settings = Arc::new(Settings::new(config)?);
    let _inside = runtime.enter();
    Ok(Process::open(fs, &settings, clock)?)
}
