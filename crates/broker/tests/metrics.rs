//! `/metrics`: in the format, with what happened, bounded.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_codec::messages::FetchRequest;
use ottla_codec::records::{BatchBuilder, Record};
use support::http::get;
use support::open_metrics::{Page, parse};
use support::{batch, commit, create, fetch_request, produce_request, produced, start};

async fn scrape(running: &support::Running) -> Page {
    let address = running.broker.http_address().unwrap().to_string();
    let answer = get(&address, "/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    parse(&answer.body)
}

#[tokio::test]
async fn requests_errors_bytes_syncs_and_lag_are_counted() {
    let running = start(&[]).await;
    let before = scrape(&running).await;
    assert_eq!(before.get("ottla_requests_total{api=\"Produce\"}"), None);
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    for _ in 0..3 {
        let request = produce_request("t", -1, batch(&["a", "b"]));
        assert_eq!(produced(&connection.call(9, &request).await.unwrap()).0, 0);
    }
    let unknown = produce_request("no such", -1, batch(&["a"]));
    assert_eq!(produced(&connection.call(9, &unknown).await.unwrap()).0, 3);
    let fetched: Result<_, _> = connection
        .call(12, &fetch_request("t", 0, Duration::ZERO) as &FetchRequest)
        .await;
    fetched.unwrap();
    let group = "g\"\\\n";
    let committed = connection.call(8, &commit(group, "t", 2)).await.unwrap();
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
    let page = scrape(&running).await;
    for (series, expected) in [
        ("ottla_requests_total{api=\"Produce\"}", 4.0),
        ("ottla_request_duration_seconds_count{api=\"Produce\"}", 4.0),
        ("ottla_requests_total{api=\"Fetch\"}", 1.0),
        (
            "ottla_request_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}",
            1.0,
        ),
        (
            "ottla_group_lag{group=\"g\\\"\\\\\\n\",topic=\"t\",partition=\"0\"}",
            4.0,
        ),
        ("ottla_group_lag_left_out", 0.0),
        ("ottla_topics", 1.0),
        ("ottla_partitions", 1.0),
        ("ottla_writes_refused", 0.0),
        // Ours, and this scrape's own.
        ("ottla_connections", 2.0),
        ("ottla_http_requests_total", 2.0),
    ] {
        assert_eq!(page.get(series), Some(expected), "{series} in {page:?}");
    }
    for growing in [
        "ottla_received_bytes_total",
        "ottla_sent_bytes_total",
        "ottla_journal_syncs_total",
        "ottla_journal_bytes_total",
        "ottla_commits_total",
    ] {
        let (before, after) = (before.get(growing), page.get(growing));
        assert!(before < after, "{growing}: {before:?}, {after:?}");
    }
}

#[tokio::test]
async fn compaction_is_counted() {
    let running = start(&[
        ("log.cleanup.policy", "compact"),
        ("log.segment.bytes", "1000"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
        ("log.cleaner.backoff.ms", "1"),
    ])
    .await;
    let before = scrape(&running).await;
    assert_eq!(before.get("ottla_compaction_passes_total"), Some(0.0));
    let mut connection = running.connect().await;
    create(&mut connection, "t").await;
    for n in 0..100 {
        let record = Record {
            offset: 0,
            timestamp: 1_700_000_000_000,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from(format!("{n}"))),
            headers: Vec::new(),
        };
        let batch = BatchBuilder::default().build(&[record]);
        let request = produce_request("t", -1, batch);
        assert_eq!(produced(&connection.call(9, &request).await.unwrap()).0, 0);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let page = loop {
        let page = scrape(&running).await;
        if page.get("ottla_compaction_removed_records_total") > Some(50.0) {
            break page;
        }
        assert!(Instant::now() < deadline, "{page:?}");
    };
    for grown in [
        "ottla_compaction_passes_total",
        "ottla_compaction_read_bytes_total",
        "ottla_compaction_written_bytes_total",
        "ottla_compaction_removed_bytes_total",
        "ottla_compaction_read_records_total",
        "ottla_compaction_last_pass_seconds",
    ] {
        assert!(page.get(grown) > Some(0.0), "{grown} in {page:?}");
    }
    let ratio = page.get("ottla_compaction_max_dirty_ratio").unwrap();
    assert!((0.0..=1.0).contains(&ratio), "{ratio}");
    let uncleanable = page.get("ottla_compaction_uncleanable_partitions");
    assert_eq!(uncleanable, Some(0.0));
}
