//! Where there is no seccomp there is no such disk.

use std::io;
use std::path::Path;
use std::process::{Child, Command};

use crate::{CutReport, Faults, Stats};

/// Cannot be made here.
pub enum SimulatedDisk {}

#[allow(missing_docs)]
impl SimulatedDisk {
    /// An error: it needs Linux.
    pub fn new(_: &Path, _: u64) -> io::Result<SimulatedDisk> {
        let reason = "a simulated disk needs Linux 5.19 (seccomp_unotify)";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }
    pub fn spawn(&mut self, _: &mut Command) -> io::Result<Child> {
        match *self {}
    }
    pub fn stopped(&mut self) -> io::Result<()> {
        match *self {}
    }
    pub fn cut(&mut self, _: &mut Child, _: u64) -> io::Result<CutReport> {
        match *self {}
    }
    pub fn stop_after(&self, _: u64) {
        match *self {}
    }
    pub fn is_off(&self) -> bool {
        match *self {}
    }
    pub fn set_faults(&mut self, _: Faults) {
        match *self {}
    }
    pub fn set_clock(&mut self, _: i64) {
        match *self {}
    }
    pub fn stats(&self) -> Stats {
        match *self {}
    }
    pub fn unsupported(&self) -> Vec<String> {
        match *self {}
    }
}
