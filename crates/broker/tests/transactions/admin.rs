//! What an admin is told of transactions and producers, and how he ends one that hangs.

use ottla_codec::ResponseError;
use ottla_codec::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_codec::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, FindCoordinatorRequest,
    ListTransactionsRequest, ProducerId, WriteTxnMarkersRequest,
};

use crate::producer::{Producer, V1, V2, code, transactional};
use crate::reader::see;
use crate::support::member::text;
use crate::support::*;

#[tokio::test]
async fn transactions_and_producers_are_listed_and_described() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let find = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![text("x")]);
    let answer = admin.call(4, &find).await.unwrap();
    assert_eq!(answer.coordinators[0].error_code, 0);
    let mut producer = Producer::init(&running, "x", V2, 50_000).await;
    Producer::init(&running, "idle", V2, 60_000).await;
    assert_eq!(producer.send("t", 0, "a").await, 0);

    let describe = |id: &str| {
        DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional(id)])
    };
    let answer = admin.call(0, &describe("x")).await.unwrap();
    let state = &answer.transaction_states[0];
    assert_eq!(
        (state.error_code, &*state.transaction_state),
        (0, "Ongoing")
    );
    assert_eq!(
        (state.producer_id.0, state.producer_epoch),
        (producer.producer_id, 0)
    );
    assert_eq!(state.transaction_timeout_ms, 50_000);
    assert!(state.transaction_start_time_ms > 0);
    assert_eq!(
        (&*state.topics[0].topic.0, &state.topics[0].partitions[..]),
        ("t", &[0][..])
    );
    let answer = admin.call(0, &describe("nobody")).await.unwrap();
    let not_found = code(ResponseError::TransactionalIdNotFound);
    assert_eq!(answer.transaction_states[0].error_code, not_found);

    let list = ListTransactionsRequest::default()
        .with_state_filters(vec![text("Ongoing"), text("Nonsense")])
        .with_duration_filter(-1);
    let answer = admin.call(1, &list).await.unwrap();
    assert_eq!(answer.unknown_state_filters, [text("Nonsense")]);
    let listed: Vec<_> = answer
        .transaction_states
        .iter()
        .map(|s| &*s.transactional_id.0)
        .collect();
    assert_eq!(listed, ["x"]);
    let all = ListTransactionsRequest::default().with_duration_filter(-1);
    assert_eq!(
        admin.call(1, &all).await.unwrap().transaction_states.len(),
        2
    );

    let producers = DescribeProducersRequest::default().with_topics(vec![
        ottla_codec::messages::describe_producers_request::TopicRequest::default()
            .with_name(name("t"))
            .with_partition_indexes(vec![0, 7]),
    ]);
    let answer = admin.call(0, &producers).await.unwrap();
    let [there, missing] = &answer.topics[0].partitions[..] else {
        panic!("two partitions were asked for")
    };
    assert_eq!(
        missing.error_code,
        code(ResponseError::UnknownTopicOrPartition)
    );
    let active = &there.active_producers[0];
    assert_eq!(
        (active.producer_id.0, active.last_sequence),
        (producer.producer_id, 0)
    );
    assert_eq!(active.current_txn_start_offset, 0);
}

#[tokio::test]
async fn a_hanging_transaction_can_be_cut_off_in_a_partition() {
    let running = start(&[]).await;
    let mut admin = running.connect().await;
    create(&mut admin, "t").await;
    let mut producer = Producer::init(&running, "x", V1, 60_000).await;
    producer.init_again(60_000).await;
    assert_eq!(producer.send("t", 0, "hangs").await, 0);
    let abort = |epoch| {
        WriteTxnMarkersRequest::default().with_markers(vec![
            WritableTxnMarker::default()
                .with_producer_id(ProducerId(producer.producer_id))
                .with_producer_epoch(epoch)
                .with_topics(vec![
                    WritableTxnMarkerTopic::default()
                        .with_name(name("t"))
                        .with_partition_indexes(vec![0, 1]),
                ]),
        ])
    };
    let codes = |answer: &ottla_codec::messages::WriteTxnMarkersResponse| {
        let partitions = &answer.markers[0].topics[0].partitions;
        partitions.iter().map(|p| p.error_code).collect::<Vec<_>>()
    };
    let stale = code(ResponseError::InvalidProducerEpoch);
    let unknown = code(ResponseError::UnknownTopicOrPartition);
    let answer = admin.call(1, &abort(producer.epoch - 1)).await.unwrap();
    assert_eq!(codes(&answer), [stale, unknown]);
    assert_eq!(see(&mut admin, "t", true).await.last_stable, 0);
    let answer = admin.call(1, &abort(producer.epoch)).await.unwrap();
    assert_eq!(codes(&answer), [0, unknown]);
    let seen = see(&mut admin, "t", true).await;
    assert_eq!(
        (seen.last_stable, seen.aborted),
        (2, vec![(producer.producer_id, 0)])
    );
}
