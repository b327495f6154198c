//! `/metrics`: in the format, with what happened, bounded.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use ottla_codec::messages::FetchRequest;
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
