//! Searches from beginning to end, with all that consumers do between, and how many deaths they take.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::members::{Commits, Members, OnPoison, Style};
use super::world::World;
use crate::event::Alert;
use crate::settings::{Mode, Settings};

const STYLE: Style = Style {
    members: 1,
    commits: Commits::PerPoll,
    on_poison: OnPoison::Dies,
    batch: 500,
    prefetch: 1,
    cooperative: true,
    fixed: false,
};

/// Logs of `records` each, with poisons at these offsets.
fn world(records: i64, poisons: &[&[i64]]) -> World {
    let settings = Settings {
        mode: Mode::Enforce,
        ..Settings::default()
    };
    let mut world = World::new(settings, i32::try_from(poisons.len()).unwrap());
    for (partition, poisons) in (0..).zip(poisons) {
        for offset in 0..records {
            world.produce(partition, poisons.contains(&offset));
        }
        // The group knows its position, as groups that have read before do.
        world.committed.insert(partition, 0);
    }
    world
}

/// Runs until everything is processed or dead-lettered, and gives the number of deaths that took.
fn deaths(world: &mut World, style: Style) -> u32 {
    let mut rng = StdRng::seed_from_u64(1);
    let mut members = Members::new(style, world);
    for step in 1..100_000 {
        if step % 5000 == 0 {
            // What is last, and not the first to go on trust, waits for the proof that a new record gives.
            world.produce(0, false);
        }
        if world.is_done() && !world.has_moves() {
            return members.deaths;
        }
        if world.has_moves() {
            world.carry_out(0);
        }
        world.pass(1);
        members.step(world, &mut rng);
        world.check();
    }
    panic!(
        "gates {:?}, positions {:?}, {:?}",
        world.gates, world.committed, world.alerts
    );
}

fn dead(world: &World) -> Vec<(i32, i64)> {
    let mut dead: Vec<(i32, i64)> = world.queue.iter().map(|(place, _)| *place).collect();
    dead.sort_unstable();
    dead
}

#[test]
fn a_poison_among_500_takes_about_nine_deaths_after_the_fifth() {
    let mut all = Vec::new();
    for poison in [0, 1, 77, 249, 250, 251, 300, 399, 498, 499] {
        let mut world = world(500, &[&[poison]]);
        let deaths = deaths(&mut world, STYLE);
        assert_eq!(dead(&world), [(0, poison)]);
        all.push(deaths);
    }
    // Halving 500 takes nine steps; a step in which the front half is good takes no death, the first death alone is the last step's, and
    // it takes a second one.
    assert!(all.iter().all(|d| (5..=5 + 10).contains(d)), "{all:?}");
    let mean = all.iter().sum::<u32>() / u32::try_from(all.len()).unwrap();
    assert!(mean <= 5 + 8, "{all:?}");
}

#[test]
fn who_commits_each_record_loses_it_at_once() {
    let style = Style {
        commits: Commits::PerRecord,
        ..STYLE
    };
    for poison in [1, 250, 498] {
        let mut world = world(500, &[&[poison]]);
        // The first death is at a head that its member did not begin with; the poison is the head then.
        let deaths = deaths(&mut world, style.clone());
        assert!(deaths <= 1 + 5 + 10, "{poison}: {deaths}");
        assert_eq!(dead(&world), [(0, poison)]);
    }
}

#[test]
fn several_partitions_in_flight_are_searched_as_one() {
    let poisons: [&[i64]; 5] = [&[], &[], &[60], &[], &[]];
    let mut world = world(100, &poisons);
    let deaths = deaths(&mut world, STYLE);
    assert_eq!(dead(&world), [(2, 60)]);
    assert!(deaths <= 5 + 11, "{deaths}");
}

#[test]
fn members_hand_their_partitions_on_and_the_search_goes_on() {
    let poisons: [&[i64]; 4] = [&[30], &[], &[80], &[]];
    for cooperative in [true, false] {
        let style = Style {
            members: 3,
            cooperative,
            ..STYLE
        };
        let mut world = world(100, &poisons);
        let deaths = deaths(&mut world, style);
        assert_eq!(dead(&world), [(0, 30), (2, 80)]);
        assert!(deaths <= 2 * (5 + 15), "{deaths}");
    }
}

#[test]
fn neighbours_first_and_last_records_are_found() {
    let cases: [&[i64]; 7] = [
        &[0],
        &[49],
        &[20, 21],
        &[0, 1],
        &[48, 49],
        &[20, 21, 22, 23],
        &[0, 10, 20, 30, 40],
    ];
    for poisons in cases {
        for commits in [Commits::PerRecord, Commits::PerPoll, Commits::Auto] {
            let style = Style { commits, ..STYLE };
            let mut world = world(50, &[poisons]);
            deaths(&mut world, style);
            let expected: Vec<(i32, i64)> = poisons.iter().map(|p| (0, *p)).collect();
            assert_eq!(dead(&world), expected, "{commits:?}");
        }
    }
}

#[test]
fn the_only_record_of_a_topic_is_found() {
    let mut world = world(1, &[&[0]]);
    deaths(&mut world, STYLE);
    assert_eq!(dead(&world), [(0, 0)]);
}

#[test]
fn a_broken_deployment_dead_letters_nothing_and_is_reported() {
    let mut world = world(500, &[&[], &[]]);
    let mut rng = StdRng::seed_from_u64(1);
    let mut members = Members::new(STYLE, &mut world);
    members.broken = true;
    for _ in 0..2000 {
        world.pass(1);
        members.step(&mut world, &mut rng);
    }
    assert!(members.deaths > 100);
    assert_eq!(dead(&world), []);
    assert!(world.breaker_is_open());
    let opened = |a: &&Alert| matches!(a, Alert::BreakerOpen { .. });
    assert_eq!(world.alerts.iter().filter(opened).count(), 1);
    // It is rolled back.
    members.broken = false;
    while !world.is_done() {
        world.pass(1);
        members.step(&mut world, &mut rng);
    }
    assert_eq!(dead(&world), []);
    assert!(!world.breaker_is_open());
}
