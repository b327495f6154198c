//! What `docs/DEAD_LETTERS.md` says of nacks.
#![allow(clippy::unwrap_used)]

use super::SuspectState;
use super::testing::{Driver, GROUP, at};
use crate::event::{Alert, Cause, Destination, Event, Gate, NackOutcome, Serve};
use crate::marker::Marker;
use crate::settings::{RetryMode, Settings};
use crate::{Offsets, StoreOp};

fn driver(change: impl FnOnce(&mut Settings)) -> Driver {
    let mut settings = Settings::default();
    change(&mut settings);
    let mut driver = Driver::new(settings);
    driver.positions.insert(at(0), 10);
    driver.assign(&[("a", &[0])]);
    driver.fetches_position("a", 0);
    driver
}

fn skip(from: i64, until: i64) -> Option<Offsets> {
    Some(Offsets { from, until })
}

#[test]
fn a_nack_counts_and_the_last_one_moves_the_record() {
    let mut driver = driver(|s| s.max_attempts = 3);
    for attempts in 1..3 {
        assert_eq!(
            driver.nacks(0, 12, "!nack no"),
            NackOutcome::Stays { attempts }
        );
        assert_eq!(driver.positions[&at(0)], 12);
        assert!(driver.asked.is_empty());
    }
    let NackOutcome::Moves(id) = driver.nacks(0, 12, "!nack no such customer") else {
        panic!("the third nack moves");
    };
    let planned = driver.asked[0].clone();
    assert_eq!(
        (planned.id, planned.expected, planned.position),
        (id, Some(12), 13)
    );
    assert_eq!(planned.to, Destination::DeadLetters);
    let record = &planned.records[0];
    assert_eq!(
        (record.offset, record.attempts, record.cause),
        (12, 3, Cause::Nacked)
    );
    assert_eq!(record.reason, "no such customer");
    assert_eq!(
        driver.gates[&at(0)].serve,
        Serve::Nothing,
        "it waits for the move"
    );

    driver.carry_out();
    assert_eq!(driver.positions[&at(0)], 13);
    let gate = Gate {
        skip: skip(12, 13),
        serve: Serve::All,
    };
    assert_eq!(driver.gates[&at(0)], gate);
    driver.commits(0, 14);
    assert!(driver.gates.is_empty());
    assert!(driver.rows.is_empty(), "nothing is left of it");
}

#[test]
fn dead_moves_at_once_and_does_not_count_for_the_breaker() {
    let mut driver = driver(|s| s.breaker_consecutive = 2);
    for offset in 10..20 {
        assert!(matches!(
            driver.nacks(0, offset, "!dead"),
            NackOutcome::Moves(_)
        ));
        driver.carry_out();
    }
    assert_eq!(driver.dead().len(), 10);
    assert!(
        driver
            .moved
            .iter()
            .all(|m| m.records[0].cause == Cause::Rejected)
    );
    assert!(driver.alerts.is_empty());
}

#[test]
fn counts_survive_a_restart_and_a_move_that_was_under_way_does_not() {
    let mut driver = driver(|s| s.max_attempts = 2);
    driver.nacks(0, 10, "!nack");
    driver.restart();
    assert!(matches!(
        driver.nacks(0, 10, "!nack"),
        NackOutcome::Moves(_)
    ));
    driver.restart();
    assert!(driver.gates.is_empty());
    assert!(matches!(
        driver.nacks(0, 10, "!nack"),
        NackOutcome::Moves(_)
    ));
    driver.carry_out();
    driver.restart();
    assert_eq!(driver.gates[&at(0)].skip, skip(10, 11), "the hint survives");
    assert_eq!(driver.dead(), [(0, 10)]);
}

#[test]
fn progress_a_reset_and_another_record_forget_the_count() {
    type Step = fn(&mut Driver);
    let steps: [(&str, Step); 4] = [
        ("progress", |d| {
            d.commits(0, 11);
            d.commits(0, 10);
        }),
        ("a reset", |d| {
            d.send(Event::Reset {
                group: GROUP.to_owned(),
                at: at(0),
            });
        }),
        ("a commit from before", |d| {
            d.commits(0, 5);
        }),
        ("the topic's end", |d| {
            d.send(Event::TopicDeleted {
                topic: "topic".to_owned(),
            });
        }),
    ];
    for (name, step) in steps {
        let mut driver = driver(|s| s.max_attempts = 2);
        driver.nacks(0, 10, "!nack");
        step(&mut driver);
        assert!(driver.rows.is_empty(), "{name}");
        let outcome = driver.nacks(0, 10, "!nack");
        assert_eq!(outcome, NackOutcome::Stays { attempts: 1 }, "{name}");
    }
}

