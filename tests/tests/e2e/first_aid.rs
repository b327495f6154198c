//! `ottla wait` and `ottla doctor` are for any broker of the protocol: here for Apache Kafka, whatever the target.

use std::process::Command;
use std::time::Duration;

use ottla_tests::harness::{Broker, Finished, Target, ottla_binary, run};

/// Longer than a Kafka takes to start on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

fn ottla(broker: &Broker, args: &[&str], input: &str) -> Finished {
    let mut command = Command::new(ottla_binary());
    command
        .args(args)
        .env("OTTLA_BOOTSTRAP_SERVER", broker.bootstrap());
    run(&mut command, input.as_bytes(), TIMEOUT)
}

fn wait(broker: &Broker, condition: &str, timeout: &str) -> Finished {
    ottla(
        broker,
        &["wait", "--for", condition, "--timeout", timeout],
        "",
    )
}

#[test]
fn kafka_is_waited_for_and_found_healthy() {
    let kafka = Broker::start_target(Target::Kafka, &[]);
    wait(&kafka, "ready", "100s").success();
    let told = ottla(&kafka, &["doctor"], "");
    assert!(told.success().contains("reach every broker"), "{told:?}");

    let missing = wait(&kafka, "topic=orders", "0s").failure();
    assert!(missing.contains("there is no such topic"), "{missing}");
    ottla(&kafka, &["topic", "create", "orders", "-p", "2"], "").success();
    wait(&kafka, "topic=orders:partitions=2", "100s").success();

    let missing = wait(&kafka, "group=billing:lag=0", "0s").failure();
    assert!(missing.contains("  group=billing:lag=0: "), "{missing}");
    ottla(&kafka, &["produce", "orders"], "1\n2\n3\n").success();
    let consume = [
        "consume",
        "orders",
        "--group",
        "billing",
        "-o",
        "beginning",
        "-c",
        "2",
    ];
    ottla(&kafka, &consume, "").success();
    let behind = wait(&kafka, "group=billing:lag=0", "0s").failure();
    assert!(behind.contains("lag 1"), "{behind}");
    let rest = [
        "consume",
        "orders",
        "--group",
        "billing",
        "-o",
        "beginning",
        "-e",
    ];
    ottla(&kafka, &rest, "").success();
    wait(&kafka, "group=billing:lag=0:state=Empty", "100s").success();
}

#[test]
fn a_kafka_that_sends_its_clients_astray_is_told() {
    let settings = ["advertised.listeners=PLAINTEXT://no-such-host.invalid:9092"];
    let kafka = Broker::start_target(Target::Kafka, &settings);
    wait(&kafka, "ready", "100s").success();
    let told = ottla(&kafka, &["doctor"], "").failure();
    let setting = format!(
        "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{}",
        kafka.bootstrap()
    );
    for part in ["no-such-host.invalid:9092", "does not resolve", &setting] {
        assert!(told.contains(part), "{told}");
    }
}
