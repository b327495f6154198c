//! Damaged files: a broker serves what is right and names what is not, or refuses to begin, and says how to go on.

mod harm;
mod judge;

use std::path::Path;
use std::process::{Command, Output};

use ottla_client::admin::NewTopic;
use ottla_client::consumer::Isolation;
use ottla_client::{Client, ClientOptions};
use rand::{Rng, rngs::StdRng};
use serde_json::json;

use self::harm::{Damage, FileKind, choose, copy, harm};
use self::judge::{Outcome, judge, judge_cut, judge_shown};
use super::dead_letters;
use super::kinds::{Episode, SETTINGS};
use super::picture::{self, Picture};
use super::snapshots;
use super::topics::runtime;
use super::workload::{Summary, Workload};
use crate::harness::{Broker, ottla_binary, rest};

/// No checkpoint, so that the journal holds work; no compaction, so that what is served stays the same.
const QUIET: [&str; 3] = [
    "log.segment.bytes=200000",
    "log.cleaner.enable=false",
    "log.message.timestamp.after.max.ms=9223372036854775807",
];
const CUT: &str = "ottla.journal.cut.damaged=true";
const SNAPSHOT: &str = "moment";
/// The last commit of all: damage to the last group of a journal cannot be told from a crash.
const FENCE: &str = "fence";

fn check(dir: &Path) -> Output {
    Command::new(ottla_binary())
        .arg("check")
        .arg("--data-dir")
        .arg(dir)
        .output()
        .expect("the program can be started")
}