#[test]
fn a_commit_into_what_was_moved_is_lifted_past_it() {
    let mut driver = driver(|_| ());
    driver.nacks(0, 10, "!dead");
    driver.carry_out();
    driver.nacks(0, 11, "!dead");
    driver.carry_out();
    assert_eq!(
        driver.gates[&at(0)].skip,
        skip(10, 12),
        "neighbours are left out together"
    );
    driver.commits(0, 10);
    assert_eq!(driver.positions[&at(0)], 12);
    driver.commits(0, 11);
    assert_eq!(driver.positions[&at(0)], 12);
    driver.commits(0, 12);
    assert_eq!(
        driver.gates[&at(0)].skip,
        skip(10, 12),
        "that is no progress"
    );
    driver.commits(0, 13);
    assert!(driver.gates.is_empty());
    driver.commits(0, 10);
    assert_eq!(
        driver.positions[&at(0)],
        10,
        "afterwards, a commit is a commit"
    );
}

#[test]
fn ordered_retries_hold_the_partition_for_a_doubling_time() {
    let mut driver = driver(|s| {
        s.retry_backoff_ms = 100;
        s.retry_backoff_max_ms = 350;
    });
    for wait in [100, 200, 350, 350] {
        driver.nacks(0, 10, "!nack");
        assert_eq!(driver.gates[&at(0)].serve, Serve::Nothing);
        assert_eq!(driver.suspects()[0].state, SuspectState::WaitsForRetry);
        driver.pass(wait - 1);
        assert!(!driver.gates.is_empty(), "{wait}");
        driver.pass(1);
        assert!(driver.gates.is_empty(), "{wait}");
        assert_eq!(driver.suspects()[0].state, SuspectState::Counting);
    }
}

#[test]
fn a_retry_goes_on_waiting_after_a_restart() {
    let mut driver = driver(|s| s.retry_backoff_ms = 1000);
    driver.nacks(0, 10, "!nack");
    driver.pass(400);
    driver.restart();
    driver.pass(599);
    assert!(!driver.gates.is_empty());
    driver.pass(1);
    assert!(driver.gates.is_empty());
}

#[test]
fn unordered_retries_move_the_record_and_count_on_in_the_retry_topic() {
    let mut driver = driver(|s| {
        s.retry_mode = RetryMode::Unordered;
        s.retry_backoff_ms = 100;
        s.max_attempts = 3;
    });
    assert!(matches!(
        driver.nacks(0, 10, "!nack"),
        NackOutcome::Moves(_)
    ));
    let now = 1_700_000_000_000 + i64::try_from(driver.now_ms).unwrap();
    assert_eq!(driver.asked[0].to, Destination::Retry { due_ms: now + 100 });
    driver.carry_out();
    assert_eq!(driver.positions[&at(0)], 11);
    // What the header of a copy says is counted on.
    let again = |d: &mut Driver, offset, earlier| {
        let outcome = d.nacks_after(1, offset, Marker::Nack(String::new()), earlier);
        assert!(matches!(outcome, NackOutcome::Moves(_)));
        let planned = d.asked[0].clone();
        d.carry_out();
        (planned.to, planned.records[0].attempts)
    };
    let due_ms = now + 200;
    assert_eq!(again(&mut driver, 0, 1), (Destination::Retry { due_ms }, 2));
    assert_eq!(again(&mut driver, 1, 2), (Destination::DeadLetters, 3));
}

#[test]
fn the_breaker_keeps_records_when_everything_fails_and_closes_with_progress() {
    let mut driver = driver(|s| {
        s.max_attempts = 1;
        s.breaker_consecutive = 3;
    });
    for offset in [10, 11] {
        assert!(matches!(
            driver.nacks(0, offset, "!nack"),
            NackOutcome::Moves(_)
        ));
        driver.carry_out();
    }
    // The count survives a restart, since otherwise each would let some more through.
    driver.restart();
    for attempts in 1..10 {
        assert_eq!(
            driver.nacks(0, 12, "!nack"),
            NackOutcome::Stays { attempts }
        );
    }
    assert!(matches!(&driver.alerts[..], [Alert::BreakerOpen { .. }]));
    assert!(driver.view().unwrap().breaker.is_some());
    assert_eq!(driver.suspects()[0].state, SuspectState::BreakerOpen);
    driver.restart();
    assert!(driver.view().unwrap().breaker.is_some());
    assert!(
        matches!(driver.nacks(0, 12, "!dead"), NackOutcome::Moves(_)),
        "an order"
    );
    driver.carry_out();
    assert!(driver.view().unwrap().breaker.is_some());
    driver.commits(0, 14);
    assert!(matches!(&driver.alerts[1..], [Alert::BreakerClosed { .. }]));
    assert_eq!(driver.view(), None);
    assert!(matches!(
        driver.nacks(0, 14, "!nack"),
        NackOutcome::Moves(_)
    ));
}

