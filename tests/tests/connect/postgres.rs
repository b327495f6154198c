//! A PostgreSQL server of a test's own, whose changes can be followed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use ottla_tests::harness::{Process, free_port, run, try_await};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Postgres {
    pub port: u16,
    process: Process,
    _dir: TempDir,
}

/// Where Debian and Homebrew keep the server's programs, which are not in the PATH.
fn programs() -> PathBuf {
    let found = Command::new("sh")
        .args(["-c", "dirname \"$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)\""])
        .output()
        .unwrap();
    let folder = String::from_utf8(found.stdout).unwrap();
    let folder = PathBuf::from(folder.trim());
    assert!(
        folder.join("initdb").exists(),
        "PostgreSQL is missing: run ./scripts/setup-test-clients.sh connect"
    );
    folder
}

/// The server refuses to run as root.
fn command(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

impl Postgres {
    pub fn start() -> Postgres {
        let programs = programs();
        let dir = tempfile::Builder::new()
            .prefix("ottla-postgres-")
            .tempdir()
            .unwrap();
        let data = dir.path().join("data");
        let log = File::create(dir.path().join("log")).unwrap();
        std::fs::create_dir(&data).unwrap();
        // Only works for root, and only then it is needed.
        let _ = Command::new("chown")
            .args(["-R", "postgres"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        let mut initdb = command(&programs.join("initdb"));
        initdb
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--pgdata",
            ])
            .arg(&data);
        run(initdb.current_dir(dir.path()), b"", TIMEOUT).success();
        let port = free_port();
        let mut server = command(&programs.join("postgres"));
        server
            .current_dir(dir.path())
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
            ])
            .args(["-c", "wal_level=logical", "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", dir.path().display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let postgres = Postgres {
            port,
            process: Process::spawn(&mut server),
            _dir: dir,
        };
        let ready = try_await(TIMEOUT, || {
            let finished = run(&mut postgres.psql(), b"SELECT 1", TIMEOUT);
            (finished.code == Some(0)).then_some(()).ok_or(finished)
        });
        ready.unwrap();
        postgres
    }

    /// Runs statements.
    #[track_caller]
    pub fn execute(&self, statements: &str) {
        run(&mut self.psql(), statements.as_bytes(), TIMEOUT).success();
    }

    /// A client that goes on.
    pub fn session(&self) -> Session {
        let mut child = self
            .psql()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let statements = child.stdin.take().unwrap();
        Session { child, statements }
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "-v",
            "ON_ERROR_STOP=1",
            "--username=postgres",
        ])
        .args(["--host=127.0.0.1", &format!("--port={}", self.port)]);
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown takes its helpers and its shared memory with it.
        self.process.signal("INT");
        self.process.wait(TIMEOUT);
    }
}

pub struct Session {
    child: Child,
    statements: ChildStdin,
}

impl Session {
    pub fn execute(&mut self, statement: &str) {
        writeln!(self.statements, "{statement}").unwrap();
    }

    /// Waits until all statements are through.
    pub fn close(mut self) {
        drop(self.statements);
        assert!(self.child.wait().unwrap().success());
    }
}