/// `ottla check` finds nothing.
pub fn assert_sound(dir: &Path) {
    let Output {
        status,
        stdout,
        stderr,
    } = check(dir);
    assert!(
        status.success(),
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
}

/// A broker on a copy of a data directory, not started.
fn copied(from: &Path, more: &[&str]) -> Broker {
    let settings: Vec<&str> = QUIET
        .iter()
        .chain(&dead_letters::SETTINGS)
        .chain(more)
        .copied()
        .collect();
    let broker = Broker::not_started(&settings);
    copy(from, &broker.data_dir());
    broker
}

/// What readers of committed records see.
fn look(broker: &Broker, known: &Picture) -> Result<Picture, String> {
    look_at(broker, known, Isolation::ReadCommitted)
}

/// Records of open and aborted transactions as well.
fn look_at_all(broker: &Broker, known: &Picture) -> Picture {
    look_at(broker, known, Isolation::ReadUncommitted).expect("the broker answers")
}

fn look_at(broker: &Broker, known: &Picture, isolation: Isolation) -> Result<Picture, String> {
    let taken = runtime().block_on(picture::take(&broker.bootstrap(), known, isolation));
    let mut taken = taken.map_err(|e| e.to_string())?;
    taken.partitions.retain(|(topic, _), _| topic != FENCE);
    Ok(taken)
}

/// What is damaged again and again.
struct Sound {
    broker: Broker,
    /// Committed records.
    picture: Picture,
    /// All records.
    all: Picture,
    /// What the snapshot has.
    saved: Picture,
    summary: Summary,
}

fn work(random: &mut StdRng) -> Sound {
    let settings: Vec<&str> = SETTINGS
        .iter()
        .chain(&dead_letters::SETTINGS)
        .copied()
        .collect();
    let mut first = Broker::not_started(&settings);
    first.restart();
    let workload = Workload::start(&first.bootstrap(), &first.data_dir());
    workload.get_somewhere();
    let mut summary = workload.finish();
    first.terminate();

    let mut broker = copied(&first.data_dir(), &[]);
    broker.restart();
    let nothing = Picture::default();
    let saved = look(&broker, &nothing).expect("the broker answers");
    let name = json!({"name": SNAPSHOT});
    let answer = rest::ask(broker.port(), "POST", "/v1/snapshots", Some(&name));
    answer.expect("the broker answers").success();
    let workload = Workload::start(&broker.bootstrap(), &broker.data_dir());
    workload.get_somewhere();
    summary.add(&workload.finish());
    let picture = look(&broker, &nothing).expect("the broker answers");
    let all = look_at_all(&broker, &nothing);
    fence(&broker);
    // A journal that is full, or one that a stop has emptied.
    match random.random_ratio(3, 4) {
        true => broker.kill(),
        false => drop(broker.terminate()),
    }
    Sound {
        broker,
        picture,
        all,
        saved,
        summary,
    }
}

fn fence(broker: &Broker) {
    runtime().block_on(async {
        let address = [broker.bootstrap()];
        let client = Client::connect(&address, ClientOptions::default());
        let new = NewTopic {
            name: FENCE.to_owned(),
            partitions: Some(1),
            replication_factor: None,
            configs: Vec::new(),
        };
        let mut client = client.await.expect("the broker answers");
        let made = client.create_topics(&[new], false).await;
        made.expect("the broker answers")
            .remove(0)
            .1
            .expect("a name that is free");
    });
}

/// Damages a copy of what a workload left, again and again.
pub(super) fn run(random: &mut StdRng, rounds: u64) -> Episode {
    let sound = work(random);
    // Also that nothing but damage makes a difference.
    let mut unharmed = copied(&sound.broker.data_dir(), &[]);
    unharmed.restart();
    let again = look(&unharmed, &sound.picture).expect("the broker answers");
    judge(
        Path::new("reserve"),
        "nothing",
        &sound.picture,
        &Outcome::Served(again),
        None,
    );
    drop(unharmed);
    for _ in 0..rounds {
        one(&sound, random);
    }
    Episode {
        crashes: rounds,
        summary: sound.summary,
    }
}

/// Whether the harmed byte is one that no checksum covers.
fn is_outside_of_checksums(what: &str) -> bool {
    what.contains(OUTSIDE)
}

const OUTSIDE: &str = "in a base offset or leader epoch";

/// Whether a byte of a segment file is in the front of a batch.
fn in_front_of_batch(segment: &[u8], at: u64) -> bool {
    let mut position = 0;
    while let Some(len) = segment.get(position + 8..position + 12) {
        let front = position as u64..position as u64 + 8;
        let epoch = position as u64 + 12..position as u64 + 16;
        if front.contains(&at) || epoch.contains(&at) {
            return true;
        }
        let len = u32::from_be_bytes(len.try_into().expect("4 bytes"));
        position += 12 + len as usize;
    }
    false
}

fn one(sound: &Sound, random: &mut StdRng) {
    let mut broker = copied(&sound.broker.data_dir(), &[]);
    let data = broker.data_dir();
    let file = choose(&data, random);
    let kind = FileKind::of(&file);
    let whole = std::fs::read(data.join(&file)).expect("is there");
    let damage = harm(&data.join(&file), random);
    let mut what = format!("{damage:?} in {}", file.display());
    if let Damage::FlippedBit(at) = damage
        && file.extension().is_some_and(|e| e == "log")
        && in_front_of_batch(&whole, at)
    {
        what = format!("{what}, {OUTSIDE}");
    }
    let checked = copied(&data, &[]);
    let found = check(&checked.data_dir());
    let told = String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned();
    assert!(!told.contains("panicked at"), "{what}: {told}");
    let told = (!found.status.success()).then_some(told);

    let served = broker
        .try_restart(None)
        .and_then(|()| look(&broker, &sound.picture));
    let outcome = match served {
        Ok(picture) => Outcome::Served(picture),
        // It listens before it has read what is there, so the port tells nothing.
        Err(reason) => {
            assert!(
                broker.ends(),
                "{what}: it neither serves nor ends: {reason}"
            );
            Outcome::Refused(broker.log())
        }
    };
    assert!(
        !broker.log().contains("panicked at"),
        "{what}: a thread panicked"
    );
    let mut verdict = judge(&file, &what, &sound.picture, &outcome, told.as_deref());
    if matches!(outcome, Outcome::Refused(_)) && kind == FileKind::Journal {
        let mut cut = copied(&data, &[CUT]);
        cut.restart();
        let left = look(&cut, &sound.picture).expect("the broker answers");
        let shown = judge_shown(&what, &sound.picture, &left);
        let left = look_at_all(&cut, &sound.all);
        let then = judge_cut(&what, &sound.all, &left, &cut.log());
        verdict = format!("{verdict}; {then}, {shown}");
    }
    if kind == FileKind::Snapshot {
        verdict = format!("{verdict}; {}", restore(&data, &what, &sound.saved));
    }
    println!("  {what}: {verdict}");
}

/// A damaged snapshot is refused by its name, or what is restored is what was saved; records that cannot be read are told.
fn restore(data: &Path, what: &str, saved: &Picture) -> String {
    let mut broker = Broker::not_started(&QUIET);
    if let Err(said) = snapshots::restore(data, SNAPSHOT, &broker.data_dir()) {
        assert!(
            said.contains(SNAPSHOT) && !said.contains("panicked at"),
            "{what}: {said}"
        );
        return "not restored".to_owned();
    }
    let checked = copied(&broker.data_dir(), &[]);
    let found = check(&checked.data_dir());
    let told = String::from_utf8_lossy(&found.stdout).into_owned();
    let told = (!found.status.success()).then_some(told);
    broker.restart();
    let after = look(&broker, saved).expect("the broker answers");
    let name = what.rsplit('/').next().unwrap_or_default();
    // Named after the topic's id there; where it lies in the directory says no more than that.
    let name = name.rsplit('-').next().unwrap_or_default();
    let name = name.split(',').next().unwrap_or_default();
    let file = match name.ends_with(".log") {
        true => Path::new("topics").join("~restored-0").join(name),
        false => Path::new("reserve").to_owned(),
    };
    let verdict = judge(&file, what, saved, &Outcome::Served(after), told.as_deref());
    format!("restored: {verdict}")
}
