//! Damaged files: a broker says what is damaged or serves what is right, and `ottla check` finds it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use ottla_client::consumer::{
    ConsumerOptions, Isolation, OffsetReset, OffsetSpec, PartitionConsumer,
};
use ottla_client::{Client, ClientOptions};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::kinds::{Episode, SETTINGS};
use super::records::{Log, PARTITIONS, parse};
use super::workload::Workload;
use crate::harness::{Broker, ottla_binary};

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// At this byte.
    FlippedBit(u64),
    CutTo(u64),
    Missing,
}

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

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let mut all = Vec::new();
    files(from, &mut all);
    for file in all {
        let target = to.join(file.strip_prefix(from).expect("is below"));
        fs::create_dir_all(target.parent().expect("is below")).expect("can be made");
        fs::copy(file, target).expect("can be copied");
    }
}

/// A kind of file for a name, so that each kind is damaged as often as others.
fn kind_of(path: &Path) -> String {
    let extension = path.extension().and_then(|e| e.to_str());
    match (extension, path.parent().and_then(Path::file_name)) {
        (Some(extension), _) => extension.to_owned(),
        (None, Some(dir)) => format!("{}/", dir.display()),
        (None, None) => String::new(),
    }
}

fn harm(file: &Path, random: &mut StdRng) -> Damage {
    let len = fs::metadata(file).expect("is there").len();
    let damage = match random.random_range(0..6) {
        0 => Damage::Missing,
        1 if len > 0 => Damage::CutTo(random.random_range(0..len)),
        // Beginnings say more than the rest.
        2 if len > 0 => Damage::FlippedBit(random.random_range(0..len.min(64))),
        _ if len > 0 => Damage::FlippedBit(random.random_range(0..len)),
        _ => Damage::Missing,
    };
    let open = || File::options().read(true).write(true).open(file);
    match damage {
        Damage::Missing => fs::remove_file(file).expect("can be removed"),
        Damage::CutTo(len) => open().and_then(|f| f.set_len(len)).expect("can be cut"),
        Damage::FlippedBit(at) => {
            let file = open().expect("can be opened");
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("is in it");
            byte[0] ^= 1 << random.random_range(0..8);
            file.write_all_at(&byte, at).expect("can be written");
        }
    }
    damage
}

/// What can still be read of a topic: wrong records panic; how many right ones there were, and whether anything was missing.
async fn read(bootstrap: &str, topic: &str, log: &Log) -> (usize, Vec<String>) {
    let options = ClientOptions {
        retry_timeout: Duration::from_secs(1),
        ..ClientOptions::default()
    };
    // It listens before it has read what is there.
    let mut client = match Client::connect(&[bootstrap.to_owned()], options).await {
        Ok(client) => client,
        Err(error) => return (0, vec![error.to_string()]),
    };
    let mut right = 0;
    let mut problems = Vec::new();
    if let Err(error) = client.topic(topic, false).await {
        return (0, vec![error.to_string()]);
    }
    for partition in 0..PARTITIONS {
        let place = [(topic.to_owned(), partition)];
        let mut ends = [0; 2];
        let specs = [OffsetSpec::Earliest, OffsetSpec::Latest];
        for (end, spec) in ends.iter_mut().zip(specs) {
            match client
                .list_offsets(&place, spec, Isolation::ReadUncommitted)
                .await
            {
                Ok(offsets) => *end = offsets[&place[0]].unwrap_or(0),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let own = client.connect_again().await.expect("the broker answers");
        let options = ConsumerOptions {
            reset: OffsetReset::Fail,
            ..ConsumerOptions::default()
        };
        let mut reader = PartitionConsumer::new(own, options);
        let [mut next, end] = ends;
        reader.assign(topic, partition, next);
        while next < end {
            match reader.poll(Duration::from_millis(500)).await {
                Ok(records) if records.is_empty() => {
                    problems.push(format!("nothing at {partition}:{next} of {end}"));
                    next += 50;
                    reader.assign(topic, partition, next);
                }
                Ok(records) => {
                    for record in records {
                        let found = parse(record.value.as_deref().expect("no tombstones here"));
                        let place = (partition, record.offset);
                        assert_eq!(log.get(&place), Some(&found), "wrong at {place:?}");
                        next = record.offset + 1;
                        right += 1;
                    }
                }
                Err(error) => {
                    problems.push(error.to_string());
                    next += 50;
                    reader.assign(topic, partition, next);
                }
            }
        }
    }
    (right, problems)
}

/// Damages a copy of what a workload left, again and again.
pub(super) fn run(random: &mut StdRng, rounds: u64) -> Episode {
    let mut broker = Broker::not_started(&SETTINGS);
    broker.restart();
    let workload = Workload::start(&broker.bootstrap());
    workload.get_somewhere();
    std::thread::sleep(Duration::from_secs(2));
    let topic = workload.topic().to_owned();
    let (summary, log) = workload.finish_with_log();
    // A journal that is full, or one that a stop has emptied.
    if random.random() {
        broker.kill();
    } else {
        broker.terminate();
    }
    assert_sound(&broker.data_dir());
    for _ in 0..rounds {
        one(&broker.data_dir(), &topic, &log, random);
    }
    Episode {
        crashes: rounds,
        summary,
    }
}

fn one(sound: &Path, topic: &str, log: &Log, random: &mut StdRng) {
    let mut broker = Broker::not_started(&SETTINGS);
    let data = broker.data_dir();
    copy(sound, &data);
    let mut all = Vec::new();
    files(&data, &mut all);
    all.sort();
    let mut kinds: Vec<String> = all.iter().map(|f| kind_of(f)).collect();
    kinds.sort();
    kinds.dedup();
    let kind = kinds.choose(random).expect("there are files");
    let of_kind: Vec<&PathBuf> = all.iter().filter(|f| kind_of(f) == *kind).collect();
    let file = (*of_kind.choose(random).expect("one at least")).clone();
    let damage = harm(&file, random);
    let what = format!(
        "{damage:?} in {}",
        file.strip_prefix(&data).expect("is below").display()
    );
    let found = {
        let copied = tempfile::tempdir().expect("can be made");
        copy(&data, &copied.path().join("data"));
        check(&copied.path().join("data"))
    };
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&found.stdout),
        String::from_utf8_lossy(&found.stderr)
    );
    assert!(!told.contains("panicked at"), "{what}: {told}");
    let (right, problems) = match broker.try_restart(None) {
        Err(reason) => (0, vec![reason]),
        Ok(()) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(read(&broker.bootstrap(), topic, log))
        }
    };
    if right == 0 {
        // It has not been served, so the broker has ended, and says why.
        assert!(broker.ends(), "{what}: nothing is served");
    }
    let said = broker.log();
    assert!(!said.contains("panicked at"), "{what}: a thread panicked");
    let lost = log.len() - right.min(log.len());
    let warned = said.contains("WARN") || said.contains("ERROR") || said.contains("error");
    println!(
        "  {what}: {lost} of {} not read, {} problems, check {}, {}",
        log.len(),
        problems.len(),
        found.status,
        if warned { "warned" } else { "silent" }
    );
    if lost > 0 && file.starts_with(data.join("topics")) {
        assert!(
            !found.status.success(),
            "{what}: the check finds nothing\n{told}"
        );
    }
    assert!(
        lost == 0 || warned || !problems.is_empty(),
        "{what}: {lost} records are gone, and nobody says so\n{told}\n{said}"
    );
}
