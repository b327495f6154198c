//! kafka-consumer-groups.

use super::{Brokers, file, path};

fn groups(brokers: &Brokers, args: &[&str]) -> String {
    let said = brokers.same_in_any_order("consumer-groups", args);
    format!("{}{}", said.stdout, said.stderr)
}

/// Each form of a reset is shown, exported and carried out; each leaves the group at the same positions.
fn reset(brokers: &Brokers, forms: &[&[&str]]) {
    for form in forms {
        for how in ["--dry-run", "--export", "--execute"] {
            groups(brokers, &[&["--reset-offsets", how], *form].concat());
        }
        groups(brokers, &["--describe", "--group", "grp"]);
    }
}

/// The position of `grp` in the first partition of `ga`.
fn position(brokers: &Brokers) -> Option<String> {
    let said = groups(brokers, &["--describe", "--group", "grp"]);
    let rows = said.lines().map(|line| line.split_whitespace());
    let mut cells = rows
        .map(Iterator::collect::<Vec<_>>)
        .find(|cells| cells.starts_with(&["grp", "ga", "0"]))?
        .into_iter();
    cells.nth(3).map(str::to_owned)
}

#[test]
fn groups_are_listed_described_and_deleted_alike() {
    let brokers = Brokers::with_groups();
    let groups = |args: &[&str]| groups(&brokers, args);
    groups(&["--list"]);
    groups(&["--list", "--state"]);
    for args in [
        &["--group", "grp"][..],
        &["--group", "grp", "--verbose"],
        &["--group", "grp", "--members", "--verbose"],
        &["--group", "grp", "--state"],
        &["--group", "grp", "--state", "--verbose"],
        &["--all-groups"],
        &["--all-groups", "--members"],
        &["--all-groups", "--state"],
        &["--group", "nope"],
        &["--group", "nope", "--state"],
    ] {
        groups(&[&["--describe"], args].concat());
    }
    assert_eq!(position(&brokers).as_deref(), Some("3"));
    for args in [
        &["--topic", "ga:1"][..],
        &["--topic", "ga:0"],
        &["--topic", "ga:0"],
        &["--topic", "ga:9"],
        &["--topic", "nope"],
        &["--topic", "gb"],
    ] {
        groups(&[&["--delete-offsets", "--group", "grp"], args].concat());
        groups(&["--describe", "--group", "grp"]);
    }
    assert_eq!(position(&brokers), None);
    groups(&["--delete-offsets", "--group", "nope", "--topic", "ga"]);
    groups(&["--delete", "--group", "nope"]);
    let said = groups(&["--delete", "--group", "nope", "--group", "grp"]);
    assert!(said.contains("deleted successfully: 'grp'"), "{said}");
    groups(&["--delete", "--all-groups"]);
    assert_eq!(groups(&["--list"]).trim(), "");
}

#[test]
fn groups_are_moved_to_an_offset_alike() {
    let brokers = Brokers::with_groups();
    let one = &["--group", "grp", "--topic", "ga:0"];
    reset(
        &brokers,
        &[
            &["--group", "grp", "--all-topics", "--to-earliest"],
            &["--group", "grp", "--topic", "ga", "--to-latest"],
            &[&one[..], &["--to-offset", "400"]].concat(),
            &[&one[..], &["--to-offset", "-5"]].concat(),
            &["--group", "grp", "--all-topics", "--shift-by", "-1"],
            &["--group", "grp", "--all-topics", "--shift-by", "100"],
            &["--group", "grp", "--all-topics", "--shift-by", "-100"],
            &["--group", "grp", "--all-topics", "--to-current"],
            &["--group", "grp", "--topic", "ga:0,1", "--to-latest"],
            &[&one[..], &["--to-offset", "4"]].concat(),
        ],
    );
    assert_eq!(position(&brokers).as_deref(), Some("4"));
}

#[test]
fn groups_are_moved_to_a_time_alike() {
    let brokers = Brokers::with_groups();
    let ga = &["--group", "grp", "--topic", "ga"];
    let to = |form: &[&'static str]| [&ga[..], form].concat();
    reset(
        &brokers,
        &[
            &to(&["--to-datetime", "2050-01-01T00:00:00.000"]),
            &to(&["--by-duration", "PT0S"]),
            &to(&["--by-duration", "an hour"]),
            &to(&["--to-datetime", "2020-01-01T00:00:00.000"]),
            &to(&["--to-datetime", "2020-01-01T00:00:00.000+05:00"]),
            &to(&["--to-datetime", "yesterday"]),
            &to(&["--by-duration", "PT1H"]),
        ],
    );
    assert_eq!(position(&brokers).as_deref(), Some("0"));
}

#[test]
fn many_groups_are_moved_alike() {
    let brokers = Brokers::with_groups();
    let plan = file("ga,0,1\ngb,0,0\n");
    let many = file("grp,ga,0,2\nother,ga,0,0\n");
    let both = &["--group", "grp", "--group", "other"];
    reset(
        &brokers,
        &[
            &["--group", "grp", "--from-file", path(&plan)],
            &["--group", "grp", "--topic", "ga:7", "--to-latest"],
            &["--group", "grp", "--topic", "nope", "--to-latest"],
            &[&both[..], &["--all-topics", "--to-latest"]].concat(),
            &["--all-groups", "--all-topics", "--to-earliest"],
            &["--group", "new", "--topic", "ga", "--to-latest"],
            &[&both[..], &["--from-file", path(&many)]].concat(),
        ],
    );
    assert_eq!(position(&brokers).as_deref(), Some("2"));
    groups(&brokers, &["--describe", "--all-groups"]);
}
