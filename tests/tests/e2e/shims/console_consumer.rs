//! kafka-console-consumer.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use ottla_tests::harness::{Broker, kcat, ottla_binary, run};

use super::{Twins, same_refusal};

/// Records in one partition, with keys, headers and nulls.
fn twins() -> Twins {
    let twins = Twins::start();
    twins.prepare(|broker| {
        let produce = |args: &[&str], input: &[u8]| {
            let args = [&["-P", "-t", "t", "-p", "0"], args].concat();
            kcat(&broker.bootstrap(), &args, input).success();
        };
        produce(&["-K", ":"], b"k:first\n");
        produce(&["-H", "a=1", "-H", "b=2"], b"second\n");
        produce(&["-Z", "-K", ":"], b"k:\n");
    });
    twins
}

const KEYS: [&str; 2] = ["--formatter-property", "print.key=true"];

#[test]
fn records_are_printed_in_each_way() {
    let twins = twins();
    let beginning = ["--topic", "t", "--from-beginning"];
    let serialization = |name: &str| format!("org.apache.kafka.common.serialization.{name}");
    let (text, number) = (
        serialization("StringDeserializer"),
        serialization("BytesDeserializer"),
    );
    for args in [
        &["--max-messages", "3"][..],
        &["--max-messages", "2"],
        &["--timeout-ms", "2000"],
        &["--max-messages", "3", "--property", "print.key=true"],
        &["--max-messages", "3", "--property", "print.headers=true"],
        &["--max-messages", "1", "--property", "print.value=false"],
        &[
            "--max-messages",
            "3",
            "--formatter-property",
            "null.literal=-",
        ],
        &["--max-messages", "3", "--value-deserializer", &text],
        &[
            "--max-messages",
            "2",
            "--key-deserializer",
            &text,
            KEYS[0],
            KEYS[1],
        ],
        &["--max-messages", "1", "--value-deserializer", &number],
        &[
            "--max-messages",
            "2",
            "--formatter",
            "org.apache.kafka.tools.consumer.NoOpMessageFormatter",
        ],
        &[
            "--max-messages",
            "2",
            "--formatter",
            "org.apache.kafka.tools.consumer.LoggingMessageFormatter",
        ],
        &["--max-messages", "2", "--isolation-level", "read_committed"],
        &["--max-messages", "2", "--consumer-property", "client.id=me"],
    ] {
        let args = [&beginning, args].concat();
        twins.same("console-consumer", &args).success();
    }
    let rich: Vec<&str> = [
        "print.key=true",
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.epoch=true",
        "print.delivery=true",
        "key.separator=|",
        "headers.separator=;",
    ]
    .iter()
    .flat_map(|property| ["--formatter-property", *property])
    .collect();
    let args = [&beginning[..], &rich, &["--max-messages", "2"]].concat();
    let said = twins.same("console-consumer", &args);
    let first = "Partition:0|Offset:0|Delivery:NOT_PRESENT|Epoch:NOT_PRESENT|NO_HEADERS|k|first";
    assert_eq!(said.success().lines().next(), Some(first));
    // Timestamps are the brokers'; their form is not.
    let stamped = [
        "--formatter-property",
        "print.timestamp=true",
        "--max-messages",
        "1",
    ];
    let said = super::shim(
        "console-consumer",
        &[
            &["--bootstrap-server", &twins.for_shim.bootstrap()],
            &beginning[..],
            &stamped,
        ]
        .concat(),
        "",
    );
    let stamp = said.success().split('\t').next().expect("a column");
    let ms = stamp.strip_prefix("CreateTime:").expect("who gave it");
    assert!(
        ms.parse::<u64>().is_ok_and(|ms| ms > 1_600_000_000_000),
        "{ms}"
    );
}

#[test]
fn a_partition_is_read_from_an_offset() {
    let twins = twins();
    let partition = ["--topic", "t", "--partition", "0"];
    for args in [
        &["--offset", "1", "--max-messages", "1"][..],
        &["--offset", "earliest", "--max-messages", "3"],
        &["--from-beginning", "--timeout-ms", "1000"],
        &["--offset", "latest", "--timeout-ms", "500"],
        &["--offset", "100", "--timeout-ms", "500"],
    ] {
        twins
            .same("console-consumer", &[&partition, args].concat())
            .success();
    }
    let missing = ["--topic", "t", "--partition", "9", "--timeout-ms", "500"];
    twins.same("console-consumer", &missing).success();
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let twins = twins();
    let group = ["--topic", "t", "--group", "g", "--from-beginning"];
    let one = [&group[..], &["--max-messages", "1"]].concat();
    assert_eq!(twins.same("console-consumer", &one).success(), "first\n");
    twins.same("consumer-groups", &["--describe", "--group", "g"]);
    assert_eq!(twins.same("console-consumer", &one).success(), "second\n");
    let rest = [&group[..], &["--timeout-ms", "2000"]].concat();
    assert_eq!(twins.same("console-consumer", &rest).success(), "null\n");
    twins.same("consumer-groups", &["--describe", "--group", "g"]);
    let other = ["--topic", "t", "--max-messages", "1", "--from-beginning"];
    let other = [&other[..], &["--command-property", "group.id=h"]].concat();
    twins.same("console-consumer", &other).success();
    twins.same("consumer-groups", &["--describe", "--group", "h"]);
}

