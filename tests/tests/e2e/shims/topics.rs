//! kafka-topics.

use ottla_tests::harness::{Broker, Finished, kcat};

use super::{Twins, same_refusal, shim, view};

#[test]
fn topics_are_listed() {
    let twins = Twins::start();
    twins.same("topics", &["--list"]).success();
    twins.prepare(|broker| {
        for topic in ["b", "a"] {
            let producing = ["-P", "-t", topic];
            kcat(&broker.bootstrap(), &producing, b"x\n").success();
        }
    });
    let said = twins.same("topics", &["--list"]);
    assert_eq!(said.success(), "a\nb\n");
    let one = twins.same("topics", &["--list", "--topic", "[b-z]"]);
    assert_eq!(one.success(), "b\n");
}

#[test]
fn topics_are_created_altered_and_deleted() {
    let twins = Twins::start();
    let create = |args: &[&str]| -> Finished {
        let all: Vec<&str> = ["--create", "--topic"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        twins.same("topics", &all)
    };
    let settings = [
        "--config",
        "retention.ms=1000",
        "--config",
        "cleanup.policy=compact",
    ];
    let mut orders = vec!["orders", "--partitions", "2"];
    orders.extend(settings);
    assert_eq!(create(&orders).success(), "Created topic orders.\n");
    create(&["orders"]).failure();
    assert_eq!(create(&["orders", "--if-not-exists"]).success(), "");
    create(&["with.dots_and_lines"]).success();
    create(&["placed", "--replica-assignment", "1,1,1"]).success();
    for wrong in [
        &["x", "--replica-assignment", "9"][..],
        &["x", "--replica-assignment", "1:1"],
        &["x", "--replica-assignment", "1,1", "--partitions", "2"],
        &["x", "--partitions", "0"],
        &["x", "--replication-factor", "0"],
        &["x", "--config", "nix=1"],
        &["x", "--config", "retention.ms"],
        &["x", "--config", "retention.ms=soon"],
        &["no name"],
    ] {
        create(wrong).failure();
    }
    let alter = |topic, partitions| {
        let args = ["--alter", "--topic", topic, "--partitions", partitions];
        twins.same("topics", &args)
    };
    alter("orders", "5").success();
    alter("orders", "5").failure();
    alter("nix", "5").failure();
    twins.same("topics", &["--list"]).success();
    let delete = ["--delete", "--topic", "placed|with.*"];
    twins.same("topics", &delete).success();
    twins.same("topics", &delete).failure();
    let if_exists = ["--delete", "--if-exists", "--topic", "nix"];
    twins.same("topics", &if_exists).success();
    assert_eq!(twins.same("topics", &["--list"]).success(), "orders\n");
}

#[test]
fn topics_are_described() {
    let broker = Broker::start();
    view::same(&broker, "topics", &["--describe"]).success();
    for (topic, settings) in [
        (
            "orders",
            &["--partitions", "3", "--config", "retention.ms=5"][..],
        ),
        ("a.b", &[]),
        ("payments", &["--config", "min.insync.replicas=2"]),
    ] {
        let server = broker.bootstrap();
        let mut args = vec!["--bootstrap-server", &server, "--create", "--topic", topic];
        args.extend(settings);
        shim("topics", &args, "").success();
    }
    let same = |args: &[&str]| {
        let all: Vec<&str> = std::iter::once(&"--describe")
            .chain(args)
            .copied()
            .collect();
        view::same(&broker, "topics", &all)
    };
    let all = same(&[]);
    assert_eq!(all.success().matches("\tPartition: ").count(), 5);
    let one = same(&["--topic", "orders"]).success().to_owned();
    assert!(one.contains("\tConfigs: retention.ms=5\n"), "{one}");
    let id = one
        .split("TopicId: ")
        .nth(1)
        .and_then(|rest| rest.split('\t').next())
        .expect("the description has an id");
    same(&["--topic-id", id]).success();
    same(&[
        "--topic",
        "orders",
        "--partition-size-limit-per-response",
        "1",
    ])
    .success();
    let under = same(&["--under-min-isr-partitions"]);
    assert!(under.success().contains("Topic: payments\tPartition: 0"));
    for filter in [
        "--at-min-isr-partitions",
        "--under-replicated-partitions",
        "--unavailable-partitions",
        "--topics-with-overrides",
        "--exclude-internal",
    ] {
        same(&[filter]).success();
    }
    assert_eq!(same(&["--topic", "nix", "--if-exists"]).success(), "");
    same(&["--topic", "nix"]).failure();
    same(&["--topic-id", "nix"]).failure();
    same(&["--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ"]).failure();
}

#[test]
fn arguments_that_do_not_fit_together_are_refused() {
    for args in [
        &["--list"][..],
        &["--nix"],
        &["--list", "--zookeeper", "localhost:2181"],
        &["--bootstrap-server"],
        &["--bootstrap-server", "h:1", "--list", "--describe"],
        &["--bootstrap-server", "h:1", "--create"],
        &["--bootstrap-server", "h:1", "--list", "--partitions", "3"],
        &["--bootstrap-server", "h:1", "--list", "--if-not-exists"],
        &["--bootstrap-server", "h:1", "--describe", "--if-exists"],
        &["--bootstrap-server", "h:1", "--alter", "--topic", "a"],
    ] {
        same_refusal("topics", args);
    }
}

#[test]
fn the_version_is_that_of_the_originals() {
    let said = shim("topics", &["--version"], "");
    let expected = ottla_tests::harness::original("topics", &["--version"], "");
    assert_eq!(said.success(), expected.success());
}
