//! What comes back is what was there.

use std::time::{Duration, Instant};

use ottla_broker::dead_letters::views::{Purge, PurgeRequest, RedriveRequest};
use ottla_broker::dead_letters::{Blob, Edit, Selection};
use ottla_codec::compression::Compression;
use ottla_codec::records::Record;
use ottla_dlq::headers::REDRIVE_COUNT;

use crate::fixture::*;
use crate::support::{alter, fetch_request};

fn kinds_of_records() -> Vec<Record> {
    let with_headers = |headers| Record {
        headers,
        ..record(None, None)
    };
    vec![
        record(Some("k"), Some("v")),
        record(None, Some("keyless")),
        record(Some("tombstone"), None),
        record(Some(""), Some("")),
        with_headers(vec![header("only", Some("headers")), header("null", None)]),
        with_headers(vec![
            header("__dlq.errors.topic", Some("forged")),
            header("__dlq.mine", None),
            header("trace", Some("1")),
            header("trace", Some("2")),
        ]),
        Record {
            timestamp: 1_600_000_000_000,
            ..record(Some("old"), Some("x"))
        },
    ]
}

#[tokio::test]
async fn records_of_every_kind_and_codec_go_back_as_they_were() {
    let (running, mut connection) = with_queue(2).await;
    let originals = kinds_of_records();
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let copies: Vec<Record> = originals
            .iter()
            .map(|r| dead(r, 3, "billing", "broken", 1))
            .collect();
        produce(&mut connection, "orders.dlq", 1, codec, &copies).await;
    }
    let task = redrive(&running, Selection::default()).await;
    assert_eq!((task.state, task.moved, task.kept), ("done", 35, 0));
    assert_eq!((task.looked_at, task.to_look_at), (35, 35));
    assert!(read(&mut connection, "orders", 0).await.is_empty());
    let back = read(&mut connection, "orders", 1).await;
    assert_eq!(back.len(), originals.len() * codecs.len());
    for (back, original) in back.iter().zip(originals.iter().cycle()) {
        assert_eq!(back.key, original.key);
        assert_eq!(back.value, original.value);
        assert_eq!(back.timestamp, original.timestamp);
        let (count, own) = back.headers.split_last().unwrap();
        assert_eq!(own, original.headers);
        assert_eq!(*count, header(REDRIVE_COUNT, Some("1")));
    }
}

