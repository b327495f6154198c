//! Answers the calls of a running program, one after the other, until it is gone or the power is cut.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::Rng;

use crate::calls::{Machine, Outcome};
use crate::filter;
use crate::names::NodeId;
use crate::sys::{self, Answer};

/// What the supervisor's thread and its owner share.
pub(crate) struct Shared {
    machine: Mutex<Machine>,
    listener: OwnedFd,
}

/// A sync that is under way.
struct Syncing {
    call: u64,
    node: Option<NodeId>,
    /// What was changed up to then is meant.
    began: u64,
    over: Instant,
}

impl Shared {
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn into_machine(self) -> Machine {
        self.machine
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts answering. The thread ends with the program.
pub(crate) fn start(
    machine: Machine,
    listener: OwnedFd,
) -> (Arc<Shared>, JoinHandle<io::Result<()>>) {
    let shared = Arc::new(Shared {
        machine: Mutex::new(machine),
        listener,
    });
    let seen = Arc::clone(&shared);
    let thread = thread::spawn(move || run(&seen));
    (shared, thread)
}

const IDLE: Duration = Duration::from_millis(100);

fn run(shared: &Shared) -> io::Result<()> {
    let mut syncing: Vec<Syncing> = Vec::new();
    loop {
        finish(shared, &mut syncing)?;
        let next = syncing.iter().map(|sync| sync.over).min();
        let at_most = next.map_or(IDLE, |over| {
            over.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        });
        match sys::wait(&shared.listener, at_most)? {
            None => return Ok(()),
            Some(false) => continue,
            Some(true) => {}
        }
        let Some(call) = sys::receive(&shared.listener)? else {
            continue;
        };
        let mut machine = shared.machine();
        if machine.is_off {
            continue;
        }
        let outcome = match filter::kind(call.data.nr) {
            Some(kind) => machine.call(kind, &call),
            None => Ok(Outcome::Now(Answer::Continue)),
        };
        match outcome {
            Ok(Outcome::Now(answer)) => sys::answer(&shared.listener, call.id, answer)?,
            Ok(Outcome::File(file)) => sys::answer_with_file(&shared.listener, call.id, &file)?,
            Ok(Outcome::Synced(node)) => {
                let millis = machine.faults.sync_millis;
                let millis = machine.rng.random_range(0..=millis);
                syncing.push(Syncing {
                    call: call.id,
                    node,
                    began: machine.disk.clock,
                    over: Instant::now() + Duration::from_millis(millis),
                });
            }
            Err(_) if machine.is_off => {}
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::EIO);
                sys::answer(&shared.listener, call.id, Answer::Error(errno))?;
            }
        }
    }
}

fn finish(shared: &Shared, syncing: &mut Vec<Syncing>) -> io::Result<()> {
    let now = Instant::now();
    for sync in syncing.extract_if(.., |sync| sync.over <= now) {
        let mut machine = shared.machine();
        if machine.is_off {
            continue;
        }
        match sync.node {
            Some(node) => machine.disk.sync(node, sync.began)?,
            None => machine.disk.sync_all(sync.began)?,
        }
        sys::answer(&shared.listener, sync.call, Answer::Value(0))?;
    }
    Ok(())
}
