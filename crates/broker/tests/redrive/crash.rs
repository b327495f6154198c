//! A redrive goes on after a crash where its last commit left it.

use std::time::Duration;

use ottla_broker::dead_letters::views::RedriveRequest;

use crate::fixture::*;

#[tokio::test]
async fn a_crash_in_the_middle_leaves_no_gap_and_repeats_nothing() {
    let (mut running, mut connection) = with_queue(1).await;
    fill(&mut connection, 60).await;
    let request = RedriveRequest {
        rate: Some(40),
        ..RedriveRequest::default()
    };
    let task = begin(&running, request).await.unwrap();
    let mut before = 0;
    for _ in 0..4 {
        // A little of it, then the end at a moment of its choice.
        let moved = tokio::time::timeout(WAIT, async {
            loop {
                let queues = running.broker.dead_letters();
                let step = Duration::from_millis(20);
                let now = queues.redrive_status(task.id, step).await.unwrap();
                if now.moved > before || now.state == "done" {
                    return now.moved;
                }
            }
        })
        .await
        .unwrap();
        running = running.crash(&[]).await;
        let after = running.broker.dead_letters();
        let found = after.redrive_status(task.id, Duration::ZERO).await;
        assert!(found.unwrap().moved >= moved, "what was told is kept");
        before = moved;
    }
    let queues = running.broker.dead_letters();
    let done = queues.redrive_status(task.id, WAIT).await.unwrap();
    assert_eq!((done.state, done.moved), ("done", 60));
    let mut connection = running.connect().await;
    let back = values(&read(&mut connection, "orders", 0).await);
    assert_eq!(back, (0..60).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(left(&running).await.is_empty());
}

#[tokio::test]
async fn a_paused_redrive_is_still_paused_after_a_restart_and_ids_are_not_used_again() {
    let (running, mut connection) = with_queue(1).await;
    fill(&mut connection, 20).await;
    let request = RedriveRequest {
        rate: Some(1),
        ..RedriveRequest::default()
    };
    let task = begin(&running, request.clone()).await.unwrap();
    let paused = running.broker.dead_letters().pause(task.id).await.unwrap();
    let running = running.crash(&[]).await;
    let queues = running.broker.dead_letters();
    let found = queues
        .redrive_status(task.id, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!((found.state, found.moved), ("paused", paused.moved));
    queues.cancel(task.id).await.unwrap();
    let next = begin(&running, request).await.unwrap();
    assert!(next.id > task.id);
    assert_eq!(next.state, "running");
}