#[tokio::test]
async fn the_front_that_is_moved_is_deleted_and_the_rest_of_the_queue_stays() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 10).await;
    let part = |from, to| Selection {
        from: Some(from),
        to: Some(to),
        ..Selection::default()
    };
    redrive(&running, part(4, 6)).await;
    redrive(&running, part(0, 3)).await;
    let detail = running.broker.dead_letters().show("orders").await.unwrap();
    assert_eq!(
        (detail.partitions[0].start, detail.partitions[0].end),
        (3, 10)
    );
    assert_eq!(detail.summary.records, 5);
    // As by DeleteRecords: a consumer of the queue itself is told.
    let answer = connection
        .call(11, &fetch_request("orders.dlq", 0, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(
        answer.responses[0].partitions[0].error_code,
        ottla_codec::ResponseError::OffsetOutOfRange.code()
    );
    let task = redrive(&running, Selection::default()).await;
    assert_eq!(task.moved, 5);
    let mut back = values(&read(&mut connection, "orders", 0).await);
    assert_eq!(back, ["4", "5", "0", "1", "2", "3", "6", "7", "8", "9"]);
    back.sort();
    assert_eq!(back, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
    let start = running.broker.dead_letters().show("orders").await.unwrap();
    assert_eq!(start.partitions[0].start, 10);
}

#[tokio::test]
async fn a_compacted_queue_is_moved_over_its_gaps_and_its_front_deleted() {
    let (running, mut connection) = with_queue(1).await;
    for (setting, to) in [
        ("segment.bytes", "1000"),
        ("cleanup.policy", "compact,delete"),
    ] {
        alter(&mut connection, "orders.dlq", setting, to).await;
    }
    for i in 0..60 {
        let value = format!("{i}");
        let key = ["a", "b", "c"][i % 3];
        let copy = dead(&record(Some(key), Some(&value)), 0, "billing", "broken", 1);
        produce(&mut connection, "orders.dlq", 0, Compression::None, &[copy]).await;
    }
    alter(
        &mut connection,
        "orders.dlq",
        "min.cleanable.dirty.ratio",
        "0",
    )
    .await;
    let queue = running.broker.dead_letters();
    let deadline = Instant::now() + WAIT;
    let left = loop {
        let left = queue.show("orders").await.unwrap().summary.records;
        if left < 30 {
            break left;
        }
        assert!(Instant::now() < deadline, "{left} are left");
    };
    // Another pass may come before the redrive does.
    let task = redrive(&running, Selection::default()).await;
    assert_eq!((task.state, task.kept), ("done", 0));
    assert!(task.moved >= 3 && task.moved <= left, "{task:?}");
    let back = values(&read(&mut connection, "orders", 0).await);
    assert_eq!(back.len() as u64, task.moved);
    for last in ["57", "58", "59"] {
        assert!(back.iter().any(|v| v == last), "{last} in {back:?}");
    }
    let detail = queue.show("orders").await.unwrap();
    assert_eq!(detail.summary.records, 0);
    let partition = &detail.partitions[0];
    assert_eq!((partition.start, partition.end), (60, 60));
}

#[tokio::test]
async fn at_the_cap_a_record_stays_and_is_named_until_it_is_edited() {
    let (running, mut connection) = with_queue(1).await;
    let tired = Record {
        headers: vec![header(REDRIVE_COUNT, Some("3"))],
        ..record(None, Some("tired"))
    };
    let fresh = record(None, Some("fresh"));
    let copies = [&tired, &fresh].map(|r| dead(r, 0, "billing", "broken", 1));
    produce(&mut connection, "orders.dlq", 0, Compression::None, &copies).await;
    let task = redrive(&running, Selection::default()).await;
    assert_eq!((task.state, task.moved, task.kept), ("done", 1, 1));
    assert_eq!(task.kept_records[0].offset, 0);
    assert!(task.kept_records[0].why.contains("dlq.redrive.max"));
    assert_eq!(left(&running).await, [(0, 0)]);

    let request = RedriveRequest {
        selection: Selection::one(0, 0),
        edit: Some(Edit {
            value: Some(Blob::Text("mended".into())),
        }),
        ..RedriveRequest::default()
    };
    assert_eq!(redrive_all(&running, request).await.moved, 1);
    let back = read(&mut connection, "orders", 0).await;
    assert_eq!(values(&back), ["fresh", "mended"]);
    assert_eq!(back[1].headers, [header(REDRIVE_COUNT, Some("1"))]);
    assert!(left(&running).await.is_empty());
}

#[tokio::test]
async fn records_that_the_target_cannot_take_stay_and_the_others_go() {
    let (running, mut connection) = with_queue(1).await;
    let noise: String = (0..40_000_u32)
        .map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 16) as u8 % 90))
        .collect();
    let even = "x".repeat(40_000);
    let copies = [&noise, &even, &"small".to_owned()]
        .map(|value| dead(&record(None, Some(value)), 0, "billing", "broken", 1));
    produce(&mut connection, "orders.dlq", 0, Compression::None, &copies).await;
    alter(&mut connection, "orders", "max.message.bytes", "1000").await;
    let task = redrive(&running, Selection::default()).await;
    assert_eq!((task.state, task.moved, task.kept), ("done", 2, 1));
    assert!(task.kept_records[0].why.contains("max.message.bytes"));
    assert_eq!(left(&running).await, [(0, 0)]);
    let back = read(&mut connection, "orders", 0).await;
    assert_eq!(values(&back), [even, "small".to_owned()]);
}

#[tokio::test]
async fn a_purge_deletes_what_is_selected_and_a_dry_run_nothing() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 10).await;
    let queues = running.broker.dead_letters();
    let mut request = PurgeRequest {
        selection: Selection {
            from: Some(0),
            to: Some(4),
            ..Selection::default()
        },
        dry_run: true,
    };
    let Purge::DryRun(told) = queues.purge("orders", request.clone()).await.unwrap() else {
        panic!("a dry run");
    };
    assert_eq!((told.records, told.first.len()), (4, 4));
    assert_eq!(left(&running).await.len(), 10);
    request.dry_run = false;
    let Purge::Done(purged) = queues.purge("orders", request).await.unwrap() else {
        panic!("no dry run");
    };
    assert_eq!(purged.records, 4);
    assert_eq!(left(&running).await.len(), 6);
    assert_eq!(redrive(&running, Selection::default()).await.moved, 6);
    assert_eq!(
        values(&read(&mut connection, "orders", 0).await),
        ["4", "5", "6", "7", "8", "9"]
    );
}
