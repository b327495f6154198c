//! kafka-groups.

use super::consumer_groups::{consume, produce};
use super::{Twins, same_refusal};

#[test]
fn groups_are_listed_and_filtered() {
    let twins = Twins::start();
    let none = twins.same("groups", &["--list"]);
    assert_eq!(none.success().lines().count(), 1);
    twins.prepare(|broker| {
        produce(broker, "t", 3);
        consume(broker, "a-group-with-a-long-name", "t", 1);
    });
    // A group that holds offsets alone has no protocol.
    let reset = ["--reset-offsets", "--group", "g", "--topic", "t"];
    twins.same(
        "consumer-groups",
        &[&reset[..], &["--to-latest", "--execute"]].concat(),
    );
    for filter in [
        &[][..],
        &["--consumer"],
        &["--share"],
        &["--streams"],
        &["--group-type", "classic"],
        &["--group-type", "Consumer"],
        &["--protocol", "consumer"],
        &["--group-type", "classic", "--protocol", "connect"],
    ] {
        twins.same_in_any_order("groups", &[&["--list"], filter].concat());
    }
    let said = twins.same_in_any_order("groups", &["--list", "--protocol", "consumer"]);
    let rows: Vec<&str> = said.success().lines().skip(1).collect();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("a-group-with-a-long-name "), "{rows:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let server = ["--bootstrap-server", "127.0.0.1:1"];
    same_refusal("groups", &["--list"]);
    for args in [
        &[][..],
        &["--foo"],
        &["--list", "--group-type", "foo"],
        &["--list", "--consumer", "--share"],
        &["--list", "--protocol"],
    ] {
        same_refusal("groups", &[&server, args].concat());
    }
}
