//! The ways in which a broker dies, or is ill, under the [`workload`](super::workload): each is an episode with a data directory of its own.

use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use ottla_power_cut::Faults;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::TIMEOUT;
use super::workload::{Summary, Workload};
use super::{damage, dead_letters};
use crate::harness::Broker;

/// Small segments and frequent checkpoints, so that a crash finds one of everything. Clients' clocks may be ahead of the broker's.
pub(super) const SETTINGS: [&str; 4] = [
    "log.segment.bytes=200000",
    "ottla.checkpoint.interval.ms=100",
    "ottla.checkpoint.bytes=1048576",
    "log.message.timestamp.after.max.ms=9223372036854775807",
];

/// What happens to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL: what was written stays.
    Kill,
    /// What was not synced is lost in part; starts are cut short as well. Writes are short, syncs take their time.
    PowerCut,
    /// No room for a while, ended by room, SIGKILL or a power cut.
    DiskFull,
    /// A sync fails; then the power goes.
    FailedSync,
    /// The time of day jumps by hours, back and forth; then SIGKILL.
    Clock,
    /// Flipped bits, truncated and missing files.
    Damage,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] = [
        Kind::PowerCut,
        Kind::Kill,
        Kind::DiskFull,
        Kind::FailedSync,
        Kind::Clock,
        Kind::Damage,
    ];

    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kill => "SIGKILL",
            Kind::PowerCut => "power cut",
            Kind::DiskFull => "disk full",
            Kind::FailedSync => "failed sync",
            Kind::Clock => "clock jump",
            Kind::Damage => "damaged file",
        }
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Kind] {
        &Kind::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// What an episode came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Episode {
    /// How often it happened.
    pub crashes: u64,
    /// What was read back.
    pub summary: Summary,
}

/// Runs an episode with so many crashes. Panics when something does not hold.
pub fn run(kind: Kind, seed: u64, rounds: u64) -> Episode {
    let mut random = StdRng::seed_from_u64(seed);
    if kind == Kind::Damage {
        return damage::run(&mut random, rounds);
    }
    let settings: Vec<&str> = SETTINGS
        .iter()
        .chain(&dead_letters::SETTINGS)
        .copied()
        .collect();
    let mut broker = Broker::on_simulated_disk(&settings, seed);
    if kind == Kind::Clock {
        broker.disk().set_clock(0);
    }
    broker.disk().set_faults(usual(kind));
    broker.restart();
    let mut workload = Workload::start(&broker.bootstrap(), &broker.data_dir());
    let mut crashes = 0;
    for _ in 0..rounds {
        workload.get_somewhere();
        thread::sleep(Duration::from_millis(random.random_range(0..400)));
        crashes += match kind {
            Kind::Kill => kill(&mut broker),
            Kind::PowerCut => cut_power(&mut broker, &mut workload, &mut random),
            Kind::DiskFull => fill_disk(&mut broker, &mut workload, &mut random),
            Kind::FailedSync => fail_sync(&mut broker, &mut random),
            Kind::Clock => jump(&mut broker, &mut random),
            Kind::Damage => unreachable!("has a workload of its own"),
        };
        broker.disk().set_faults(usual(kind));
        if broker.has_ended() {
            workload.note();
            broker.restart();
            workload.verify();
        }
    }
    let summary = workload.finish();
    assert_eq!(broker.disk().unsupported(), [""; 0]);
    assert!(!broker.log().contains("panicked at"), "a thread panicked");
    broker.kill();
    damage::assert_sound(&broker.data_dir());
    Episode { crashes, summary }
}

fn usual(kind: Kind) -> Faults {
    match kind {
        Kind::PowerCut | Kind::FailedSync => Faults {
            short_writes: true,
            sync_millis: 8,
            ..Faults::default()
        },
        _ => Faults::default(),
    }
}

fn kill(broker: &mut Broker) -> u64 {
    broker.kill();
    1
}

fn cut_power(broker: &mut Broker, workload: &mut Workload, random: &mut StdRng) -> u64 {
    let mut crashes = 1;
    broker.cut_power(random.random());
    workload.note();
    while random.random_ratio(1, 3) {
        let calls = random.random_range(0..60);
        let started = broker.try_restart(Some(calls));
        started.expect("it comes up until the power goes");
        broker.cut_power(random.random());
        crashes += 1;
    }
    crashes
}

fn fill_disk(broker: &mut Broker, workload: &mut Workload, random: &mut StdRng) -> u64 {
    // It looks at the room before it writes, and then says so.
    let said = |broker: &Broker| broker.log().matches("disk is full").count();
    let before = said(broker);
    let faults = Faults {
        free: Some(random.random_range(0..2_000_000)),
        ..Faults::default()
    };
    broker.disk().set_faults(faults);
    let deadline = Instant::now() + TIMEOUT;
    while said(broker) == before {
        assert!(!broker.has_ended(), "a full disk ends the broker");
        assert!(Instant::now() < deadline, "the disk does not fill up");
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(random.random_range(0..500)));
    assert!(!broker.has_ended(), "a full disk ends the broker");
    match random.random_range(0..3) {
        0 => broker.kill(),
        1 => drop(broker.cut_power(random.random())),
        // Writes resume by themselves.
        _ => {
            broker.disk().set_faults(Faults::default());
            workload.note();
            workload.verify();
        }
    }
    1
}

fn fail_sync(broker: &mut Broker, random: &mut StdRng) -> u64 {
    let failed = broker.disk().stats().failed_syncs;
    let faults = Faults {
        syncs_until_failure: Some(random.random_range(0..40)),
        ..usual(Kind::FailedSync)
    };
    broker.disk().set_faults(faults);
    let deadline = Instant::now() + TIMEOUT;
    while broker.disk().stats().failed_syncs == failed {
        assert!(Instant::now() < deadline, "nothing is synced");
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(random.random_range(0..200)));
    assert!(!broker.has_ended(), "a failed sync ends the broker");
    match random.random() {
        true => drop(broker.cut_power(random.random())),
        // What was not synced can still be read, and a power cut after the next start takes it.
        false => broker.kill(),
    }
    1
}

fn jump(broker: &mut Broker, random: &mut StdRng) -> u64 {
    let jumps = random.random_range(1..5);
    for _ in 0..jumps {
        let hours = random.random_range(-12..=12);
        broker.disk().set_clock(hours * 3600);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(!broker.has_ended(), "a jump of the clock ends the broker");
    broker.kill();
    jumps
}
