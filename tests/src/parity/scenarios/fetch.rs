use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{FetchRequest, ProduceRequest};

use crate::parity::batch::Batch;
use crate::parity::both::Both;
use crate::parity::words::{fetch, produce, topic_name};

/// A topic of two partitions, `batches` batches of three records in the first.
async fn filled(both: &mut Both, batches: usize) -> anyhow::Result<String> {
    let topic = both.topic("t", 2, &[]).await?;
    for _ in 0..batches {
        both.call::<ProduceRequest>("fill", 9, |side| {
            produce(side, 9, &topic, 0, Batch::of(&["a", "b", "c"]).build())
        })
        .await;
    }
    Ok(topic)
}

pub async fn each_version(both: &mut Both) -> anyhow::Result<()> {
    let topic = filled(both, 2).await?;
    for (step, from) in [
        ("from the start", &[(0, 0)][..]),
        ("inside a batch", &[(0, 4)]),
        ("at the end", &[(0, 6)]),
        ("two partitions", &[(0, 3), (1, 0)]),
    ] {
        both.call_in_each_version::<FetchRequest>(step, |side, v| fetch(side, v, &topic, from))
            .await;
    }
    both.call_in_each_version::<FetchRequest>("read committed", |side, v| {
        fetch(side, v, &topic, &[(0, 0)]).with_isolation_level(1)
    })
    .await;
    Ok(())
}

pub async fn offsets_and_limits(both: &mut Both) -> anyhow::Result<()> {
    let topic = filled(both, 3).await?;
    let v = both.latest::<FetchRequest>();
    for offset in [-1, -2, 10, i64::MAX] {
        both.call_in_each_version::<FetchRequest>("an offset out of range", |side, v| {
            fetch(side, v, &topic, &[(0, offset)])
        })
        .await;
    }
    // A batch of three such records is 97 bytes.
    for limit in [0, 1, 96, 97, 98, 193, 194, 195, 1000] {
        both.call::<FetchRequest>("limit of the partition", v, |side| {
            let mut request = fetch(side, v, &topic, &[(0, 0)]);
            request.topics[0].partitions[0].partition_max_bytes = limit;
            request
        })
        .await;
        both.call::<FetchRequest>("limit of the answer", v, |side| {
            fetch(side, v, &topic, &[(0, 0)]).with_max_bytes(limit)
        })
        .await;
    }
    both.call::<FetchRequest>("limit met by the first of two partitions", v, |side| {
        fetch(side, v, &topic, &[(0, 0), (1, 0)]).with_max_bytes(100)
    })
    .await;
    Ok(())
}

pub async fn bad_partitions(both: &mut Both) -> anyhow::Result<()> {
    let topic = filled(both, 1).await?;
    let missing = both.name("missing");
    both.call_in_each_version::<FetchRequest>("unknown partition", |side, v| {
        fetch(side, v, &topic, &[(0, 0), (7, 0), (-1, 0)])
    })
    .await;
    both.call_in_each_version::<FetchRequest>("unknown topic", |side, v| {
        fetch(side, v, &missing, &[(0, 0)])
    })
    .await;
    for v in 13..=both.latest::<FetchRequest>() {
        both.call::<FetchRequest>("unknown topic id beside a known one", v, |side| {
            let mut request = fetch(side, v, &topic, &[(0, 0)]);
            let mut unknown = request.topics[0].clone();
            unknown.topic_id = uuid::Uuid::from_u128(99);
            request.topics.push(unknown);
            request
        })
        .await;
    }
    for v in 9..=both.latest::<FetchRequest>() {
        for epoch in [0, 1, 100] {
            both.call::<FetchRequest>("current leader epoch", v, |side| {
                let mut request = fetch(side, v, &topic, &[(0, 0)]);
                request.topics[0].partitions[0].current_leader_epoch = epoch;
                request
            })
            .await;
        }
    }
    for v in 12..=both.latest::<FetchRequest>() {
        for epoch in [0, 1] {
            both.call::<FetchRequest>("last fetched epoch", v, |side| {
                let mut request = fetch(side, v, &topic, &[(0, 2)]);
                request.topics[0].partitions[0].last_fetched_epoch = epoch;
                request
            })
            .await;
        }
    }
    Ok(())
}

