//! kafka-get-offsets and kafka-delete-records.

use super::super::normal::Order;
use super::{Brokers, IMPATIENT, file, path, timed_out};

fn delete(partition: i32, offset: i64) -> String {
    format!(
        r#"{{"partitions":[{{"topic":"ga","partition":{partition},"offset":{offset}}}],"version":1}}"#
    )
}

#[test]
fn offsets_and_records_are_told_and_deleted_alike() {
    let brokers = Brokers::start();
    let offsets =
        |args: &[&str]| brokers.same("get-offsets", &[&["--topic", "g.*"], args].concat());
    let t0 = brokers.t0;
    let between = [t0 - 1, t0, t0 + 1, t0 + 600, t0 + 9000, t0 + 9001].map(|t| t.to_string());
    let tell = || {
        for time in between.iter().map(String::as_str) {
            offsets(&["--time", time]);
        }
        for time in [
            "-1",
            "-2",
            "-3",
            "-4",
            "-5",
            "-6",
            "latest",
            "earliest",
            "max-timestamp",
            "earliest-local",
            "latest-tiered",
            "earliest-pending-upload",
            "0",
            "99999999999999",
            "nonsense",
        ] {
            offsets(&["--time", time]);
        }
    };
    tell();
    let youngest = offsets(&["--time", "max-timestamp"]);
    assert_eq!(youngest.success(), "ga:0:3\ngb:0:1\n");
    for (partition, offset) in [(0, 2), (0, 1), (0, 99), (0, -2), (1, -1)] {
        let asked = file(&delete(partition, offset));
        let said = brokers.same("delete-records", &["--offset-json-file", path(&asked)]);
        assert!(said.success().contains("partition: ga-"));
    }
    let starts = offsets(&["--time", "earliest"]);
    assert_eq!(starts.success(), "ga:0:2\nga:1:0\ngb:0:0\n");
    tell();
    let all = file(&delete(0, -1));
    brokers
        .same("delete-records", &["--offset-json-file", path(&all)])
        .success();
    for time in ["-1", "-2", "-4", "0"] {
        offsets(&["--time", time]);
    }
    let nothing = file(r#"{"partitions":[]}"#);
    brokers.same("delete-records", &["--offset-json-file", path(&nothing)]);
    // Indexes that are not there yet are nothing to be told of.
    let log = brokers.ottla.log();
    assert!(!log.contains("indexes"), "{log}");
}

#[test]
fn records_of_a_partition_that_is_missing_are_waited_for_alike() {
    let brokers = Brokers::start();
    let (asked, settings) = (file(&delete(9, 0)), file(IMPATIENT));
    let args = [
        "--offset-json-file",
        path(&asked),
        "--command-config",
        path(&settings),
    ];
    let said = brokers.compare("delete-records", &args, Order::Kept, timed_out);
    let said = format!("{}{}", said.stdout, said.stderr);
    assert!(said.contains("TimeoutException"), "{said}");
}
