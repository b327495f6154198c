//! What `docs/DEAD_LETTERS.md` says of isolation, proofs and the breaker.
#![allow(clippy::unwrap_used)]

use super::SuspectState;
use super::crash_tests::driver;
use super::testing::{Driver, GROUP, at};
use crate::event::{Alert, CommitVerdict, Departure, Event, Serve};
use crate::settings::Mode;

/// `partitions` of ten records each are in flight when members die for the fifth time.
fn isolating(partitions: &[i32]) -> Driver {
    let mut driver = driver(Mode::Enforce, None);
    for partition in partitions {
        driver.positions.insert(at(*partition), 0);
    }
    for _ in 0..5 {
        let served: Vec<(i32, i64, i64)> = partitions.iter().map(|p| (*p, 0, 10)).collect();
        die_with(&mut driver, partitions, &served);
    }
    driver
}

fn die_with(driver: &mut Driver, partitions: &[i32], served: &[(i32, i64, i64)]) {
    driver.assign(&[("a", partitions)]);
    for partition in partitions {
        driver.fetches_position("a", *partition);
    }
    driver.dies("a", served);
}

fn serves(driver: &Driver, partition: i32) -> Serve {
    let gate = driver.gates.get(&at(partition));
    gate.map_or(Serve::All, |g| g.serve)
}

#[test]
fn the_front_half_is_served_and_the_other_partitions_wait() {
    let mut driver = isolating(&[0, 1]);
    assert_eq!(serves(&driver, 0), Serve::Until(10));
    assert_eq!(serves(&driver, 1), Serve::Nothing);
    let begun = |a: &&Alert| matches!(a, Alert::IsolationBegins { until: 10, .. });
    assert_eq!(driver.alerts.iter().filter(begun).count(), 2);
    // The half is committed, so the other one is bad: it is split without another death.
    driver.commits(0, 10);
    assert_eq!(serves(&driver, 0), Serve::All);
    assert_eq!(serves(&driver, 1), Serve::Until(5));
    driver.commits(1, 5);
    assert_eq!(serves(&driver, 1), Serve::Until(7));
    driver.commits(1, 7);
    driver.commits(1, 8);
    assert_eq!(serves(&driver, 1), Serve::Until(9));
    driver.commits(1, 10);
    assert!(driver.gates.is_empty());
    assert!(driver.rows.is_empty());
    let ended = |a: &&Alert| matches!(a, Alert::IsolationEnds { .. });
    assert_eq!(driver.alerts.iter().filter(ended).count(), 2);
}

#[test]
fn what_a_member_was_not_served_is_not_suspected() {
    let mut driver = isolating(&[0]);
    assert_eq!(serves(&driver, 0), Serve::Until(5));
    // It had two of the five.
    die_with(&mut driver, &[0], &[(0, 0, 2)]);
    assert_eq!(serves(&driver, 0), Serve::Until(1));
    driver.commits(0, 1);
    assert_eq!(serves(&driver, 0), Serve::Until(2));
    driver.commits(0, 2);
    assert_eq!(serves(&driver, 0), Serve::Until(5));
}

#[test]
fn records_outside_of_the_case_wait_so_that_a_death_is_not_laid_on_the_wrong_one() {
    let mut driver = isolating(&[0]);
    for _ in 0..3 {
        die_with(&mut driver, &[0], &[(0, 0, 1)]);
    }
    // It is alone now, and condemned with its second death; but a member that died had more.
    let mut driver = isolating(&[0]);
    driver.positions.insert(at(1), 0);
    for _ in 0..3 {
        die_with(&mut driver, &[0, 1], &[(0, 0, 5), (1, 0, 10)]);
        assert_eq!(serves(&driver, 1), Serve::Nothing);
        assert_eq!(driver.gates[&at(0)].skip, None);
    }
}

