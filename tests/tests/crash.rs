//! SIGKILL under load, again and again: what was acknowledged is there, once and in order, and committed positions never go
//! back. `OTTLA_CRASH_ROUNDS` sets the number of rounds.

use std::thread;
use std::time::Duration;

use ottla_tests::crash::workload::Workload;
use ottla_tests::harness::Broker;
use rand::{Rng, SeedableRng, rngs::StdRng};

#[test]
fn what_was_acknowledged_survives_sigkill_under_load_once_and_in_order() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS").map_or(15, |rounds| {
        rounds.parse().expect("OTTLA_CRASH_ROUNDS is a number")
    });
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut broker = Broker::start();
    let mut workload = Workload::of_records(&broker.bootstrap());
    for _ in 0..rounds {
        workload.get_somewhere();
        thread::sleep(Duration::from_millis(random.random_range(0..400)));
        broker.kill();
        workload.note();
        broker.restart();
        workload.verify();
    }
    println!("{rounds} crashes, {} records", workload.finish().records);
}
