//! A redrive's life: refused, paused, cancelled, failed.

use std::time::Duration;

use ottla_broker::dead_letters::views::{PurgeRequest, RedriveRequest, TaskView};
use ottla_broker::dead_letters::{Blob, Edit, Kind, Selection};

use crate::fixture::*;
use crate::support::Running;
use crate::support::http::ask;

fn slow() -> RedriveRequest {
    RedriveRequest {
        rate: Some(5),
        ..RedriveRequest::default()
    }
}

/// Waits until the redrive has moved something.
async fn some_moved(running: &Running, id: u64) -> TaskView {
    let queues = running.broker.dead_letters();
    tokio::time::timeout(WAIT, async {
        loop {
            let task = queues.redrive_status(id, Duration::from_millis(20)).await;
            let task = task.unwrap();
            if task.moved > 0 {
                return task;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_redrive_is_paused_resumed_and_cancelled_and_nobody_else_gets_in_between() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 50).await;
    let queues = running.broker.dead_letters();
    let task = begin(&running, slow()).await.unwrap();
    some_moved(&running, task.id).await;
    let second = begin(&running, slow()).await.unwrap_err();
    assert_eq!((second.kind, second.code), (Kind::Conflict, "busy"));

    let paused = queues.pause(task.id).await.unwrap();
    assert_eq!(paused.state, "paused");
    assert!(paused.moved < 50);
    assert_eq!(
        read(&mut connection, "orders", 0).await.len() as u64,
        paused.moved
    );
    let purge = queues.purge("orders", PurgeRequest::default()).await;
    assert_eq!(purge.unwrap_err().kind, Kind::Conflict);
    assert_eq!(queues.show("orders").await.unwrap().redrives.len(), 1);

    queues.resume(task.id).await.unwrap();
    queues.pause(task.id).await.unwrap();
    queues.resume(task.id).await.unwrap();
    let cancelled = queues.cancel(task.id).await.unwrap();
    assert_eq!(cancelled.state, "cancelled");
    assert!(cancelled.ended.is_some());
    let back = read(&mut connection, "orders", 0).await;
    assert_eq!(back.len() as u64, cancelled.moved);
    assert_eq!(left(&running).await.len() as u64, 50 - cancelled.moved);
    assert_eq!(
        queues.resume(task.id).await.unwrap_err().kind,
        Kind::Conflict
    );

    let rest = redrive(&running, Selection::default()).await;
    assert_eq!(rest.moved, 50 - cancelled.moved);
    let back = values(&read(&mut connection, "orders", 0).await);
    assert_eq!(back, (0..50).map(|i| i.to_string()).collect::<Vec<_>>());
    let known: Vec<u64> = queues.redrives().iter().map(|t| t.id).collect();
    assert_eq!(known, [rest.id, task.id]);
}

#[tokio::test]
async fn a_rate_is_kept() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 20).await;
    let begun = std::time::Instant::now();
    let request = RedriveRequest {
        rate: Some(20),
        ..RedriveRequest::default()
    };
    let task = redrive_all(&running, request).await;
    assert_eq!(task.moved, 20);
    // Two at once, every 100 ms.
    assert!(begun.elapsed() >= Duration::from_millis(850));
}

#[tokio::test]
async fn when_the_target_or_the_queue_is_deleted_the_redrive_fails_and_says_so() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 10).await;
    let queues = running.broker.dead_letters();
    let task = begin(&running, slow()).await.unwrap();
    queues.pause(task.id).await.unwrap();
    let before = left(&running).await;
    delete(&mut connection, "orders").await;
    // One of the same name is another topic.
    make(&mut connection, "orders", 1).await;
    queues.resume(task.id).await.unwrap();
    let failed = queues.redrive_status(task.id, WAIT).await.unwrap();
    assert_eq!(failed.state, "failed");
    assert!(failed.error.unwrap().contains("orders was deleted"));
    assert_eq!(left(&running).await, before);
    assert!(read(&mut connection, "orders", 0).await.is_empty());

    let task = begin(&running, slow()).await.unwrap();
    queues.pause(task.id).await.unwrap();
    delete(&mut connection, "orders.dlq").await;
    queues.resume(task.id).await.unwrap();
    let failed = queues.redrive_status(task.id, WAIT).await.unwrap();
    assert_eq!(failed.state, "failed");
    assert!(failed.error.unwrap().contains("orders.dlq was deleted"));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_nothing_is_moved() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 2).await;
    make(&mut connection, "other", 1).await;
    make(&mut connection, "other.dlq", 1).await;
    let all = RedriveRequest::default;
    let target = |name: &str| RedriveRequest {
        target: Some(name.to_owned()),
        ..all()
    };
    let edit = |value: Blob| Some(Edit { value: Some(value) });
    let cases = [
        (target("orders.dlq"), "into_itself"),
        (target("other.dlq"), "target_is_a_queue"),
        (target("nothing"), "unknown_target"),
        (
            RedriveRequest {
                for_group: Some("g".into()),
                ..target("other")
            },
            "two_targets",
        ),
        (
            RedriveRequest {
                rate: Some(0),
                ..all()
            },
            "bad_rate",
        ),
        (
            RedriveRequest {
                edit: edit(Blob::Text("x".into())),
                ..all()
            },
            "edit_of_many",
        ),
        (
            RedriveRequest {
                selection: Selection::one(0, 0),
                edit: edit(Blob::Base64("?".into())),
                ..all()
            },
            "bad_edit",
        ),
        (
            RedriveRequest {
                selection: Selection::one(0, 9),
                ..all()
            },
            "no_such_record",
        ),
        (
            RedriveRequest {
                selection: Selection::one(-1, 0),
                ..all()
            },
            "bad_selection",
        ),
    ];
    for (request, code) in cases {
        let refused = begin(&running, request.clone()).await.unwrap_err();
        assert_eq!(refused.code, code, "{request:?}: {refused}");
    }
    assert_eq!(left(&running).await.len(), 2);
    assert!(running.broker.dead_letters().redrives().is_empty());
    let unknown = running.broker.dead_letters().pause(7).await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound);
}

