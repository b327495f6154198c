//! All seeds through all targets, on any toolchain, and a hundred sessions made from recorded ones. `OTTLA_FUZZ_ROUNDS=n` plays n of them,
//! `OTTLA_FUZZ_SEED=n` begins with that one. A failure leaves its session in the temporary directory and tells its name.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ottla_fuzzing::TARGETS;
use ottla_fuzzing::session::{decode, mutate, play};

/// The names and contents of a target's seeds, in the order of their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let entries = std::fs::read_dir(dir.join(target));
    let mut seeds: Vec<_> = entries
        .unwrap_or_else(|error| panic!("{target} has no seeds: {error}"))
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds.sort();
    seeds
}

#[test]
fn every_target_holds_for_its_seeds() {
    for (target, run) in TARGETS {
        for (name, seed) in seeds(target) {
            if catch_unwind(|| run(&seed)).is_err() {
                panic!("{target}: {name}");
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_every_program_a_target() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut programs: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs, targets);
}

#[test]
fn recorded_sessions_go_as_they_went() {
    let (mut sent, mut answered, mut acknowledged) = (0, 0, 0);
    for (name, seed) in seeds("session") {
        let played = play(&decode(&seed));
        assert_eq!(played.refused, 0, "{name}: {played:?}");
        sent += played.sent;
        answered += played.answered;
        acknowledged += played.acknowledged;
    }
    println!("{sent} requests, {answered} answers, {acknowledged} batches acknowledged");
    assert!(answered > sent * 9 / 10, "{answered} of {sent}");
    assert!(acknowledged > sent / 30, "{acknowledged}");
}

fn env(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn sessions_made_from_recorded_ones_hold() {
    let seeds: Vec<Vec<u8>> = seeds("session").into_iter().map(|(_, seed)| seed).collect();
    let first = env("OTTLA_FUZZ_SEED").unwrap_or(0);
    for n in first..first + env("OTTLA_FUZZ_ROUNDS").unwrap_or(100) {
        let at = n as usize % seeds.len();
        let other = (n as usize / seeds.len() + at * 7) % seeds.len();
        let mut session = mutate::mutate(&seeds[at], 1 << 16, n);
        if n % 3 == 0 {
            session = mutate::cross(&session, &seeds[other], 1 << 16, n);
        }
        // Few changes leave most of it sensible, many lead far away.
        let changes = match n % 8 {
            0 => 60,
            few => few - 1,
        };
        for again in 0..changes {
            session = mutate::mutate(&session, 1 << 16, n.wrapping_mul(31) + again);
        }
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| play(&decode(&session)))) {
            let path = std::env::temp_dir().join(format!("ottla-session-{n}"));
            std::fs::write(&path, &session).unwrap();
            eprintln!("OTTLA_FUZZ_SEED={n}: the session is in {}", path.display());
            std::panic::resume_unwind(cause);
        }
    }
}
