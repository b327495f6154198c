//! What is there before the first client: nobody sees half of it, and a crash leaves none of it half done.
#![allow(clippy::unwrap_used)] // a test says with a panic what went wrong

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use ottla_broker::settings::BrokerConfig;
use ottla_broker::{Broker, FirstTopic};
use ottla_client::{Client, ClientOptions, Topics};
use ottla_codec::records::Record;
use support::http::get;
use tokio::net::TcpStream;

fn config(dir: &Path) -> BrokerConfig {
    let values = [("listeners", "PLAINTEXT://127.0.0.1:0"), ("http.port", "0")];
    BrokerConfig {
        data_dir: dir.to_owned(),
        values: values.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
    }
}

fn topic(name: &str, partitions: i32) -> FirstTopic {
    FirstTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        ..FirstTopic::default()
    }
}

fn record(value: &str) -> Record {
    Record {
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

#[tokio::test]
async fn nobody_is_served_before_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_closed(config(dir.path())).await.unwrap();
    let address = broker.listeners()[0].1.to_string();
    let waiting = TcpStream::connect(&address).await.unwrap();
    waiting.writable().await.unwrap();
    let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(waiting.try_write(request).unwrap(), request.len());
    let http = broker.http_address().unwrap().to_string();
    let not_yet = get(&http, "/readyz").await;
    assert_eq!(not_yet.status, 503);
    assert!(not_yet.body.contains("first topics"), "{not_yet:?}");
    let mut answer = [0; 12];
    let early = waiting.try_read(&mut answer);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    let first = broker.first_topics();
    first.create(&topic("orders", 3)).await.unwrap();
    broker.open();
    assert_eq!(get(&http, "/readyz").await.status, 200);
    waiting.readable().await.unwrap();
    waiting.try_read(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut client = Client::connect(&[address], ClientOptions::default())
        .await
        .unwrap();
    let metadata = client.metadata(Topics::All, false).await.unwrap();
    assert_eq!(metadata.topics[0].partitions.len(), 3);
}

#[tokio::test]
async fn a_crash_among_the_first_records_takes_the_topic_back() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_closed(config(dir.path())).await.unwrap();
    let first = broker.first_topics();
    let whole = first.seed(&topic("whole", 1)).unwrap();
    whole.append(0, &[record("1"), record("2")]).await.unwrap();
    whole.finish().await.unwrap();
    let half = first.seed(&topic("half", 2)).unwrap();
    half.append(1, &[record("1")]).await.unwrap();
    drop((half, first));
    broker.abort().await;

    // Whether it is asked for again or not.
    for _ in 0..2 {
        let broker = Broker::start_closed(config(dir.path())).await.unwrap();
        let first = broker.first_topics();
        assert_eq!(first.partitions("whole"), Some(1));
        assert_eq!(first.partitions("half"), None);
        drop(first);
        broker.abort().await;
    }
    let broker = Broker::start_closed(config(dir.path())).await.unwrap();
    let again = broker.first_topics().seed(&topic("half", 2)).unwrap();
    again.append(1, &[record("1"), record("2")]).await.unwrap();
    again.finish().await.unwrap();
    broker.shutdown().await.unwrap();
    let broker = Broker::start(config(dir.path())).await.unwrap();
    assert_eq!(broker.first_topics().partitions("half"), Some(2));
}

#[tokio::test]
async fn what_a_topic_would_not_take_is_told_by_record() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_closed(config(dir.path())).await.unwrap();
    let first = broker.first_topics();
    let with = |name: &str, value: &str| FirstTopic {
        configs: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..topic("t", 1)
    };
    // Nothing that gzip could make smaller by much.
    let digits: String = (0..2000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 7).to_string())
        .collect();
    let large = record(&digits);
    for (topic, records, words) in [
        (
            with("max.message.bytes", "1000"),
            vec![record("a"), large.clone()],
            "larger than 1000",
        ),
        (
            with("cleanup.policy", "compact"),
            vec![
                Record {
                    key: Some(Bytes::new()),
                    ..large
                },
                record("a"),
            ],
            "without a key",
        ),
    ] {
        let refused = first.check_records(&topic, &records).unwrap_err();
        assert_eq!(refused.record, Some(1), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        first.check_records(&topic, &records[..1]).unwrap();
    }
    for topic in [
        with("cleanup.polic", "compact"),
        topic("t", 20_000),
        topic("a/b", 1),
    ] {
        first.check(&topic).unwrap_err();
    }
    assert_eq!(first.check(&topic("t", 4)).unwrap(), 4);
    assert_eq!(first.partitions("t"), None);
}
