//! An application of tests/streams, and its instances as processes.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Process, installed};
use tempfile::TempDir;

/// The longest wait for anything that an application does.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// What all applications are run with, so that a death is noticed soon. What is said later replaces what is said before.
const SETTINGS: &[(&str, &str)] = &[
    ("commit.interval.ms", "100"),
    ("statestore.cache.max.bytes", "0"),
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "500"),
    ("producer.transaction.timeout.ms", "5000"),
    ("auto.offset.reset", "earliest"),
    ("reconnect.backoff.max.ms", "200"),
];

/// An application: instances with the same name share its work.
pub struct Application {
    topology: &'static str,
    settings: Vec<String>,
    dir: TempDir,
}

impl Application {
    /// One that is called as its topology is, by `processing.guarantee=exactly_once_v2` and these settings.
    pub fn new(broker: &Broker, topology: &'static str, settings: &[(&str, &str)]) -> Application {
        let own = [
            ("application.id", topology),
            ("bootstrap.servers", &broker.bootstrap()),
            ("processing.guarantee", "exactly_once_v2"),
        ]
        .map(|(name, value)| format!("{name}={value}"));
        let more = SETTINGS.iter().chain(settings);
        let more = more.map(|(name, value)| format!("{name}={value}"));
        Application {
            topology,
            settings: own.into_iter().chain(more).collect(),
            dir: tempfile::Builder::new()
                .prefix("ottla-streams-")
                .tempdir()
                .expect("a temporary directory can be made"),
        }
    }

    /// Starts an instance. One of the same name finds the state that the one before left.
    pub fn start(&self, instance: &str) -> Instance {
        let jar = installed("streams/streams.jar", "streams");
        let libs = installed("streams/libs", "streams").join("*");
        // A JVM that is killed leaves the libraries that it unpacked.
        let temporary = self.dir.path().join(format!("{instance}.tmp"));
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir(&temporary).expect("the directory can be written");
        let log = self.dir.path().join(format!("{instance}.log"));
        let mut command = Command::new("java");
        command
            .args([
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-Xmx256m",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            ])
            .arg(format!("-Djava.io.tmpdir={}", temporary.display()))
            .arg("-cp")
            .arg(format!("{}:{}", jar.display(), libs.display()))
            .args(["ottla.streams.Main", self.topology])
            .args(&self.settings)
            .arg(format!("state.dir={}", self.state(instance).display()))
            .arg(format!("client.id={instance}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .append(true)
                    .create(true)
                    .open(&log)
                    .expect("the directory can be written"),
            );
        let mut process = Process::spawn(&mut command);
        let said = Arc::new(Said::default());
        let stdout = process.stdout().expect("stdout was piped");
        let reader = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                reader.add(Some(line));
            }
            reader.add(None);
        });
        Instance {
            process,
            said,
            awaited: Cell::new(0),
            log,
        }
    }

    /// The directory of an instance's stores.
    fn state(&self, instance: &str) -> PathBuf {
        self.dir.path().join(format!("{instance}.state"))
    }

    /// Removes what an instance left on its disk: its stores.
    pub fn forget(&self, instance: &str) {
        fs::remove_dir_all(self.state(instance)).expect("the instance had stores");
    }

    /// What an instance logged, in all its lives.
    pub fn log(&self, instance: &str) -> String {
        let log = fs::read(self.dir.path().join(format!("{instance}.log")));
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }
}

/// The lines that an instance printed. `None` is their end.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<Option<String>>>,
    changed: Condvar,
}

impl Said {
    fn add(&self, line: Option<String>) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_all();
    }
}

/// A process. Killed on drop; when the test fails, what it said is printed.
pub struct Instance {
    process: Process,
    said: Arc<Said>,
    /// How many lines were awaited.
    awaited: Cell<usize>,
    log: PathBuf,
}

impl Instance {
    /// Waits until it has tasks and works on them; gives the milliseconds that this took from its start.
    pub fn await_running(&self) -> u64 {
        let line = self.await_line("state RUNNING", |line| line.starts_with("state RUNNING"));
        let took = line.rsplit(' ').next().expect("a last word");
        took.parse().expect("milliseconds")
    }

    /// Waits until it owns at least so many tasks.
    pub fn await_tasks(&self, count: usize) {
        self.await_line(&format!("{count} tasks"), |line| {
            line.strip_prefix("tasks ")
                .is_some_and(|tasks| tasks.split_whitespace().count() >= count)
        });
    }

    /// Waits for a line that it prints after the last one that was awaited.
    pub fn await_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + TIMEOUT;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            let awaited = self.awaited.get();
            let fresh = lines[awaited..].iter().flatten();
            if let Some((at, line)) = fresh.enumerate().find(|(_, line)| wanted(line)) {
                self.awaited.set(awaited + at + 1);
                return line.clone();
            }
            let ended = matches!(lines.last(), Some(None));
            let left = deadline.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                drop(lines);
                let why = if ended {
                    "it has ended"
                } else {
                    "its time is up"
                };
                panic!("the application does not say {what}: {why}");
            }
            lines = self.said.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// All that it printed.
    pub fn said(&self) -> Vec<String> {
        let lines = self.said.lines.lock().unwrap();
        lines.iter().flatten().cloned().collect()
    }

    /// How many records it has taken from changelogs into its stores.
    pub fn restored(&self) -> u64 {
        let said = self.said();
        let counts = said.iter().filter(|line| line.starts_with("restored "));
        counts
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.check();
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// SIGTERM, and waits until it has closed.
    pub fn close(mut self) {
        self.check();
        self.process.signal("TERM");
        self.await_end();
    }

    /// Waits until it has ended by itself, and says how.
    pub fn await_end(&mut self) -> ExitStatus {
        let ended = self.process.wait(TIMEOUT);
        ended.expect("the application ends")
    }

    /// Panics if a thread of it died.
    fn check(&self) {
        let said = self.said();
        let died = said.iter().find(|line| line.starts_with("died "));
        assert!(died.is_none(), "{died:?}");
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "--- an instance said:\n{}\n--- and logged last:\n{}\n---",
                self.said().join("\n"),
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
    }
}
