//! kafka-topics.

use super::{Twins, same_refusal};

#[test]
fn topics_are_listed() {
    let twins = Twins::start();
    twins.same("topics", &["--list"]).success();
    twins.prepare(|broker| {
        for topic in ["b", "a"] {
            let producing = ["-P", "-t", topic];
            ottla_tests::harness::kcat(&broker.bootstrap(), &producing, b"x\n").success();
        }
    });
    let said = twins.same("topics", &["--list"]);
    assert_eq!(said.success(), "a\nb\n");
    let one = twins.same("topics", &["--list", "--topic", "[b-z]"]);
    assert_eq!(one.success(), "b\n");
}

#[test]
fn a_broker_must_be_named() {
    same_refusal("topics", &["--list"]);
}
