//! The tool itself: who syncs what he should loses nothing whenever the power goes; who forgets a sync is found out.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use ottla_power_cut::{CutReport, Faults, SimulatedDisk};

const COUNT: u64 = 4;

/// Runs the program until it is done or the disk stops; then cuts the power. What it said that it kept, and what the cut took.
fn run(
    dir: &Path,
    how: &str,
    seed: u64,
    stop_after: Option<u64>,
    faults: Faults,
) -> (Vec<String>, CutReport, SimulatedDisk) {
    let mut disk = SimulatedDisk::new(dir, seed).unwrap();
    disk.set_faults(faults);
    let mut command = Command::new(env!("CARGO_BIN_EXE_careless-writer"));
    command.arg(dir).args([how, &COUNT.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = disk.spawn(&mut command).unwrap();
    if let Some(calls) = stop_after {
        disk.stop_after(calls);
    }
    let said = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let lines = said.lines().map_while(Result::ok);
        lines.take_while(|line| line != "all").collect::<Vec<_>>()
    });
    while !reader.is_finished() && !disk.is_off() {
        thread::sleep(Duration::from_millis(1));
    }
    let report = disk.cut(&mut child, seed).unwrap();
    (reader.join().unwrap(), report, disk)
}

fn text(number: u64) -> String {
    number.to_string().repeat(600)
}

/// Numbers that were said to be kept and are not.
fn lost(dir: &Path, said: &[String]) -> Vec<u64> {
    let kept = (0..COUNT).filter(|n| said.contains(&format!("kept {n}")));
    kept.filter(|n| fs::read_to_string(dir.join(n.to_string())).ok() != Some(text(*n)))
        .collect()
}

/// How many of the seeds lose something.
fn losing(how: &str) -> usize {
    let losing = |seed: &u64| {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("data");
        let (said, _, disk) = run(&dir, how, *seed, None, Faults::default());
        assert_eq!(said.len() as u64, COUNT, "{said:?}");
        assert_eq!(disk.unsupported(), [""; 0]);
        !lost(&dir, &said).is_empty()
    };
    (0..40).filter(losing).count()
}

#[test]
fn who_syncs_files_and_directories_loses_nothing_whenever_the_power_goes() {
    assert_eq!(losing("carefully"), 0);
    // Each number takes a file made, a write, a sync, a rename, a sync.
    for calls in 0..5 * COUNT {
        for seed in 0..6 {
            let tmp = tempfile::tempdir().unwrap();
            let dir = tmp.path().join("data");
            let (said, _, _) = run(&dir, "carefully", seed, Some(calls), Faults::default());
            assert_eq!(said.len() as u64, calls / 5, "call {calls}");
            assert_eq!(lost(&dir, &said), [0; 0], "call {calls}, seed {seed}");
        }
    }
}

#[test]
fn a_forgotten_sync_is_found_out() {
    for how in [
        "without-sync",
        "without-sync-of-the-directory",
        "renamed-before-the-sync",
        "in-a-new-directory",
    ] {
        let losing = losing(how);
        assert!((5..40).contains(&losing), "{how}: {losing} of 40");
    }
}

#[test]
fn a_write_is_torn_at_sectors_and_nowhere_else() {
    let mut torn = 0;
    for seed in 0..60 {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("data");
        run(&dir, "in-place", seed, None, Faults::default());
        let Ok(place) = fs::read(dir.join("place")) else {
            continue;
        };
        for sector in place.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}");
        }
        torn += usize::from(place.chunks(512).any(|sector| sector[0] != place[0]));
    }
    assert!(torn > 5, "{torn} of 60");
}

#[test]
fn what_was_written_before_a_kill_is_not_durable_for_that() {
    let lost_after_kill = |seed: &u64| {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("data");
        let mut disk = SimulatedDisk::new(&dir, *seed).unwrap();
        for _ in 0..2 {
            let mut command = Command::new(env!("CARGO_BIN_EXE_careless-writer"));
            command.arg(&dir).args(["without-sync", "2"]);
            let mut child = disk
                .spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))
                .unwrap();
            child.wait().unwrap();
            disk.stopped().unwrap();
            assert_eq!(fs::read_to_string(dir.join("1")).unwrap(), text(1));
        }
        let mut command = Command::new("true");
        let mut child = disk.spawn(&mut command).unwrap();
        disk.cut(&mut child, *seed).unwrap();
        fs::read_to_string(dir.join("1")).ok() != Some(text(1))
    };
    assert!((0..20).any(|seed| lost_after_kill(&seed)));
}

#[test]
fn a_disk_fills_up_and_a_sync_fails_and_writes_are_short() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("data");
    let full = Faults {
        free: Some(700),
        ..Faults::default()
    };
    let (said, _, disk) = run(&dir, "carefully", 1, None, full);
    assert_eq!(said[0], "kept 0");
    assert!(said[1].contains("No space left"), "{said:?}");
    assert_eq!(disk.stats().refused_writes, 3);

    let tmp = tempfile::tempdir().unwrap();
    let failing = Faults {
        syncs_until_failure: Some(1),
        ..Faults::default()
    };
    let (said, _, disk) = run(tmp.path(), "carefully", 1, None, failing);
    assert!(
        said[0] == "kept 0" && said[1].contains("Input/output error"),
        "{said:?}"
    );
    assert_eq!(disk.stats().failed_syncs, 3);

    let tmp = tempfile::tempdir().unwrap();
    let short = Faults {
        short_writes: true,
        sync_millis: 2,
        ..Faults::default()
    };
    let mut shortened = 0;
    for seed in 0..10 {
        let (said, _, disk) = run(tmp.path(), "carefully", seed, None, short);
        assert_eq!(lost(tmp.path(), &said), [0; 0]);
        assert_eq!(said.len() as u64, COUNT);
        shortened += disk.stats().short_writes;
    }
    assert!(shortened > 5, "{shortened}");
}

#[test]
fn the_time_of_day_jumps() {
    let tmp = tempfile::tempdir().unwrap();
    for hours in [-5, 0, 48] {
        let mut disk = SimulatedDisk::new(&tmp.path().join("data"), 1).unwrap();
        disk.set_clock(hours * 3600);
        let mut command = Command::new(env!("CARGO_BIN_EXE_careless-writer"));
        command
            .arg(tmp.path())
            .args(["time", "1"])
            .stdin(Stdio::null());
        let mut child = disk.spawn(command.stdout(Stdio::piped())).unwrap();
        let mut said = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        child.wait().unwrap();
        disk.stopped().unwrap();
        let there: i64 = said.lines().next().unwrap().parse().unwrap();
        let here = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let off = there - here.as_secs() as i64 - hours * 3600;
        assert!((-60..=0).contains(&off), "{off} s from where it should be");
    }
}
