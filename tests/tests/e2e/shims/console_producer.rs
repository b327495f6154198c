//! kafka-console-producer.

use ottla_tests::harness::kcat;

use super::{Twins, same_refusal};

/// Every record of a topic: partition, key, headers, value, of which keys and values come with their length, -1 for null.
fn records(twins: &Twins, topic: &str) -> String {
    let [one, other] = [&twins.for_original, &twins.for_shim].map(|broker| {
        let format = "%p|%K%k|%h|%S%s\n";
        let args = [
            "-C",
            "-q",
            "-e",
            "-o",
            "beginning",
            "-f",
            format,
            "-t",
            topic,
        ];
        kcat(&broker.bootstrap(), &args, b"").success().to_owned()
    });
    assert_eq!(one, other, "what the original wrote is on the left");
    one
}

fn properties<'a>(option: &'a str, values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| [option, *value]).collect()
}

#[test]
fn lines_become_records() {
    let twins = Twins::start();
    let keys = ["parse.key=true", "key.separator=:"];
    let headers = ["parse.headers=true", "parse.key=true", "null.marker=NULL"];
    for (topic, args, input, expected) in [
        (
            "plain",
            vec![],
            "a\nb:c\n\nlast",
            "0|-1||1a\n0|-1||3b:c\n0|-1||0\n0|-1||4last\n",
        ),
        ("sync", vec!["--sync"], "a\r\nü\n", "0|-1||1a\n0|-1||2ü\n"),
        (
            "keys",
            properties("--reader-property", &keys),
            "k:v\nl:w:x\n:empty\n",
            "0|1k||1v\n0|1l||3w:x\n0|0||5empty\n",
        ),
        (
            "old",
            properties("--property", &keys),
            "k:v\n",
            "0|1k||1v\n",
        ),
        (
            "headers",
            properties("--reader-property", &headers),
            "a:1,b:2\tk\tv\nNULL\tNULL\tNULL\n",
            "0|1k|a=1,b=2|1v\n0|-1||-1\n",
        ),
        (
            "lenient",
            properties(
                "--reader-property",
                &["parse.key=true", "ignore.error=true"],
            ),
            "no key\n",
            "0|-1||6no key\n",
        ),
        (
            "zstd",
            vec![
                "--compression-codec",
                "zstd",
                "--request-required-acks",
                "1",
            ],
            "a\n",
            "0|-1||1a\n",
        ),
        (
            "gzip",
            vec!["--compression-codec", "--producer-property", "linger.ms=5"],
            "a\n",
            "0|-1||1a\n",
        ),
    ] {
        let mut all = vec!["--topic", topic];
        all.extend(args);
        twins
            .same_with_input("console-producer", &all, input)
            .success();
        assert_eq!(records(&twins, topic), expected, "{topic}");
    }
}

#[test]
fn records_go_to_the_partition_of_their_key() {
    let twins = Twins::start();
    let create = ["--create", "--topic", "t", "--partitions", "5"];
    twins.same("topics", &create).success();
    let lines: String = (0..50).map(|i| format!("key{i}:{i}\n")).collect();
    let args = properties("--reader-property", &["parse.key=true", "key.separator=:"]);
    let args = [&["--topic", "t"], &args[..]].concat();
    twins
        .same_with_input("console-producer", &args, &lines)
        .success();
    for partition in 0..5 {
        let partition = partition.to_string();
        let [one, other] = [&twins.for_original, &twins.for_shim].map(|broker| {
            let args = [
                "-C",
                "-q",
                "-e",
                "-o",
                "beginning",
                "-t",
                "t",
                "-p",
                &partition,
            ];
            kcat(&broker.bootstrap(), &args, b"").success().to_owned()
        });
        assert_eq!(one, other, "partition {partition}");
        assert!(!one.is_empty());
    }
}

#[test]
fn a_line_that_is_no_record_ends_it_after_those_before_it() {
    let twins = Twins::start();
    for (topic, args, input) in [
        ("t1", &["parse.key=true"][..], "a\tb\nc\n"),
        ("t2", &["parse.headers=true"], "h:1\tb\nc\n"),
        ("t3", &["parse.headers=true"], "h:1\tb\nh\tc\n"),
        (
            "t4",
            &["parse.headers=true", "null.marker=-"],
            "h:1\tb\n-:1\tc\n",
        ),
    ] {
        let properties = properties("--reader-property", args);
        let args = [&["--topic", topic], &properties[..]].concat();
        let said = twins.same_with_input("console-producer", &args, input);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(records(&twins, topic).ends_with("|1b\n"));
    }
}

#[test]
fn what_cannot_be_sent_is_logged_or_ends_a_sync_producer() {
    let twins = Twins::start();
    let bad = ["--topic", "bad/name"];
    twins
        .same_with_input("console-producer", &bad, "x\n")
        .success();
    let server = twins.for_shim.bootstrap();
    let sync = ["--bootstrap-server", &server, bad[0], bad[1], "--sync"];
    let reason = "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.InvalidTopicException: Invalid topics: [bad/name]";
    for said in [
        ottla_tests::harness::original("console-producer", &sync, "x\n"),
        super::shim("console-producer", &sync, "x\n"),
    ] {
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains(reason), "{said:?}");
    }
    for args in [
        &["--topic", "t", "--max-block-ms", "300"][..],
        &["--topic", "t", "--max-block-ms", "300", "--sync"],
    ] {
        let nobody = ["--bootstrap-server", "127.0.0.1:1"];
        let args = [&nobody, args].concat();
        let expected = ottla_tests::harness::original("console-producer", &args, "x\n");
        let said = super::shim("console-producer", &args, "x\n");
        assert_eq!(said.code, expected.code, "{args:?}");
        let reason = "TimeoutException: Topic t not present in metadata after 300 ms.";
        for said in [said, expected] {
            assert!(said.stderr.contains(reason), "{args:?}: {said:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    same_refusal("console-producer", &[]);
    same_refusal("console-producer", &["--topic", "t"]);
    same_refusal(
        "console-producer",
        &["--topic", "t", "--bootstrap-server", "nonsense"],
    );
    let server = ["--bootstrap-server", "127.0.0.1:1"];
    same_refusal("console-producer", &server);
    let server = [&server[..], &["--topic", "t"]].concat();
    for args in [
        &["--foo"][..],
        &["--topic", "u"],
        &["--batch-size", "many"],
        &["--timeout", "soon"],
        &["--compression-codec", "zip"],
        &["--request-required-acks", "7"],
        &["--line-reader", "foo.Bar"],
        &["--command-property", "linger.ms=soon"],
        &["--command-property", "a=b", "--producer-property", "a=b"],
        &["--reader-property", "a=b", "--property", "a=b"],
        &["--reader-property", "headers.delimiter=,"],
        &["--reader-property", "null.marker=:"],
    ] {
        same_refusal("console-producer", &[&server, args].concat());
    }
    // The name that the option had once.
    let old = ["--broker-list", "127.0.0.1:1", "--topic", "t"];
    assert_eq!(super::shim("console-producer", &old, "").code, Some(0));
}