#[test]
fn the_breaker_counts_on_after_crashes_right_behind_moves() {
    let mut driver = driver(|s| {
        s.max_attempts = 1;
        s.breaker_consecutive = 4;
    });
    for offset in [10, 11, 12] {
        assert!(matches!(
            driver.nacks(0, offset, "!nack"),
            NackOutcome::Moves(_)
        ));
        driver.carry_out_and_crash();
    }
    assert_eq!(
        driver.nacks(0, 13, "!nack"),
        NackOutcome::Stays { attempts: 1 }
    );
}

#[test]
fn what_is_processed_between_keeps_the_breaker_closed() {
    let mut driver = driver(|s| {
        s.max_attempts = 1;
        s.breaker_consecutive = 2;
    });
    for offset in (10..100).step_by(2) {
        // The nack itself says that the record before was processed.
        assert!(
            matches!(driver.nacks(0, offset, "!nack"), NackOutcome::Moves(_)),
            "{offset}"
        );
        driver.carry_out();
    }
    assert!(driver.alerts.is_empty());
}

#[test]
fn nacks_of_one_record_at_once_wait_for_one_move() {
    let mut driver = driver(|s| s.max_attempts = 1);
    let first = driver.nacks(0, 10, "!nack");
    assert_eq!(driver.nacks(0, 10, "!nack"), first);
    assert_eq!(driver.asked.len(), 1);
}

#[test]
fn a_move_that_cannot_be_made_is_asked_for_again_and_the_group_waits() {
    let mut driver = driver(|s| s.max_attempts = 1);
    let NackOutcome::Moves(id) = driver.nacks(0, 10, "!nack") else {
        panic!("the only attempt");
    };
    for pause in [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
        driver.asked.clear();
        let error = "the disk is full".to_owned();
        driver.send(Event::MoveFailed {
            id,
            error,
            retry: true,
        });
        assert_eq!(driver.suspects()[0].state, SuspectState::CannotMove);
        assert_eq!(driver.suspects()[0].reason, "the disk is full");
        driver.pass(pause - 1);
        assert_eq!(driver.gates[&at(0)].serve, Serve::Nothing);
        assert!(driver.asked.is_empty());
        driver.pass(1);
        assert_eq!(driver.asked.len(), 1, "after {pause}");
    }
    driver.carry_out();
    assert_eq!(driver.dead(), [(0, 10)]);
}

#[test]
fn a_move_whose_position_has_changed_is_dropped() {
    let mut driver = driver(|s| s.max_attempts = 1);
    driver.nacks(0, 10, "!nack");
    driver.positions.insert(at(0), 50);
    driver.carry_out();
    assert!(driver.dead().is_empty());
    assert!(driver.gates.is_empty());
    assert!(driver.suspects().is_empty());
}

#[test]
fn a_deleted_group_leaves_neither_rows_nor_gates() {
    let mut driver = driver(|s| s.retry_backoff_ms = 100);
    driver.nacks(0, 10, "!nack");
    driver.nacks(1, 10, "!dead");
    driver.carry_out();
    assert!(!driver.rows.is_empty() && !driver.gates.is_empty());
    driver.send(Event::GroupDeleted {
        group: GROUP.to_owned(),
    });
    assert!(driver.rows.is_empty());
    assert!(driver.gates.is_empty());
    assert_eq!(driver.wake_at_ms, None);
}

#[test]
fn what_is_stored_is_never_changed_without_need() {
    let mut driver = driver(|_| ());
    for offset in 11..100 {
        let now = crate::Now {
            monotonic_ms: 0,
            wall_ms: 0,
        };
        let event = Event::Committed {
            group: GROUP.to_owned(),
            at: at(0),
            offset,
        };
        let effects = driver.engine.handle(now, |_, _| Settings::default(), event);
        assert_eq!(effects.ops, Vec::<StoreOp>::new());
        assert!(effects.gates.is_empty());
    }
}
