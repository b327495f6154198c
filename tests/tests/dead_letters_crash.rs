//! SIGKILL while records are nacked, dead-lettered and redriven: see `ottla_tests::crash::dead_letters`. `OTTLA_CRASH_ROUNDS` sets the number
//! of rounds.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ottla_tests::crash::dead_letters::{DeadLetters, SETTINGS};
use ottla_tests::crash::{Signals, TIMEOUT};
use ottla_tests::harness::Broker;
use rand::Rng;

#[test]
fn what_fails_is_dead_lettered_once_and_comes_back_once_whatever_is_killed_when() {
    let rounds: usize = std::env::var("OTTLA_CRASH_ROUNDS").map_or(15, |rounds| {
        rounds.parse().expect("OTTLA_CRASH_ROUNDS is a number")
    });
    let mut random = rand::rng();
    let mut broker = Broker::start_with(&SETTINGS);
    let signals: Arc<Signals> = Arc::default();
    let work = DeadLetters::start(&broker.bootstrap(), usize::MAX / 3, Arc::clone(&signals));
    for round in 0..rounds {
        let wanted = work.processed() + 20;
        let deadline = Instant::now() + TIMEOUT;
        while work.processed() < wanted {
            assert!(Instant::now() < deadline, "round {round}: no progress");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(random.random_range(0..80)));
        broker.kill();
        broker.restart();
    }
    signals.stop();
    let failed = work.finish();
    println!("{rounds} crashes, {failed} dead letters");
    assert!(failed > 0, "without dead letters it shows nothing");
}