#[tokio::test]
async fn the_dead_letters_of_a_deleted_topic_can_still_go_elsewhere() {
    let (running, mut connection) = with_queue(3).await;
    for partition in 0..3 {
        let value = partition.to_string();
        let copy = dead(&record(None, Some(&value)), 0, "billing", "broken", 1);
        let codec = ottla_codec::compression::Compression::None;
        produce(&mut connection, "orders.dlq", partition, codec, &[copy]).await;
    }
    delete(&mut connection, "orders").await;
    let queues = running.broker.dead_letters();
    let list = queues.list().await.unwrap();
    assert_eq!((list[0].source_exists, list[0].records), (false, 3));
    let refused = begin(&running, RedriveRequest::default()).await;
    assert_eq!(refused.unwrap_err().code, "source_deleted");

    // Fewer partitions: the remainder.
    make(&mut connection, "rescue", 2).await;
    let request = RedriveRequest {
        target: Some("rescue".into()),
        ..RedriveRequest::default()
    };
    assert_eq!(redrive_all(&running, request).await.moved, 3);
    assert_eq!(
        values(&read(&mut connection, "rescue", 0).await),
        ["0", "2"]
    );
    assert_eq!(values(&read(&mut connection, "rescue", 1).await), ["1"]);
}

#[tokio::test]
async fn a_reset_ends_a_redrive_that_runs_and_nothing_of_it_comes_back() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 50).await;
    let queues = running.broker.dead_letters();
    let task = begin(&running, slow()).await.unwrap();
    some_moved(&running, task.id).await;
    let reset = ask(&running.address(), "POST", "/v1/reset", &[], "").await;
    assert_eq!(reset.status, 200, "{}", reset.body);
    assert_eq!(queues.redrives().len(), 0);
    assert_eq!(queues.list().await.unwrap().len(), 0);
    let gone = queues.redrive_status(task.id, Duration::ZERO).await;
    assert_eq!(gone.unwrap_err().kind, Kind::NotFound);
    let running = running.restart(&[]).await;
    let queues = running.broker.dead_letters();
    assert_eq!(queues.redrives().len(), 0);
    assert_eq!(queues.list().await.unwrap().len(), 0);
}