pub async fn sessions(both: &mut Both) -> anyhow::Result<()> {
    let topic = filled(both, 1).await?;
    for v in 7..=both.latest::<FetchRequest>() {
        let opened = both
            .call::<FetchRequest>("open", v, |side| {
                fetch(side, v, &topic, &[(0, 0), (1, 0)]).with_session_epoch(0)
            })
            .await;
        both.keep(&opened, |side, answer| {
            side.keep("session", answer.session_id);
        });
        let next = |side: &crate::parity::both::Side, epoch: i32, from: &[(i32, i64)]| {
            let mut request = fetch(side, v, &topic, from)
                .with_session_id(side.number("session"))
                .with_session_epoch(epoch);
            if from.is_empty() {
                request.topics.clear();
            }
            request
        };
        both.call::<FetchRequest>("nothing changed", v, |side| next(side, 1, &[]))
            .await;
        both.call::<FetchRequest>("read on", v, |side| next(side, 2, &[(0, 3)]))
            .await;
        both.call::<ProduceRequest>("new data for the other partition", 9, |side| {
            produce(side, 9, &topic, 1, Batch::of(&["x"]).build())
        })
        .await;
        both.call::<FetchRequest>("only what is new", v, |side| next(side, 3, &[]))
            .await;
        both.call::<FetchRequest>("an error stays", v, |side| next(side, 4, &[(1, 1_000_000)]))
            .await;
        both.call::<FetchRequest>("an error again", v, |side| next(side, 5, &[]))
            .await;
        both.call::<FetchRequest>("forget a partition", v, |side| {
            let forgotten = match v {
                ..13 => ForgottenTopic::default().with_topic(topic_name(&topic)),
                _ => ForgottenTopic::default().with_topic_id(side.topic_id(&topic)),
            };
            next(side, 6, &[]).with_forgotten_topics_data(vec![forgotten.with_partitions(vec![1])])
        })
        .await;
        both.call::<FetchRequest>("an epoch too far", v, |side| next(side, 9, &[]))
            .await;
        both.call::<FetchRequest>("an epoch of the past", v, |side| next(side, 1, &[]))
            .await;
        both.call::<FetchRequest>("an unknown session", v, |side| {
            next(side, 1, &[]).with_session_id(1_234_567)
        })
        .await;
        both.call::<FetchRequest>("close", v, |side| next(side, -1, &[]))
            .await;
        both.call::<FetchRequest>("after closing", v, |side| next(side, 7, &[]))
            .await;
        both.call::<FetchRequest>("no session and no topics", v, |_| {
            FetchRequest::default()
                .with_replica_id((-1).into())
                .with_session_epoch(-1)
                .with_max_bytes(1000)
        })
        .await;
    }
    Ok(())
}

pub async fn waiting(both: &mut Both) -> anyhow::Result<()> {
    let topic = filled(both, 1).await?;
    let v = both.latest::<FetchRequest>();
    let waiting = |side: &crate::parity::both::Side, offset: i64, wait: i32, min: i32| {
        fetch(side, v, &topic, &[(0, offset)])
            .with_max_wait_ms(wait)
            .with_min_bytes(min)
    };
    both.call::<FetchRequest>("too little for a while", v, |side| {
        waiting(side, 0, 300, 10_000)
    })
    .await;
    both.call::<FetchRequest>("enough at once", v, |side| waiting(side, 0, 15_000, 10))
        .await;
    both.send::<FetchRequest>(1, v, |side| waiting(side, 3, 15_000, 1))
        .await;
    both.call::<ProduceRequest>("data for one that waits", 9, |side| {
        produce(side, 9, &topic, 0, Batch::of(&["x"]).build())
    })
    .await;
    both.receive::<FetchRequest>(1, "woken by data", v).await;
    both.call::<FetchRequest>("an error does not wait", v, |side| {
        waiting(side, 1_000, 15_000, 1)
    })
    .await;
    Ok(())
}