#[test]
fn a_record_that_failed_alone_waits_for_the_proof_that_the_group_works() {
    let mut driver = isolating(&[0]);
    for next in [5, 2, 1, 1] {
        assert_eq!(driver.gates[&at(0)].skip, None);
        die_with(&mut driver, &[0], &[(0, 0, next)]);
    }
    let gate = driver.gates[&at(0)];
    assert_eq!(gate.skip.map(|s| (s.from, s.until)), Some((0, 1)));
    assert_eq!(gate.serve, Serve::Until(2));
    assert!(driver.asked.is_empty() && driver.moved.is_empty());
    assert_eq!(driver.suspects()[0].state, SuspectState::Condemned);
    driver.restart();
    assert_eq!(driver.gates[&at(0)], gate, "all of that survives a restart");
    // The record behind it is committed.
    driver.commits(0, 2);
    assert_eq!(driver.dead(), [(0, 0)]);
    assert_eq!(driver.positions[&at(0)], 2);
    assert_eq!(driver.moved[0].records[0].attempts, 9);
}

#[test]
fn a_condemned_record_that_moved_right_before_a_crash_does_not_move_again() {
    let mut driver = isolating(&[0]);
    driver.commits(0, 5);
    for next in [7, 6, 6] {
        let from = driver.positions[&at(0)];
        die_with(&mut driver, &[0], &[(0, from, next)]);
    }
    assert_eq!(
        driver.asked[0].records[0].offset, 5,
        "the commit before is the proof"
    );
    driver.carry_out_and_crash();
    assert!(driver.asked.is_empty());
    assert_eq!(
        driver
            .suspects()
            .iter()
            .filter(|s| s.state == SuspectState::Condemned)
            .count(),
        0
    );
    driver.commits(0, 10);
    assert!(driver.gates.is_empty() && driver.rows.is_empty());
    assert_eq!(driver.dead(), [(0, 5)]);
}

#[test]
fn without_a_further_record_one_goes_on_trust_and_only_one() {
    let mut driver = driver(Mode::Enforce, None);
    driver.settings.max_attempts = 1;
    driver.settings.isolation_attempts = 1;
    let everything_fails = |d: &mut Driver, partition: i32| {
        d.positions.insert(at(partition), 7);
        for _ in 0..2 {
            die_with(d, &[partition], &[(partition, 7, 8)]);
        }
        let group = GROUP.to_owned();
        let at = at(partition);
        d.send(Event::WaitsAtGate {
            group,
            at,
            at_log_end: true,
        });
        d.carry_out();
    };
    everything_fails(&mut driver, 0);
    assert_eq!(driver.dead(), [(0, 7)]);
    everything_fails(&mut driver, 1);
    assert_eq!(driver.dead(), [(0, 7)], "the second waits");
    assert_eq!(serves(&driver, 1), Serve::Until(9));
    // Something is committed anywhere in the group: that is the proof.
    driver.positions.insert(at(2), 0);
    driver.assign(&[("b", &[2])]);
    driver.fetches_position("b", 2);
    driver.commits(2, 1);
    driver.carry_out();
    assert_eq!(driver.dead(), [(0, 7), (1, 7)]);
}

#[test]
fn a_deployment_that_fails_on_everything_dead_letters_nothing() {
    let mut driver = isolating(&[0]);
    let mut deaths = 0;
    while driver.view().unwrap().breaker.is_none() {
        deaths += 1;
        assert!(deaths < 50);
        let gate = driver.gates[&at(0)];
        let Serve::Until(until) = gate.serve else {
            panic!("{gate:?}");
        };
        die_with(&mut driver, &[0], &[(0, 0, until)]);
    }
    assert_eq!(deaths, 12, "four to one record, and two for each of five");
    assert!(driver.gates.is_empty(), "everything is served again");
    assert!(driver.asked.is_empty() && driver.moved.is_empty());
    assert!(matches!(
        driver.alerts.last(),
        Some(Alert::BreakerOpen { .. } | Alert::IsolationEnds { .. })
    ));
    // It fails on: nothing is searched while the breaker is open.
    for _ in 0..20 {
        die_with(&mut driver, &[0], &[(0, 0, 10)]);
    }
    assert!(driver.gates.is_empty());
    driver.commits(0, 1);
    assert!(driver.alerts.contains(&Alert::BreakerClosed {
        group: GROUP.to_owned()
    }));
}

