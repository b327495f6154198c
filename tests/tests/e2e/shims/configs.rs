//! kafka-configs.

use super::{Twins, same_refusal};

#[test]
fn settings_are_changed_and_shown() {
    let twins = Twins::start();
    for topic in ["orders", "a.b"] {
        twins
            .same("topics", &["--create", "--topic", topic])
            .success();
    }
    let configs = |args: &[&str]| twins.same("configs", args);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "segment.bytes=20000000\n").unwrap();
    let file = file.path().to_str().unwrap();
    let groups_of_values = "retention.ms=5,cleanup.policy=[compact,delete]";
    for args in [
        &[
            "--alter",
            "--topic",
            "orders",
            "--add-config",
            groups_of_values,
        ][..],
        &["--describe", "--topic", "orders"],
        &["--describe", "--entity-type", "topics"],
        &["--describe", "--topic", "orders", "--all"],
        &[
            "--alter",
            "--topic",
            "orders",
            "--delete-config",
            "retention.ms",
        ],
        &[
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            "a.b",
            "--add-config-file",
            file,
        ],
        &[
            "--describe",
            "--entity-type",
            "topics",
            "--entity-name",
            "a.b",
        ],
        &[
            "--alter",
            "--broker-defaults",
            "--add-config",
            "log.retention.ms=60000",
        ],
        &[
            "--alter",
            "--entity-type",
            "brokers",
            "--entity-name",
            "1",
            "--add-config",
            "log.retention.ms=70000",
        ],
        &["--describe", "--entity-type", "brokers"],
        &["--describe", "--entity-type", "brokers", "--entity-default"],
        &["--describe", "--broker", "7"],
        &["--describe", "--topic", "nix"],
        &["--describe", "--entity-type", "groups"],
        &["--describe", "--group", "g"],
        &["--describe", "--entity-type", "client-metrics"],
    ] {
        configs(args).success();
    }
    for args in [
        &["--describe", "--topic", "nix", "--all"][..],
        &[
            "--alter",
            "--topic",
            "nix",
            "--add-config",
            "retention.ms=5",
        ],
        &[
            "--alter",
            "--topic",
            "orders",
            "--add-config",
            "retention.ms=soon",
        ],
        &[
            "--alter",
            "--topic",
            "orders",
            "--add-config",
            "retention.ms",
        ],
        &["--alter", "--broker", "1", "--add-config", "nix=1"],
        &["--alter", "--broker", "1", "--add-config", "node.id=2"],
        &["--describe", "--broker", "one"],
    ] {
        configs(args).failure();
    }
    let left = configs(&["--describe", "--topic", "orders"]);
    assert!(left.success().contains("cleanup.policy=compact,delete"));
    assert!(!left.success().contains("  retention.ms="));
}

#[test]
fn loggers_are_shown_and_set_as_far_as_the_broker_has_them() {
    let twins = Twins::start();
    for args in [
        &["--describe", "--broker-logger", "1"][..],
        &[
            "--alter",
            "--broker-logger",
            "1",
            "--add-config",
            "nix=DEBUG",
        ],
    ] {
        twins.same("configs", args);
    }
}

#[test]
fn arguments_that_do_not_fit_together_are_refused() {
    let topic = ["--bootstrap-server", "h:1", "--alter", "--topic", "a"];
    let with = |more: &[&'static str]| -> Vec<&str> { topic.iter().chain(more).copied().collect() };
    for args in [
        &["--describe", "--topic", "a"][..],
        &["--bootstrap-server", "h:1", "--topic", "a"],
        &["--bootstrap-server", "h:1", "--describe"],
        &[
            "--bootstrap-server",
            "h:1",
            "--describe",
            "--entity-type",
            "nix",
        ],
        &[
            "--bootstrap-server",
            "h:1",
            "--describe",
            "--topic",
            "a",
            "--group",
            "g",
        ],
        &[
            "--bootstrap-server",
            "h:1",
            "--describe",
            "--topic",
            "a",
            "--entity-name",
            "b",
        ],
        &[
            "--bootstrap-server",
            "h:1",
            "--describe",
            "--entity-type",
            "broker-loggers",
        ],
        &["--bootstrap-server", "h:1", "--alter", "--broker-defaults"],
        &with(&[]),
        &with(&["--add-config", "a=b", "--add-config-file", "c"]),
        &with(&["--describe"]),
        &with(&["--topic", "b", "--add-config", "a=b"]),
    ] {
        same_refusal("configs", args);
    }
}
