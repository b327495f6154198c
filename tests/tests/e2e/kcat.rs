//! kcat, in the version that Debian ships.

use ottla_tests::harness::{Broker, kcat, unique};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn kcat_reads_back_what_it_produced_with_every_codec() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = unique(codec);
        let expected: Vec<String> = (0..500)
            .map(|i| format!("key-{i}:value {i} of {codec} {}", "x".repeat(i % 90)))
            .collect();
        kcat(
            &server,
            &["-P", "-t", &topic, "-K", ":", "-z", codec],
            (expected.join("\n") + "\n").as_bytes(),
        )
        .success();
        let read = kcat(
            &server,
            &["-C", "-t", &topic, "-e", "-q", "-f", "%o %k:%s\n"],
            b"",
        );
        let expected: Vec<String> = expected
            .iter()
            .enumerate()
            .map(|(offset, line)| format!("{offset} {line}"))
            .collect();
        assert_eq!(lines(read.success()), expected, "codec {codec}");
    }
}

#[test]
fn kcat_keeps_headers_null_keys_null_values_and_partitions_apart() {
    let broker = Broker::start_with(&["num.partitions=3"]);
    let server = broker.bootstrap();
    let topic = unique("parts");
    let produce = |args: &[&str], input: &str| {
        let mut all = vec!["-P", "-t", &topic];
        all.extend(args);
        kcat(&server, &all, input.as_bytes()).success();
    };
    produce(&["-p", "0", "-H", "a=1", "-H", "b=two"], "no key\n");
    produce(&["-p", "1", "-Z", "-K", ":"], "key:\n");
    produce(&["-p", "2", "-K", ":"], "k:v\n");
    let format = "%p %o key=%k/%K value=%s/%S headers=%h\n";
    let read = kcat(
        &server,
        &["-C", "-t", &topic, "-e", "-q", "-f", format],
        b"",
    );
    let mut read = lines(read.success());
    read.sort_unstable();
    assert_eq!(
        read,
        [
            "0 0 key=/-1 value=no key/6 headers=a=1,b=two",
            "1 0 key=key/3 value=/-1 headers=",
            "2 0 key=k/1 value=v/1 headers=",
        ]
    );
}

#[test]
fn kcat_starts_at_an_offset_at_the_end_and_at_a_time() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("seek");
    kcat(&server, &["-P", "-t", &topic], b"0\n1\n2\n3\n4\n").success();
    let read = |offset: &str| {
        let read = kcat(
            &server,
            &["-C", "-t", &topic, "-p", "0", "-o", offset, "-e", "-q"],
            b"",
        );
        read.success().split_whitespace().collect::<String>()
    };
    assert_eq!(read("beginning"), "01234");
    assert_eq!(read("3"), "34");
    assert_eq!(read("-2"), "34");
    assert_eq!(read("end"), "");
    assert_eq!(read("s@0"), "01234");
    let query = |timestamp: &str| {
        let said = kcat(
            &server,
            &["-Q", "-t", &format!("{topic}:0:{timestamp}")],
            b"",
        );
        said.success().trim().to_owned()
    };
    assert_eq!(query("-1"), format!("{topic} [0] offset 5"));
    assert_eq!(query("-2"), format!("{topic} [0] offset 0"));
    assert_eq!(query("1"), format!("{topic} [0] offset 0"));
}

#[test]
fn kcat_lists_the_broker_and_its_topics() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("listed");
    kcat(&server, &["-P", "-t", &topic], b"x\n").success();
    let listing = kcat(&server, &["-L", "-J"], b"");
    let listing: serde_json::Value =
        serde_json::from_str(listing.success()).expect("kcat prints JSON");
    assert_eq!(listing["brokers"].as_array().map(Vec::len), Some(1));
    assert_eq!(listing["brokers"][0]["name"], server);
    assert_eq!(listing["controllerid"], listing["brokers"][0]["id"]);
    let topics = listing["topics"].as_array().expect("a list of topics");
    let ours = topics
        .iter()
        .find(|t| t["topic"] == topic)
        .expect("the topic is listed");
    assert_eq!(ours["partitions"].as_array().map(Vec::len), Some(1));
    assert_eq!(ours["partitions"][0]["leader"], listing["brokers"][0]["id"]);
}

#[test]
fn a_kcat_group_resumes_after_its_committed_offset() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("group");
    let group = unique("g");
    kcat(&server, &["-P", "-t", &topic], b"a\nb\nc\n").success();
    let consume = |count: &str| {
        let args = [
            "-G",
            &group,
            "-q",
            "-c",
            count,
            "-X",
            "auto.offset.reset=earliest",
            &topic,
        ];
        lines(kcat(&server, &args, b"").success())
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(consume("2"), ["a", "b"]);
    assert_eq!(consume("1"), ["c"]);
}

#[test]
fn kcat_reports_a_message_that_is_too_large() {
    let broker = Broker::start();
    let server = broker.bootstrap();
    let topic = unique("large");
    let near = vec![b'x'; 600_000];
    kcat(&server, &["-P", "-t", &topic], &near).success();
    let above = vec![b'x'; 1_100_000];
    let said = kcat(
        &server,
        &["-P", "-t", &topic, "-X", "message.max.bytes=2000000"],
        &above,
    );
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(all.contains("Message size too large"), "{said:?}");
}
