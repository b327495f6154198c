//! A broker process: Ottla's binary, or Apache Kafka to compare with.

use std::fs::{self, File, OpenOptions};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ottla_power_cut::{CutReport, SimulatedDisk};
use tempfile::TempDir;

use super::process::{Process, free_port};
use super::{installed, repository};

/// How long a broker may take until it accepts connections: Apache Kafka on a busy machine is the slow one.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Which broker the tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `ottla serve`, built from this workspace (or `$OTTLA_BIN`).
    Ottla,
    /// A single Apache Kafka node, by scripts/kafka.sh.
    Kafka,
}

impl Target {
    /// As `OTTLA_TEST_TARGET` says: `ottla` (the default) or `kafka`.
    pub fn current() -> Target {
        match std::env::var("OTTLA_TEST_TARGET").as_deref() {
            Err(_) | Ok("" | "ottla") => Target::Ottla,
            Ok("kafka") => Target::Kafka,
            Ok(other) => panic!("OTTLA_TEST_TARGET={other}: ottla or kafka"),
        }
    }
}

/// A broker process on a free port, with its data in a temporary directory. Killed on drop; when the test fails, the end of
/// what it said is printed, and its files stay if `OTTLA_KEEP_FAILED` is set.
pub struct Broker {
    target: Target,
    port: u16,
    settings: Vec<String>,
    dir: TempDir,
    disk: Option<SimulatedDisk>,
    running: Option<Process>,
}

impl Broker {
    /// Starts a broker with default settings and waits until it accepts connections.
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// The same with broker settings, each `name=value`.
    pub fn start_with(settings: &[&str]) -> Broker {
        Broker::start_target(Target::current(), settings)
    }

    /// The same for a target of one's own choice.
    pub fn start_target(target: Target, settings: &[&str]) -> Broker {
        let mut broker = Broker::stopped(target, settings);
        broker.restart();
        broker
    }

    /// An Ottla, not started yet, on a simulated disk: see [`Broker::disk`] and [`Broker::cut_power`].
    pub fn on_simulated_disk(settings: &[&str], seed: u64) -> Broker {
        let mut broker = Broker::stopped(Target::Ottla, settings);
        let disk = SimulatedDisk::new(&broker.data_dir(), seed);
        broker.disk = Some(disk.expect("a temporary directory can be made"));
        broker
    }

    /// An Ottla, not started yet: its data directory can be prepared.
    pub fn not_started(settings: &[&str]) -> Broker {
        Broker::stopped(Target::Ottla, settings)
    }

    fn stopped(target: Target, settings: &[&str]) -> Broker {
        Broker {
            target,
            port: free_port(),
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            dir: tempfile::Builder::new()
                .prefix("ottla-e2e-")
                .tempdir()
                .expect("a temporary directory can be made"),
            disk: None,
            running: None,
        }
    }

