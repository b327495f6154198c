//! A broker as a process of its own, and what tests ask of it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and says with a panic what went wrong"
)]

pub mod wire;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ottla_client::Connection;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A broker on a free port; killed when dropped. What it says on stderr is kept, and must not tell of a panic.
pub struct Served {
    child: Child,
    lines: mpsc::Receiver<String>,
    told: String,
    pub address: String,
}

impl Served {
    pub fn start(data_dir: &Path) -> Served {
        Served::start_with::<&str>(data_dir, &[])
    }

    pub fn start_with<S: AsRef<OsStr>>(data_dir: &Path, args: &[S]) -> Served {
        let mut command = serve(data_dir);
        command.args(args);
        Served::of(command)
    }

    /// The broker that a command starts.
    pub fn of(mut command: Command) -> Served {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut served = Served {
            child,
            lines,
            told: String::new(),
            address: String::new(),
        };
        let line = served.wait_for("clients are told to connect to ");
        served.address = line.rsplit(' ').next().unwrap().to_owned();
        served
    }

    /// The next line on stderr that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.told.push_str(&line);
                    self.told.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(e) => panic!("{e} while waiting for {text:?}; stderr was:\n{}", self.told),
            }
        }
    }

    /// All of stderr up to its end, which is the process's.
    fn rest(&mut self) -> &str {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.told.push_str(&line);
                    self.told.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return &self.told,
                Err(e) => panic!("{e} while waiting for the end; stderr was:\n{}", self.told),
            }
        }
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with_input(args, "")
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(args)
            .env("OTTLA_BOOTSTRAP_SERVER", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// What a command that succeeds prints.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// What a command that fails says.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        text(&output.stderr)
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&*self.address).await.unwrap()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns how it ended, and all that was said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let told = self.rest().to_owned();
        assert!(!told.contains("panic"), "{told}");
        assert!(!told.contains('\x1b'), "colours are for terminals: {told}");
        (self.child.wait().unwrap(), told)
    }

    /// Sends SIGTERM; returns the exit code and what was said.
    pub fn stop(self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let (status, told) = self.wait();
        (status.code(), told)
    }

    /// Sends SIGKILL, and looks that nothing panicked before.
    pub fn kill(self) {
        self.signal("-KILL");
        self.wait();
    }

    /// A line of /proc/PID/status in bytes, as `VmRSS` and the peak of it, `VmHWM`.
    #[cfg(target_os = "linux")]
    pub fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn serve(data_dir: &Path) -> Command {
    serve_by(Path::new(env!("CARGO_BIN_EXE_ottla")), data_dir)
}

/// The same by a copy of the program.
pub fn serve_by(program: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["serve", "--port", "0", "--data-dir"])
        .arg(data_dir)
        // What is for programs is read where a test asks for it.
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("RUST_LOG", "info");
    command
}

/// What a start that must fail says.
pub fn refused<S: AsRef<OsStr>>(data_dir: &Path, args: &[S]) -> String {
    fails_to_start(serve(data_dir).args(args))
}

/// The same of a start as it is.
pub fn fails_to_start(serve: &mut Command) -> String {
    let output = serve.output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("panic"), "{told}");
    assert!(!told.contains("is ready"), "{told}");
    told
}

/// Runs the command without a broker.
pub fn ottla(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(args)
        .env_remove("OTTLA_BOOTSTRAP_SERVER")
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
