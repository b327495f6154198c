//! Each selection takes what it says, in redrives, purges and listings alike.

use ottla_broker::dead_letters::Selection;
use ottla_broker::dead_letters::views::{Redrive, RedriveRequest};
use ottla_codec::compression::Compression;

use crate::fixture::*;

/// Two partitions of four: groups a and b, two reasons, keys, times 100, 200, ...
async fn fill_mixed(connection: &mut ottla_client::Connection) {
    for partition in 0..2 {
        let records: Vec<_> = (0..4)
            .map(|i| {
                let group = ["a", "b"][i % 2];
                let reason = ["Time-out of the bank", "no such customer"][i / 2];
                let key = format!("k{i}");
                let value = format!("{partition}:{i}");
                let original = record(Some(&key), Some(&value));
                dead(&original, i as i64, group, reason, 100 * (i as i64 + 1))
            })
            .collect();
        produce(
            connection,
            "orders.dlq",
            partition,
            Compression::Lz4,
            &records,
        )
        .await;
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test]
async fn each_selection_moves_its_records_and_no_others_and_the_rest_can_go_later() {
    let all = Selection::default;
    let cases: Vec<(Selection, &[&str])> = vec![
        (
            all(),
            &["0:0", "0:1", "0:2", "0:3", "1:0", "1:1", "1:2", "1:3"],
        ),
        (
            Selection {
                partition: Some(1),
                ..all()
            },
            &["1:0", "1:1", "1:2", "1:3"],
        ),
        (Selection::one(1, 2), &["1:2"]),
        (
            Selection {
                from: Some(1),
                to: Some(3),
                ..all()
            },
            &["0:1", "0:2", "1:1", "1:2"],
        ),
        (
            Selection {
                since: Some(300),
                ..all()
            },
            &["0:2", "0:3", "1:2", "1:3"],
        ),
        (
            Selection {
                until: Some(200),
                ..all()
            },
            &["0:0", "1:0"],
        ),
        (
            Selection {
                group: text("b"),
                ..all()
            },
            &["0:1", "0:3", "1:1", "1:3"],
        ),
        (
            Selection {
                reason: text("TIME-OUT"),
                ..all()
            },
            &["0:0", "0:1", "1:0", "1:1"],
        ),
        (
            Selection {
                key: text("k3"),
                ..all()
            },
            &["0:3", "1:3"],
        ),
        (
            Selection {
                group: text("a"),
                reason: text("customer"),
                partition: Some(0),
                ..all()
            },
            &["0:2"],
        ),
        (
            Selection {
                group: text("nobody"),
                ..all()
            },
            &[],
        ),
    ];
    for (selection, expected) in cases {
        let (running, mut connection) = with_queue(2).await;
        fill_mixed(&mut connection).await;
        let queues = running.broker.dead_letters();
        let page = queues
            .records("orders", selection.clone(), 100, None)
            .await
            .unwrap();
        assert_eq!(page.records.len(), expected.len(), "{selection:?}");
        let dry = RedriveRequest {
            selection: selection.clone(),
            dry_run: true,
            ..RedriveRequest::default()
        };
        let Redrive::DryRun(told) = queues.redrive("orders", dry).await.unwrap() else {
            panic!("a dry run");
        };
        assert_eq!(told.records, expected.len() as u64, "{selection:?}");
        assert_eq!(told.first.len(), expected.len());
        assert!(read(&mut connection, "orders", 0).await.is_empty());

        let task = redrive(&running, selection.clone()).await;
        assert_eq!(task.state, "done", "{task:?}");
        assert_eq!(task.moved, expected.len() as u64, "{selection:?}");
        let mut back = Vec::new();
        for partition in 0..2 {
            back.extend(values(&read(&mut connection, "orders", partition).await));
        }
        assert_eq!(back, expected, "{selection:?}");
        assert_eq!(left(&running).await.len(), 8 - expected.len());

        // What has moved is not moved again.
        let rest = redrive(&running, all()).await;
        assert_eq!(rest.moved, 8 - expected.len() as u64, "{selection:?}");
        let mut back = Vec::new();
        for partition in 0..2 {
            back.extend(values(&read(&mut connection, "orders", partition).await));
        }
        back.sort();
        assert_eq!(
            back,
            ["0:0", "0:1", "0:2", "0:3", "1:0", "1:1", "1:2", "1:3"]
        );
    }
}

#[tokio::test]
async fn a_queue_is_shown_by_partition_group_and_reason_and_its_records_page_by_page() {
    let (running, mut connection) = with_queue(2).await;
    fill_mixed(&mut connection).await;
    let queues = running.broker.dead_letters();
    let list = queues.list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(
        (&*list[0].source, &*list[0].queue),
        ("orders", "orders.dlq")
    );
    assert_eq!(list[0].records, 8);
    assert_eq!((list[0].oldest, list[0].newest), (Some(100), Some(400)));
    assert_eq!((list[0].groups["a"], list[0].groups["b"]), (4, 4));

    let detail = queues.show("orders").await.unwrap();
    assert_eq!(detail.partitions.len(), 2);
    assert_eq!(detail.partitions[1].records, 4);
    assert_eq!(detail.reasons.len(), 2);
    assert_eq!(detail.reasons[0].records, 4);

    let page = queues
        .records("orders", Selection::default(), 3, None)
        .await
        .unwrap();
    let shown = &page.records[0];
    assert_eq!(shown.source.as_ref().unwrap().topic, "orders");
    assert_eq!(
        (shown.group.as_deref(), shown.attempts),
        (Some("a"), Some(5))
    );
    assert_eq!(shown.reason.as_deref(), Some("Time-out of the bank"));
    assert!(shown.headers.is_empty(), "its own headers alone");
    assert_eq!(left(&running).await.len(), 8);

    for (source, code) in [("orders.dlq", "is_a_queue"), ("nothing", "unknown_topic")] {
        assert_eq!(queues.show(source).await.unwrap_err().code, code);
    }
    make(&mut connection, "healthy", 1).await;
    assert_eq!(queues.show("healthy").await.unwrap_err().code, "no_queue");
    let bad = queues.records("orders", Selection::default(), 3, Some("x".into()));
    assert_eq!(bad.await.unwrap_err().code, "bad_cursor");
}
