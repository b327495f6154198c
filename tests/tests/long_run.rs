//! A few seconds of the long run: all of its load, a broker that is started anew, and a leak that its verdict must find.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use ottla_tests::long_run::{Plan, run};

#[test]
fn everything_holds_through_restarts_and_connections_that_are_never_closed_are_found() {
    let output = tempfile::tempdir().unwrap();
    let plan = Plan {
        restart_every: Duration::from_secs(3),
        leak: true,
        load: 0.5,
        ..Plan::of(Duration::from_secs(20), output.path().to_owned())
    };
    let report = run(&plan).unwrap();
    assert!(report.failures.is_empty(), "{report}");
    assert!(report.restarts > 0, "{report}");
    let leak = report.trends.iter().find(|t| t.figure == "connections");
    assert!(leak.is_some_and(|leak| !leak.flat), "{report}");
    assert!(!report.is_good());
    for file in ["results.json", "curves.svg", "broker.log"] {
        assert!(output.path().join(file).exists(), "{file}");
    }
}
