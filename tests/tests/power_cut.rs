//! The power goes under load, again and again, on a simulated disk that loses what was not synced: what was acknowledged is there,
//! once and in order; committed positions never go back; transactions are whole; topics that were removed stay away.
//! `OTTLA_CRASH_ROUNDS` sets the number of rounds.
#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use kafka_protocol::ResponseError;
use ottla_client::admin::NewTopic;
use ottla_client::{Client, ClientOptions, Topics};
use ottla_power_cut::Faults;
use ottla_tests::crash::dead_letters;
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
    let mut broker =
        Broker::on_simulated_disk(&[&SETTINGS[..], &dead_letters::SETTINGS].concat(), seed);
    broker.disk().set_faults(Faults {
        short_writes: true,
        sync_millis: 8,
        ..Faults::default()
    });
    broker.restart();
    let mut workload = Workload::start(&broker.bootstrap(), &broker.data_dir());
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

#[tokio::test]
async fn a_topic_that_was_not_kept_is_not_told_to_be_there_or_gone() {
    let mut broker = Broker::on_simulated_disk(&[], 1);
    broker.restart();
    let options = ClientOptions {
        retry_timeout: Duration::ZERO,
        ..ClientOptions::default()
    };
    let mut client = Client::connect(&[broker.bootstrap()], options)
        .await
        .expect("the broker listens");
    let [kept, lost] = ["kept", "lost"].map(|name| NewTopic {
        name: name.to_owned(),
        partitions: Some(1),
        replication_factor: None,
        configs: Vec::new(),
    });
    let made = client.create_topics(&[kept], false).await;
    made.expect("an answer")
        .remove(0)
        .1
        .expect("the disk is fine");
    broker.disk().set_faults(Faults {
        syncs_until_failure: Some(0),
        ..Faults::default()
    });
    for attempt in 0..3 {
        let made = client.create_topics(std::slice::from_ref(&lost), false);
        let (_, made) = made.await.expect("an answer").remove(0);
        let error = made.expect_err("the disk is broken").broker_error();
        assert_eq!(
            error,
            Some(ResponseError::KafkaStorageError),
            "attempt {attempt}"
        );
    }
    broker.cut_power(1);
    broker.disk().set_faults(Faults::default());
    broker.restart();
    client.forget();
    // It listens before it has read what is there.
    let there = client.metadata(Topics::All, false).await;
    assert_eq!(there.expect("an answer").topics.len(), 1);
    broker.disk().set_faults(Faults {
        syncs_until_failure: Some(0),
        ..Faults::default()
    });
    for attempt in 0..3 {
        let names = ["kept".to_owned()];
        let removed = client.delete_topics(&names);
        let (_, removed) = removed.await.expect("an answer").remove(0);
        let error = removed.expect_err("the disk is broken").broker_error();
        assert_eq!(
            error,
            Some(ResponseError::KafkaStorageError),
            "attempt {attempt}"
        );
    }
}
