use kafka_protocol::messages::{ListOffsetsRequest, ProduceRequest};

use crate::parity::batch::{Batch, TIME};
use crate::parity::both::Both;
use crate::parity::words::{list_offsets, produce};

const SPECIAL: [i64; 6] = [-1, -2, -3, -4, -5, -6];

pub async fn special_timestamps(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    for delta in [0, 5_000, 1_000] {
        let batch = Batch::of(&["a", "b", "c"]).with(|b| b.base_timestamp = TIME + delta);
        both.call::<ProduceRequest>("fill", 9, |side| produce(side, 9, &topic, 0, batch.build()))
            .await;
    }
    let times = [
        0,
        TIME,
        TIME + 1,
        TIME + 2,
        TIME + 3,
        TIME + 5_001,
        TIME + 5_003,
        i64::MAX,
        -7,
    ];
    for timestamp in SPECIAL.into_iter().chain(times) {
        let step = match timestamp - TIME {
            ..0 => format!("timestamp {timestamp}"),
            delta => format!("timestamp T+{delta}"),
        };
        both.call_in_each_version::<ListOffsetsRequest>(&step, |_, v| {
            let mut request = list_offsets(&topic, 0, timestamp);
            if v < 4 {
                request.topics[0].partitions[0].current_leader_epoch = -1;
            }
            request
        })
        .await;
    }
    both.call_in_each_version::<ListOffsetsRequest>("read committed", |_, v| {
        list_offsets(&topic, 0, -1).with_isolation_level(i8::from(v >= 2))
    })
    .await;
    Ok(())
}

pub async fn empty_topics(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    for timestamp in SPECIAL.into_iter().chain([0, TIME]) {
        let step = format!("timestamp {timestamp}");
        both.call_in_each_version::<ListOffsetsRequest>(&step, |_, _| {
            list_offsets(&topic, 0, timestamp)
        })
        .await;
    }
    Ok(())
}

pub async fn bad_partitions(both: &mut Both) -> anyhow::Result<()> {
    let topic = both.topic("t", 1, &[]).await?;
    let missing = both.name("missing");
    both.call_in_each_version::<ListOffsetsRequest>("unknown partition", |_, _| {
        list_offsets(&topic, 3, -1)
    })
    .await;
    both.call_in_each_version::<ListOffsetsRequest>("unknown topic", |_, _| {
        list_offsets(&missing, 0, -1)
    })
    .await;
    both.call_in_each_version::<ListOffsetsRequest>("a partition twice", |_, _| {
        let mut request = list_offsets(&topic, 0, -1);
        let again = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(again);
        request
    })
    .await;
    for v in 4..=both.latest::<ListOffsetsRequest>() {
        for epoch in [0, 1] {
            both.call::<ListOffsetsRequest>("current leader epoch", v, |_| {
                let mut request = list_offsets(&topic, 0, -1);
                request.topics[0].partitions[0].current_leader_epoch = epoch;
                request
            })
            .await;
        }
    }
    Ok(())
}
