//! Brokers as processes, client programs, and where their files are.

mod broker;
pub mod connect;
mod driver;
mod originals;
mod process;
mod reader;
pub mod rest;
mod tools;

pub use broker::{Broker, Target, ottla_binary};
pub use driver::{Client, check, checks_of, program, python, worker};
pub use originals::original;
pub use process::{Process, free_port};
pub use reader::Reader;
pub use tools::{Finished, kafka_tool, kcat, run};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests' manifest lies in a directory of the repository")
}

/// Where scripts/setup-test-clients.sh installs: `.cache/`, or `$OTTLA_CACHE`.
pub fn cache() -> PathBuf {
    std::env::var_os("OTTLA_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from)
}

/// The path of something that scripts/setup-test-clients.sh installs. Panics with the command to run when it is missing: a test
/// that cannot run has not passed.
pub fn installed(path: &str, client: &str) -> PathBuf {
    let path = cache().join(path);
    assert!(
        path.exists(),
        "{} is missing: run ./scripts/setup-test-clients.sh {client}",
        path.display()
    );
    path
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// Asks until the answer is there; the last answer in its stead when `timeout` is over.
pub fn try_await<T, E>(timeout: Duration, mut probe: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + timeout;
    loop {
        let answer = probe();
        if answer.is_ok() || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
