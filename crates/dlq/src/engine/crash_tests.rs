//! What `docs/DEAD_LETTERS.md` says of crash loops: what counts, and what does not.
#![allow(clippy::unwrap_used)]

use super::SuspectState;
use super::testing::{Driver, GROUP, at};
use crate::event::{Alert, Departure, Event, Serve};
use crate::settings::{Mode, Settings};

pub(super) fn driver(mode: Mode, position: Option<i64>) -> Driver {
    let mut driver = Driver::new(Settings {
        mode,
        ..Settings::default()
    });
    if let Some(position) = position {
        driver.positions.insert(at(0), position);
    }
    driver
}

/// A member takes partition 0 over and fetches its position.
fn begins(driver: &mut Driver, member: &str) {
    driver.assign(&[(member, &[0])]);
    driver.fetches_position(member, 0);
}

#[test]
fn members_that_die_on_the_same_head_make_it_a_suspect() {
    for how in [Departure::Left, Departure::TimedOut, Departure::Replaced] {
        let mut driver = driver(Mode::Detect, Some(10));
        for death in 1..=20 {
            let member = format!("member-{death}");
            begins(&mut driver, &member);
            driver.leaves(&member, how, &[(0, 10, 15)], false);
            let suspect = driver.suspects().pop().unwrap();
            assert_eq!((suspect.offset, suspect.attempts), (10, death));
            let reported = death >= 5;
            assert_eq!(suspect.state == SuspectState::Reported, reported, "{death}");
            assert_eq!(driver.alerts.len(), usize::from(reported), "told once");
            assert!(suspect.deaths.len() <= 10, "memory is bounded");
            // What is known of it survives a restart.
            driver.restart();
        }
        let Alert::Suspect {
            offset, members, ..
        } = &driver.alerts[0]
        else {
            panic!("{:?}", driver.alerts);
        };
        assert_eq!((*offset, members.len()), (10, 5));
        assert!(driver.gates.is_empty() && driver.asked.is_empty());
        // Progress clears it.
        begins(&mut driver, "fixed");
        driver.commits(0, 11);
        assert!(driver.suspects().is_empty());
        assert!(driver.rows.is_empty());
    }
}

#[test]
fn a_group_without_a_position_has_its_first_fetch_as_head() {
    let mut driver = driver(Mode::Enforce, None);
    for death in 1..=5 {
        assert!(driver.gates.is_empty(), "{death}");
        begins(&mut driver, "a");
        driver.dies("a", &[(0, 3, 13)]);
    }
    assert_eq!(driver.gates[&at(0)].serve, Serve::Until(8));
}

#[test]
fn what_is_no_crash_loop_is_not_taken_for_one() {
    type Life = fn(&mut Driver, i64);
    let lives: [(&str, Option<i64>, Life); 11] = [
        ("rolling restarts that make progress", Some(0), |d, i| {
            begins(d, "a");
            d.commits(0, i + 1);
            d.leaves("a", Departure::Left, &[(0, i, i + 10)], false);
        }),
        ("a consumer that is slow", Some(0), |d, _| {
            begins(d, "a");
            d.pass(3_600_000);
        }),
        ("rebalances in which the member stays", Some(0), |d, i| {
            d.assign(&[("a", &[0]), (&format!("b{i}"), &[])]);
            d.fetches_position("a", 0);
            d.leaves(&format!("b{i}"), Departure::Left, &[], false);
        }),
        ("positions that are set anew", Some(0), |d, i| {
            begins(d, "a");
            d.dies("a", &[(0, 0, 10)]);
            if i % 3 == 0 {
                d.send(Event::Reset {
                    group: GROUP.to_owned(),
                    at: at(0),
                });
            }
        }),
        ("caches that are loaded and never commit", None, |d, _| {
            begins(d, "a");
            d.pass(120_001);
            d.dies("a", &[(0, 0, 1000)]);
        }),
        (
            "members of which a restart of the broker knows nothing",
            Some(0),
            |d, _| {
                begins(d, "a");
                d.restart();
                d.dies("a", &[(0, 0, 10)]);
            },
        ),
        ("members that were served nothing", Some(0), |d, _| {
            begins(d, "a");
            d.dies("a", &[]);
        }),
        ("members that read elsewhere", Some(10), |d, _| {
            begins(d, "a");
            d.dies("a", &[(0, 500, 600)]);
        }),
        ("members that read what is before", Some(10), |d, _| {
            begins(d, "a");
            d.dies("a", &[(0, 0, 10)]);
        }),
        (
            "members that have another one's partition",
            Some(10),
            |d, _| {
                begins(d, "a");
                d.dies("b", &[(0, 10, 20)]);
            },
        ),
        (
            "a commit of what is committed, and a step on",
            Some(0),
            |d, i| {
                begins(d, "a");
                d.commits(0, i);
                d.commits(0, i + 1);
                d.dies("a", &[(0, i, i + 10)]);
            },
        ),
    ];
    for mode in [Mode::Detect, Mode::Enforce] {
        for (name, position, life) in lives {
            let mut driver = driver(mode, position);
            for i in 0..50 {
                life(&mut driver, i);
            }
            assert_eq!(driver.alerts, [], "{name}");
            assert!(driver.gates.is_empty(), "{name}");
            assert!(driver.suspects().iter().all(|s| s.attempts < 5), "{name}");
        }
    }
}

#[test]
fn nobody_is_watched_if_the_mode_is_off() {
    let mut driver = driver(Mode::Off, Some(0));
    for _ in 0..20 {
        begins(&mut driver, "a");
        driver.dies("a", &[(0, 0, 10)]);
    }
    assert!(driver.suspects().is_empty());
    assert!(driver.alerts.is_empty());
}

#[test]
fn what_may_be_another_groups_reading_isolates_nobody() {
    let mut driver = driver(Mode::Enforce, Some(0));
    for _ in 0..20 {
        begins(&mut driver, "a");
        driver.leaves("a", Departure::TimedOut, &[(0, 0, 10)], true);
    }
    assert!(driver.gates.is_empty());
    assert!(matches!(
        &driver.alerts[..],
        [Alert::Ambiguous { offset: 0, .. }]
    ));
    let suspect = driver.suspects().pop().unwrap();
    assert_eq!(
        (suspect.attempts, suspect.state),
        (0, SuspectState::Ambiguous)
    );
}

#[test]
fn suspects_of_a_group_are_bounded() {
    let mut driver = driver(Mode::Detect, None);
    let all: Vec<i32> = (0..1200).collect();
    for partition in &all {
        driver.positions.insert(at(*partition), 0);
    }
    driver.assign(&[("a", &all)]);
    let mut served = Vec::new();
    for partition in all {
        driver.fetches_position("a", partition);
        served.push((partition, 0, 10));
    }
    driver.dies("a", &served);
    assert_eq!(driver.suspects().len(), 1000);
    assert_eq!(driver.rows.len(), 1000);
}