#[test]
fn a_window_grows_for_members_that_commit_in_larger_steps() {
    let mut driver = isolating(&[0]);
    let waits = |d: &mut Driver| {
        let group = GROUP.to_owned();
        d.send(Event::WaitsAtGate {
            group,
            at: at(0),
            at_log_end: false,
        });
    };
    driver.assign(&[("a", &[0])]);
    driver.fetches_position("a", 0);
    waits(&mut driver);
    driver.pass(9_999);
    assert_eq!(serves(&driver, 0), Serve::Until(5));
    driver.pass(1);
    assert_eq!(serves(&driver, 0), Serve::Until(10));
    // It dies later than that, so it was at work: the next window gets more time.
    driver.dies("a", &[(0, 0, 10)]);
    assert_eq!(serves(&driver, 0), Serve::Until(5));
    waits(&mut driver);
    driver.pass(19_999);
    assert_eq!(serves(&driver, 0), Serve::Until(5));
    driver.pass(1);
    assert_eq!(serves(&driver, 0), Serve::Until(10));
    // It commits nothing at all: the search is given up.
    for _ in 0..10 {
        waits(&mut driver);
        driver.pass(20_000);
    }
    assert!(driver.gates.is_empty());
    assert!(driver.moved.is_empty());
}

#[test]
fn a_partition_that_nobody_reads_does_not_hold_the_others_for_ever() {
    let mut driver = isolating(&[0, 1]);
    driver.assign(&[("a", &[0, 1])]);
    driver.fetches_position("a", 0);
    driver.fetches_position("a", 1);
    driver.pass(119_999);
    assert_eq!(serves(&driver, 1), Serve::Nothing);
    driver.pass(1);
    assert_eq!(serves(&driver, 1), Serve::Until(10));
}

#[test]
fn a_window_that_may_be_in_another_groups_way_is_opened() {
    let mut driver = isolating(&[0]);
    driver.alerts.clear();
    driver.assign(&[("a", &[0])]);
    driver.fetches_position("a", 0);
    driver.leaves("a", Departure::TimedOut, &[(0, 0, 5)], true);
    assert!(driver.gates.is_empty());
    assert!(
        driver
            .alerts
            .iter()
            .any(|a| matches!(a, Alert::Ambiguous { offset: 0, .. }))
    );
}

#[test]
fn the_search_ends_when_the_mode_or_the_position_says_so() {
    type Step = fn(&mut Driver);
    let steps: [(&str, Step); 4] = [
        ("mode", |d| {
            d.settings.mode = Mode::Detect;
            d.send(Event::Timer);
        }),
        ("reset", |d| {
            d.send(Event::Reset {
                group: GROUP.to_owned(),
                at: at(0),
            });
        }),
        ("topic deleted", |d| {
            d.send(Event::TopicDeleted {
                topic: "topic".to_owned(),
            });
        }),
        ("group deleted", |d| {
            d.send(Event::GroupDeleted {
                group: GROUP.to_owned(),
            });
        }),
    ];
    for (name, step) in steps {
        let mut driver = isolating(&[0]);
        step(&mut driver);
        assert!(driver.gates.is_empty(), "{name}");
        assert!(driver.rows.is_empty(), "{name}");
        assert_eq!(driver.wake_at_ms, None, "{name}");
    }
}

#[test]
fn a_commit_does_not_wait_for_a_condemned_record_that_the_log_has_no_more() {
    let mut driver = isolating(&[0]);
    for next in [5, 2, 1, 1] {
        die_with(&mut driver, &[0], &[(0, 0, next)]);
    }
    let CommitVerdict::Moves(planned) = driver.engine.before_commit(GROUP, &at(0), 2) else {
        panic!("the condemned record is to be moved first");
    };
    let error = "the log has no such record any more".to_owned();
    driver.send(Event::MoveFailed {
        id: planned.id,
        error,
        retry: false,
    });
    assert!(driver.gates.is_empty());
    driver.commits(0, 2);
    assert_eq!(driver.positions[&at(0)], 2);
    assert!(driver.dead().is_empty());
}

#[test]
fn a_nack_behind_a_condemned_record_takes_it_along() {
    let mut driver = isolating(&[0]);
    for next in [5, 2, 1, 1] {
        die_with(&mut driver, &[0], &[(0, 0, next)]);
    }
    driver.nacks(0, 4, "!nack");
    driver.carry_out();
    assert_eq!(driver.dead(), [(0, 0)]);
    assert_eq!(driver.positions[&at(0)], 4);
    let nacked = driver.suspects();
    assert_eq!(
        (nacked[0].offset, nacked[0].attempts),
        (4, 1),
        "its own count is kept"
    );
}
