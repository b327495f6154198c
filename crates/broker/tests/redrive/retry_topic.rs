//! A redrive for one group alone, through its retry topic.

use ottla_broker::dead_letters::views::RedriveRequest;
use ottla_dlq::headers::origin;

use crate::fixture::*;

#[tokio::test]
async fn a_redrive_for_one_group_goes_to_its_retry_topic_and_still_says_where_it_came_from() {
    let (running, mut connection) = with_queue(2).await;
    fill(&mut connection, 3).await;
    let request = RedriveRequest {
        for_group: Some("team/billing".into()),
        ..RedriveRequest::default()
    };
    let task = redrive_all(&running, request).await;
    assert_eq!((task.state, task.moved), ("done", 3));
    assert!(
        task.target.starts_with("orders.team-billing-"),
        "{}",
        task.target
    );
    assert!(task.target.ends_with(".retry"));
    assert!(task.notes[0].contains(&task.target));
    assert!(read(&mut connection, "orders", 0).await.is_empty());
    let there = read(&mut connection, &task.target, 0).await;
    assert_eq!(values(&there), ["0", "1", "2"]);
    let said = origin(&there[2].headers);
    assert_eq!(
        (said.topic.as_deref(), said.offset),
        (Some("orders"), Some(2))
    );
    assert_eq!((said.redrives, said.retry_at_ms), (1, None));
    assert!(left(&running).await.is_empty());
}
