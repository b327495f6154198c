//! Transfers between two topics while the broker is killed again and again, and producers vanish in the middle: see
//! `ottla_tests::crash::transfers`. `OTTLA_CRASH_ROUNDS` sets the number of kills.

use std::thread;
use std::time::{Duration, Instant};

use ottla_tests::crash::TIMEOUT;
use ottla_tests::crash::transfers::{Fate, Transfers};
use ottla_tests::harness::Broker;

#[test]
fn transfers_are_whole_and_once_whatever_is_killed() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS")
        .map_or(6, |rounds| rounds.parse().expect("a number of rounds"));
    let mut broker = Broker::start();
    let transfers = Transfers::start(&broker.bootstrap());
    for round in 0..rounds {
        // A kill finds work under way, and the work goes on after it.
        let wanted = transfers.committed() + 30;
        let started = Instant::now();
        while transfers.committed() < wanted {
            assert!(
                started.elapsed() < TIMEOUT,
                "round {round}: nothing is committed"
            );
            thread::sleep(Duration::from_millis(5));
        }
        broker.kill();
        broker.restart();
    }
    let told = transfers.finish();
    assert!(told.values().any(|fate| *fate == Fate::Aborted));
}