    /// `127.0.0.1:port`, for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Which broker this is.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The port that it listens on, the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        let running = self.running.as_ref();
        running.expect("the broker is running").pid()
    }

    /// The directory with a partition's segment files.
    pub fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        let topics = match self.target {
            Target::Ottla => self.data_dir().join("topics"),
            Target::Kafka => self.data_dir().join("logs"),
        };
        topics.join(format!("{topic}-{partition}"))
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The simulated disk, for faults and jumps of the clock.
    pub fn disk(&mut self) -> &mut SimulatedDisk {
        self.disk.as_mut().expect("it is on a simulated disk")
    }

    /// SIGKILL: no chance to write anything more. What was written is there.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
            self.end_supervision();
        }
    }

    /// The power goes: what was not synced is lost in part, as `seed` says.
    pub fn cut_power(&mut self, seed: u64) -> CutReport {
        let mut running = self.running.take().expect("the broker is running");
        let cut = self.disk().cut(&mut running.child, seed);
        cut.expect("the directory can be changed")
    }

    fn end_supervision(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.stopped().expect("the supervisor did its work");
        }
    }

    /// SIGTERM, and waits for the end. Panics when it takes more than a minute.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the broker is running");
        running.signal("TERM");
        let status = running.wait(STOP_TIMEOUT);
        running.kill();
        self.end_supervision();
        status
            .unwrap_or_else(|| panic!("the broker did not stop within {STOP_TIMEOUT:?} of SIGTERM"))
    }

    /// Starts again after [`Broker::kill`], [`Broker::cut_power`] or [`Broker::terminate`]: same port, same data, same settings.
    pub fn restart(&mut self) {
        if let Err(reason) = self.try_restart(None) {
            panic!("{reason}");
        }
    }

    /// The same; why it did not come up, if it does not. With `stop_after` its simulated disk stops after so many calls, maybe before
    /// it is up.
    pub fn try_restart(&mut self, stop_after: Option<u64>) -> Result<(), String> {
        assert!(self.running.is_none(), "the broker is still running");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the temporary directory can be written");
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be duplicated"))
            .stderr(log);
        let process = match &mut self.disk {
            Some(disk) => {
                let child = disk.spawn(&mut command);
                Process::started(child.expect("the broker's program can be started"))
            }
            None => Process::spawn(&mut command),
        };
        if let (Some(disk), Some(calls)) = (&self.disk, stop_after) {
            disk.stop_after(calls);
        }
        self.running = Some(process);
        self.await_listener()
    }

    fn await_listener(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if self.has_ended() {
                self.kill();
                return Err(format!(
                    "the broker ended at start-up:\n{}",
                    self.log_tail()
                ));
            }
            let is_off = self.disk.as_ref().is_some_and(SimulatedDisk::is_off);
            if is_off || self.is_listening() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!(
            "the broker does not listen after {START_TIMEOUT:?}:\n{}",
            self.log_tail()
        ))
    }

    /// A connection from the port to itself is none: the system may choose the very port that nobody listens on yet.
    fn is_listening(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port))
            .is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
    }

    /// Whether it has ended by itself, or was ended.
    pub fn has_ended(&mut self) -> bool {
        self.running
            .as_mut()
            .is_none_or(|running| running.ended().is_some())
    }

    /// Waits until it ends by itself; whether it does.
    pub fn ends(&mut self) -> bool {
        self.running
            .as_mut()
            .is_none_or(|running| running.wait(STOP_TIMEOUT).is_some())
    }

    fn command(&self) -> Command {
        let port = self.port.to_string();
        match self.target {
            Target::Ottla => {
                let mut command = Command::new(ottla_binary());
                command.args(["serve", "--host", "127.0.0.1", "--port", &port]);
                command.arg("--data-dir").arg(self.data_dir());
                for setting in &self.settings {
                    command.args(["--override", setting]);
                }
                command
            }
            Target::Kafka => {
                installed("java/libs", "java");
                let mut command = Command::new(repository().join("scripts/kafka.sh"));
                command.args(["run", &port]).arg(self.data_dir());
                command.args(&self.settings);
                command
            }
        }
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }

    /// What it has said so far, in all its lives.
    pub fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the broker said last:\n{}\n---", self.log_tail());
            if std::env::var_os("OTTLA_KEEP_FAILED").is_some() {
                self.dir.disable_cleanup(true);
                eprintln!("its files are in {}", self.dir.path().display());
            }
        }
        self.kill();
    }
}

/// `$OTTLA_BIN`, or the binary of this workspace, built now in the profile of the tests.
pub fn ottla_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("OTTLA_BIN") {
            return PathBuf::from(given);
        }
        // target/<profile>/deps/<this test>
        let this = std::env::current_exe().expect("a process knows its own program");
        let profile_dir = this
            .ancestors()
            .nth(2)
            .expect("tests run from target/<profile>/deps");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "ottla-cli"]);
        if profile_dir.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(
            profile_dir
                .parent()
                .expect("a profile's directory lies in the target directory"),
        );
        let status = build
            .current_dir(repository())
            .stdin(Stdio::null())
            .status()
            .expect("cargo can be started");
        assert!(status.success(), "building ottla failed: {status}");
        let binary = profile_dir.join("ottla");
        File::open(&binary).expect("cargo built target/<profile>/ottla");
        binary
    })
}
