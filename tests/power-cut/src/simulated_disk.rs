//! The disk as its user sees it.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::JoinHandle;

use rand::{SeedableRng, rngs::StdRng};

use crate::calls::Machine;
use crate::disk::Disk;
use crate::supervisor::Shared;
use crate::{CutReport, Faults, Stats, clock, filter, supervisor, sys};

/// A disk with one directory, on which one program at a time runs.
pub struct SimulatedDisk {
    state: State,
    faults: Faults,
    rng: StdRng,
    clock_offset: Option<i64>,
    stats: Stats,
    unsupported: Vec<String>,
}

enum State {
    Idle(Box<Disk>),
    Running(Arc<Shared>, JoinHandle<io::Result<()>>),
    /// An error came between.
    Broken,
}

impl SimulatedDisk {
    /// A disk with what `dir` holds, which is made if it is missing; all of it is durable. `seed` is for faults that come by chance.
    pub fn new(dir: &Path, seed: u64) -> io::Result<SimulatedDisk> {
        Ok(SimulatedDisk {
            state: State::Idle(Box::new(Disk::new(dir)?)),
            faults: Faults::default(),
            rng: StdRng::seed_from_u64(seed),
            clock_offset: None,
            stats: Stats::default(),
            unsupported: Vec::new(),
        })
    }

    /// Starts a program on this disk. It must be stopped before this value is dropped, and by [`SimulatedDisk::cut`] or with
    /// [`SimulatedDisk::stopped`] before the next one is started.
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Child> {
        let State::Idle(disk) = std::mem::replace(&mut self.state, State::Broken) else {
            return Err(io::Error::other("a program runs on this disk already"));
        };
        let jumps = self.clock_offset.is_some();
        let socket = sys::filtered(command, filter::program(jumps), jumps)?;
        let child = command.spawn()?;
        if jumps {
            sys::at_start(&child, clock::hide_vdso)?;
        }
        let machine = Machine {
            disk: *disk,
            faults: self.faults,
            rng: self.rng.clone(),
            clock_offset: self.clock_offset.unwrap_or(0),
            process: sys::pidfd(child.id())?,
            pid: child.id(),
            is_off: false,
            fuse: None,
            unsupported: Vec::new(),
            stats: self.stats,
        };
        let (shared, thread) = supervisor::start(machine, sys::receive_listener(&socket)?);
        self.state = State::Running(shared, thread);
        Ok(child)
    }

    /// Must be called when the program has ended and was waited for. What it did not sync is not lost, and not durable either.
    pub fn stopped(&mut self) -> io::Result<()> {
        let (shared, thread) = match std::mem::replace(&mut self.state, State::Broken) {
            State::Running(shared, thread) => (shared, thread),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        thread
            .join()
            .map_err(|_| io::Error::other("the supervisor panicked"))??;
        let shared = Arc::into_inner(shared)
            .ok_or_else(|| io::Error::other("somebody still holds the supervisor"))?;
        let machine = shared.into_machine();
        self.rng = machine.rng;
        self.stats = machine.stats;
        self.faults = machine.faults;
        self.unsupported.extend(machine.unsupported);
        self.state = State::Idle(Box::new(machine.disk));
        Ok(())
    }

    /// Cuts the power: no further call of the program's is carried out, it is killed, and the directory gets what `seed` leaves of it.
    pub fn cut(&mut self, child: &mut Child, seed: u64) -> io::Result<CutReport> {
        if let State::Running(shared, _) = &self.state {
            shared.machine().is_off = true;
        }
        child.kill()?;
        child.wait()?;
        self.stopped()?;
        match &mut self.state {
            State::Idle(disk) => disk.cut(seed),
            _ => Err(io::Error::other("the disk is broken")),
        }
    }

    /// Stops the disk after so many more changes and syncs, in the middle of whatever the program does then: what [`SimulatedDisk::cut`]
    /// leaves is of that moment. See [`SimulatedDisk::is_off`].
    pub fn stop_after(&self, calls: u64) {
        if let State::Running(shared, _) = &self.state {
            shared.machine().fuse = Some(calls);
        }
    }

    /// Whether the disk has stopped.
    pub fn is_off(&self) -> bool {
        match &self.state {
            State::Running(shared, _) => shared.machine().is_off,
            _ => false,
        }
    }

    /// Lets things go wrong from now on, or no more.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        if let State::Running(shared, _) = &self.state {
            shared.machine().faults = faults;
        }
    }

    /// Sets the time of day off by so many seconds. A program whose clock is to jump must have been started after the first call.
    pub fn set_clock(&mut self, offset: i64) {
        self.clock_offset = Some(offset);
        if let State::Running(shared, _) = &self.state {
            shared.machine().clock_offset = offset;
        }
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        match &self.state {
            State::Running(shared, _) => shared.machine().stats,
            _ => self.stats,
        }
    }

    /// Calls so far that this simulation cannot follow: a test that sees one has proved nothing.
    pub fn unsupported(&self) -> Vec<String> {
        let mut all = self.unsupported.clone();
        if let State::Running(shared, _) = &self.state {
            all.extend(shared.machine().unsupported.iter().cloned());
        }
        all
    }
}
