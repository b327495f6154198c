use kafka_protocol::messages::{
    FetchRequest, InitProducerIdRequest, ProduceRequest, ProducerId, TransactionalId,
};

use crate::parity::batch::Batch;
use crate::parity::both::Both;
use crate::parity::words::{fetch, produce, s};

pub async fn ids(both: &mut Both) -> anyhow::Result<()> {
    let new = InitProducerIdRequest::default()
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    both.call_in_each_version::<InitProducerIdRequest>("a new id", |_, _| new.clone())
        .await;
    both.call_in_each_version::<InitProducerIdRequest>("without a timeout", |_, _| {
        new.clone().with_transaction_timeout_ms(-1)
    })
    .await;
    for version in 3..=both.latest::<InitProducerIdRequest>() {
        both.call::<InitProducerIdRequest>("the next epoch of an id", version, |_| {
            new.clone()
                .with_producer_id(ProducerId(4711))
                .with_producer_epoch(3)
        })
        .await;
        both.call::<InitProducerIdRequest>("an epoch without an id", version, |_| {
            new.clone().with_producer_epoch(3)
        })
        .await;
    }
    both.call_in_each_version::<InitProducerIdRequest>("an empty transactional id", |_, _| {
        new.clone()
            .with_transactional_id(Some(TransactionalId(s(""))))
    })
    .await;
    Ok(())
}

/// Sequences and epochs of idempotent producers. The producer ids are made up: brokers accept an id that they do not know
/// as long as it starts at sequence 0.
pub async fn sequences(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 2, &[]).await?;
    let version = both.latest::<ProduceRequest>();
    let steps = [
        ("first", 0, 0, 0, 3),
        ("duplicate of the first", 0, 0, 0, 3),
        ("next", 0, 0, 3, 2),
        ("next again", 0, 0, 5, 1),
        ("an older duplicate", 0, 0, 3, 2),
        ("a gap", 0, 0, 7, 1),
        ("a part of a duplicate", 0, 0, 0, 2),
        ("an overlap", 0, 0, 4, 3),
        ("a new epoch, not from 0", 0, 1, 6, 1),
        ("a new epoch from 0", 0, 1, 0, 1),
        ("an old epoch", 0, 0, 6, 1),
        ("another partition, not from 0", 1, 1, 9, 1),
        ("another partition again", 1, 1, 10, 1),
        ("another partition, a gap", 1, 1, 12, 1),
        ("window 1", 0, 1, 1, 1),
        ("window 2", 0, 1, 2, 1),
        ("window 3", 0, 1, 3, 1),
        ("window 4", 0, 1, 4, 1),
        ("window 5", 0, 1, 5, 1),
        ("window 6", 0, 1, 6, 1),
        ("a duplicate inside the window of five", 0, 1, 2, 1),
        ("a duplicate that has left the window", 0, 1, 1, 1),
        ("a negative epoch", 0, -1, 7, 1),
    ];
    for (step, partition, epoch, sequence, count) in steps {
        let values = ["v"; 3];
        let batch = Batch::of(&values[..count]).with(|b| {
            b.producer_id = 123_456;
            b.producer_epoch = epoch;
            b.base_sequence = sequence;
        });
        both.call::<ProduceRequest>(step, version, |side| {
            produce(side, version, &topic, partition, batch.build())
        })
        .await;
    }
    // Sequences wrap to 0 after the largest i32; the first batch of an unknown id may stand anywhere.
    for (step, sequence, count) in [
        ("before the wrap", i32::MAX - 1, 2),
        ("after the wrap", 0, 1),
        ("over the wrap", i32::MAX, 3),
    ] {
        let batch = Batch::of(&["v"; 3][..count]).with(|b| {
            b.producer_id = 123_457;
            b.producer_epoch = 0;
            b.base_sequence = sequence;
        });
        both.call::<ProduceRequest>(step, version, |side| {
            produce(side, version, &topic, 0, batch.build())
        })
        .await;
    }
    let two = |gap: i32| {
        let at = |sequence: i32| {
            Batch::of(&["v"])
                .with(|b| {
                    b.producer_id = 123_458;
                    b.producer_epoch = 0;
                    b.base_sequence = sequence;
                })
                .build()
        };
        [at(0), at(gap)].concat()
    };
    both.call::<ProduceRequest>("two batches of a producer", version, |side| {
        produce(side, version, &topic, 0, two(1).into())
    })
    .await;
    both.call::<FetchRequest>("read back", 12, |side| {
        fetch(side, 12, &topic, &[(0, 0), (1, 0)])
    })
    .await;
    Ok(())
}
