//! The power goes under load, again and again, on a simulated disk that loses what was not synced: what was acknowledged is there,
//! once and in order; committed positions never go back; transactions are whole; topics that were removed stay away.
//! `OTTLA_CRASH_ROUNDS` sets the number of rounds.
#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use ottla_power_cut::Faults;
use ottla_tests::crash::workload::Workload;
use ottla_tests::harness::Broker;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Small segments and frequent checkpoints, so that a cut finds one of everything.
const SETTINGS: [&str; 3] = [
    "log.segment.bytes=200000",
    "ottla.checkpoint.interval.ms=100",
    "ottla.checkpoint.bytes=1048576",
];

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS").map_or(8, |rounds| {
        rounds.parse().expect("OTTLA_CRASH_ROUNDS is a number")
    });
    let seed = std::env::var("OTTLA_CRASH_SEED").map_or_else(
        |_| rand::random(),
        |seed| seed.parse().expect("OTTLA_CRASH_SEED is a number"),
    );
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut broker = Broker::on_simulated_disk(&SETTINGS, seed);
    broker.disk().set_faults(Faults {
        short_writes: true,
        sync_millis: 8,
        ..Faults::default()
    });
    broker.restart();
    let mut workload = Workload::start(&broker.bootstrap());
    for round in 0..rounds {
        workload.get_somewhere();
        thread::sleep(Duration::from_millis(random.random_range(0..400)));
        let seed = random.random();
        let report = broker.cut_power(seed);
        println!("round {round}, seed {seed}: {report:?}");
        workload.note();
        // Starts are cut short as well.
        while random.random_ratio(1, 3) {
            let calls = random.random_range(0..60);
            broker
                .try_restart(Some(calls))
                .expect("it comes up until the power goes");
            println!("  {:?} at the start", broker.cut_power(random.random()));
        }
        broker.restart();
        workload.verify();
    }
    println!("{:?}", workload.finish());
    assert_eq!(broker.disk().unsupported(), [""; 0]);
    assert!(broker.disk().stats().syncs > 0);
}