#[test]
fn topics_are_read_by_pattern() {
    let twins = twins();
    twins.prepare(|broker| {
        for topic in ["u1", "u2"] {
            kcat(&broker.bootstrap(), &["-P", "-t", topic], b"x\n").success();
        }
    });
    let args = [
        "--include",
        "u.*",
        "--from-beginning",
        "--max-messages",
        "2",
    ];
    assert_eq!(twins.same("console-consumer", &args).success(), "x\nx\n");
}

#[test]
fn what_cannot_be_deserialized_ends_it_or_is_skipped() {
    let twins = twins();
    let class = "org.apache.kafka.common.serialization.LongDeserializer";
    let args = ["--topic", "t", "--from-beginning", "--max-messages", "2"];
    let args = [&args[..], &["--value-deserializer", class]].concat();
    let said = twins.same("console-consumer", &args);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr.contains("LongDeserializer is not 8"),
        "{said:?}"
    );
    let args = [&args[..], &["--skip-message-on-error"]].concat();
    twins.same("console-consumer", &args).success();
}

#[test]
fn without_a_broker_it_waits_until_its_time_is_over() {
    let args = [
        "--bootstrap-server",
        "127.0.0.1:1",
        "--topic",
        "t",
        "--timeout-ms",
        "500",
    ];
    let expected = ottla_tests::harness::original("console-consumer", &args, "");
    let said = super::shim("console-consumer", &args, "");
    assert_eq!(said.code, expected.code);
    assert_eq!(said.stdout, expected.stdout);
    for said in [said, expected] {
        assert!(
            said.stderr.ends_with("Processed a total of 0 messages\n"),
            "{said:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    same_refusal("console-consumer", &[]);
    same_refusal("console-consumer", &["--topic", "t"]);
    let server = ["--bootstrap-server", "127.0.0.1:1"];
    same_refusal("console-consumer", &server);
    for args in [
        &["--foo"][..],
        &["--topic", "t", "--include", "u"],
        &["--topic", "t", "--offset", "1"],
        &["--topic", "t", "--partition", "0", "--offset", "-1"],
        &["--topic", "t", "--partition", "0", "--offset", "first"],
        &[
            "--topic",
            "t",
            "--partition",
            "0",
            "--offset",
            "1",
            "--from-beginning",
        ],
        &["--topic", "t", "--partition", "0", "--group", "g"],
        &["--include", "t", "--partition", "0"],
        &[
            "--topic",
            "t",
            "--group",
            "g",
            "--command-property",
            "group.id=h",
        ],
        &[
            "--topic",
            "t",
            "--from-beginning",
            "--command-property",
            "auto.offset.reset=latest",
        ],
        &["--topic", "t", "--formatter", "foo.Bar"],
        &["--topic", "t", "--isolation-level", "none"],
        &["--topic", "t", "--max-messages", "many"],
        &[
            "--topic",
            "t",
            "--property",
            "a=b",
            "--formatter-property",
            "a=b",
        ],
    ] {
        let args = [&server, args].concat();
        let expected = ottla_tests::harness::original("console-consumer", &args, "");
        if expected.stderr.contains("Processed a total of") {
            // The original finds out after it has begun.
            let said = super::shim("console-consumer", &args, "");
            assert_eq!(said.code, expected.code, "{args:?}");
            assert_eq!(said.stdout, expected.stdout, "{args:?}");
        } else if !expected
            .stderr
            .contains("Unknown error when running consumer")
        {
            same_refusal("console-consumer", &args);
        } else {
            assert_eq!(super::shim("console-consumer", &args, "").code, Some(1));
        }
    }
}

/// The members of a group, as `kafka-consumer-groups` counts them.
fn members(broker: &Broker, group: &str) -> String {
    let server = broker.bootstrap();
    let args = [
        "--bootstrap-server",
        &server,
        "--describe",
        "--group",
        group,
        "--state",
    ];
    let said = super::shim("consumer-groups", &args, "");
    let row = said.success().lines().last().expect("a row").to_owned();
    row.split_whitespace().last().expect("a count").to_owned()
}

#[test]
fn a_signal_ends_it_as_it_should() {
    let twins = twins();
    let broker = &twins.for_shim;
    let mut child = Command::new(ottla_binary())
        .args([
            "kafka",
            "console-consumer",
            "--bootstrap-server",
            &broker.bootstrap(),
        ])
        .args(["--topic", "t", "--group", "live", "--from-beginning"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ottla can be started");
    let stdout = child.stdout.as_mut().expect("stdout was piped");
    let mut lines = BufReader::new(stdout).lines();
    for expected in ["first", "second", "null"] {
        let line = lines.next().expect("a line").expect("text");
        assert_eq!(line, expected);
    }
    drop(lines);
    assert_eq!(members(broker, "live"), "1");
    let pid = child.id().to_string();
    run(
        Command::new("kill").args(["-INT", &pid]),
        b"",
        std::time::Duration::from_secs(10),
    )
    .success();
    let ended = child
        .wait_with_output()
        .expect("an own child can be awaited");
    assert_eq!(ended.status.code(), Some(130));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.ends_with("Processed a total of 3 messages\n"),
        "{said}"
    );
    assert_eq!(members(broker, "live"), "0");
    let committed = [
        "--bootstrap-server",
        &broker.bootstrap(),
        "--describe",
        "--group",
        "live",
    ];
    let described = super::shim("consumer-groups", &committed, "");
    let row = described
        .success()
        .lines()
        .last()
        .expect("a row")
        .to_owned();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..6], ["live", "t", "0", "3", "3", "0"]);
}
