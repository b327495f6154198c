//! The rdkafka crate: librdkafka from Rust. The crash loop (tests/crash.rs) uses it too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, unique};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

/// 2024-01-01T00:00:00Z.
const T0: i64 = 1_704_067_200_000;
const TIMEOUT: Duration = Duration::from_secs(60);

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap())
        .set("reconnect.backoff.max.ms", "200");
    config
}

fn producer(broker: &Broker, codec: &str) -> FutureProducer {
    config(broker)
        .set("enable.idempotence", "true")
        .set("compression.codec", codec)
        .set("linger.ms", "5")
        .create()
        .expect("the client's settings are right")
}

fn consumer(broker: &Broker, group: &str) -> BaseConsumer {
    config(broker)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "300")
        .create()
        .expect("the client's settings are right")
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    config(broker)
        .create()
        .expect("the client's settings are right")
}

async fn create(broker: &Broker, partitions: i32) -> String {
    let topic = unique("t");
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    admin(broker)
        .create_topics([&new], &AdminOptions::new())
        .await
        .expect("the broker answers")
        .remove(0)
        .expect("the topic is created");
    topic
}

/// Sends `count` numbered messages, spread over the partitions in turn, message i at T0 + i.
async fn fill(broker: &Broker, topic: &str, count: i64, partitions: i64) {
    let producer = producer(broker, "none");
    let texts: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    let sent: Vec<_> = (0..count)
        .zip(&texts)
        .map(|(i, text)| {
            let record = FutureRecord::to(topic)
                .key(text)
                .payload(text)
                .partition((i % partitions) as i32)
                .timestamp(T0 + i);
            producer.send_result(record).expect("the queue has room")
        })
        .collect();
    for delivery in sent {
        delivery
            .await
            .expect("the producer lives")
            .expect("the message is acknowledged");
    }
}

fn read(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let deadline = Instant::now() + TIMEOUT;
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(
            Instant::now() < deadline,
            "{} of {count} messages",
            messages.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.expect("the broker serves the log").detach());
        }
    }
    messages
}

fn number(message: &OwnedMessage) -> i64 {
    let text = message.payload().expect("a value");
    std::str::from_utf8(text)
        .expect("text")
        .parse()
        .expect("a number")
}

fn assign(consumer: &BaseConsumer, topic: &str, partition: i32, offset: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)
        .expect("a fair offset");
    consumer.assign(&list).expect("a fair assignment");
}

#[tokio::test]
async fn rdkafka_reads_back_what_it_produced_with_every_codec() {
    let broker = Broker::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = create(&broker, 1).await;
        let producer = producer(&broker, codec);
        let values: Vec<Vec<u8>> = (0..300usize).map(|i| vec![i as u8; i * 7 % 900]).collect();
        let mut sent = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let mut record = FutureRecord::<str, [u8]>::to(&topic).timestamp(T0 + i as i64);
            if i % 5 != 0 {
                record = record.key("a key");
            }
            if i % 7 != 0 {
                record = record.payload(value);
            }
            if i % 3 == 0 {
                let header = |key, value| Header { key, value };
                record = record.headers(
                    OwnedHeaders::new()
                        .insert(header("a", Some("1")))
                        .insert(header("a", Some("2")))
                        .insert(header("null", None::<&str>)),
                );
            }
            sent.push(producer.send_result(record).expect("the queue has room"));
        }
        for (i, delivery) in sent.into_iter().enumerate() {
            let delivered = delivery
                .await
                .expect("the producer lives")
                .expect("acknowledged");
            assert_eq!((delivered.partition, delivered.offset), (0, i as i64));
        }
        let consumer = consumer(&broker, &unique("g"));
        assign(&consumer, &topic, 0, Offset::Beginning);
        for (i, message) in read(&consumer, 300).iter().enumerate() {
            assert_eq!(message.offset(), i as i64, "{codec}");
            assert_eq!(
                message.timestamp().to_millis(),
                Some(T0 + i as i64),
                "{codec} {i}"
            );
            assert_eq!(
                message.key(),
                (i % 5 != 0).then_some(&b"a key"[..]),
                "{codec} {i}"
            );
            assert_eq!(
                message.payload(),
                (i % 7 != 0).then_some(&values[i][..]),
                "{codec} {i}"
            );
            let headers: Vec<(String, Option<Vec<u8>>)> = message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter())
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect();
            let expected = [("a", Some("1")), ("a", Some("2")), ("null", None)]
                .map(|(key, value)| (key.to_owned(), value.map(|v| v.as_bytes().to_vec())));
            assert_eq!(
                headers,
                if i % 3 == 0 { &expected[..] } else { &[] },
                "{codec} {i}"
            );
        }
    }
}

#[tokio::test]
async fn rdkafka_seeks_by_offset_and_by_time() {
    let broker = Broker::start();
    let topic = create(&broker, 2).await;
    fill(&broker, &topic, 200, 2).await;
    let consumer = consumer(&broker, &unique("g"));
    assign(&consumer, &topic, 0, Offset::Offset(90));
    assert_eq!(read(&consumer, 10)[0].offset(), 90);
    assign(&consumer, &topic, 0, Offset::OffsetTail(3));
    assert_eq!(read(&consumer, 3)[0].offset(), 97);
    let mut asked = TopicPartitionList::new();
    for partition in 0..2 {
        asked
            .add_partition_offset(&topic, partition, Offset::Offset(T0 + 51))
            .expect("a fair offset");
    }
    let found = consumer
        .offsets_for_times(asked, TIMEOUT)
        .expect("answered");
    let found: Vec<Offset> = found.elements().iter().map(|p| p.offset()).collect();
    assert_eq!(found, [Offset::Offset(26), Offset::Offset(25)]);
    let watermarks = consumer.fetch_watermarks(&topic, 1, TIMEOUT);
    assert_eq!(watermarks.expect("answered"), (0, 100));
}

#[tokio::test]
async fn rdkafka_groups_broadcast_and_members_share() {
    let broker = Broker::start();
    let topic = create(&broker, 4).await;
    fill(&broker, &topic, 400, 4).await;
    for group in [unique("one"), unique("two")] {
        let members: Vec<BaseConsumer> = (0..2).map(|_| consumer(&broker, &group)).collect();
        for member in &members {
            member.subscribe(&[&topic]).expect("a fair topic name");
        }
        let deadline = Instant::now() + TIMEOUT;
        let mut seen = BTreeSet::new();
        let shares = || -> Vec<usize> {
            members
                .iter()
                .map(|m| m.assignment().expect("known locally").count())
                .collect()
        };
        while seen.len() < 400 || shares() != [2, 2] {
            assert!(
                Instant::now() < deadline,
                "{} seen, shares {:?}",
                seen.len(),
                shares()
            );
            for member in &members {
                if let Some(message) = member.poll(Duration::from_millis(20)) {
                    seen.insert(number(
                        &message.expect("the broker serves the log").detach(),
                    ));
                }
            }
        }
        assert_eq!(seen, (0..400).collect());
    }
}

#[tokio::test]
async fn an_rdkafka_member_resumes_where_its_group_committed_also_after_sigkill() {
    let mut broker = Broker::start();
    let topic = create(&broker, 1).await;
    fill(&broker, &topic, 50, 1).await;
    let group = unique("resume");
    let first = consumer(&broker, &group);
    first.subscribe(&[&topic]).expect("a fair topic name");
    read(&first, 50);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(20))
        .expect("a fair offset");
    first.commit(&list, CommitMode::Sync).expect("committed");
    drop(first);

    broker.kill();
    broker.restart();
    let second = consumer(&broker, &group);
    second.subscribe(&[&topic]).expect("a fair topic name");
    assert_eq!(number(&read(&second, 1)[0]), 20);
    let committed = second.committed(TIMEOUT).expect("answered");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(20));
}

#[tokio::test]
async fn rdkafka_administers_topics() {
    let broker = Broker::start();
    let admin = admin(&broker);
    let options = AdminOptions::new();
    let topic = create(&broker, 1).await;
    let again = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let answers = admin
        .create_topics([&again], &options)
        .await
        .expect("answered");
    assert_eq!(
        answers,
        [Err((topic.clone(), RDKafkaErrorCode::TopicAlreadyExists))]
    );

    let answers = admin
        .create_partitions([&NewPartitions::new(&topic, 3)], &options)
        .await
        .expect("answered");
    assert_eq!(answers, [Ok(topic.clone())]);

    let changes = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "1234");
    let answers = admin
        .alter_configs([&changes], &options)
        .await
        .expect("answered");
    assert!(answers[0].is_ok(), "{answers:?}");
    let described = admin
        .describe_configs([&ResourceSpecifier::Topic(&topic)], &options)
        .await
        .expect("answered")
        .remove(0)
        .expect("the topic has settings");
    let values: BTreeMap<&str, Option<&str>> = described
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_deref()))
        .collect();
    assert_eq!(values["retention.ms"], Some("1234"));
    assert_eq!(values["cleanup.policy"], Some("delete"));

    let answers = admin
        .delete_topics(&[&topic], &options)
        .await
        .expect("answered");
    assert_eq!(answers, [Ok(topic.clone())]);
    let answers = admin
        .delete_topics(&[&topic], &options)
        .await
        .expect("answered");
    assert_eq!(
        answers,
        [Err((topic, RDKafkaErrorCode::UnknownTopicOrPartition))]
    );
}

#[tokio::test]
async fn rdkafka_deletes_records_and_groups() {
    let broker = Broker::start();
    let admin = admin(&broker);
    let options = AdminOptions::new();
    let topic = create(&broker, 1).await;
    fill(&broker, &topic, 40, 1).await;
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&topic, 0, Offset::Offset(25))
        .expect("an offset");
    let deleted = admin
        .delete_records(&before, &options)
        .await
        .expect("answered");
    assert_eq!(deleted.elements()[0].offset(), Offset::Offset(25));
    let group = unique("g");
    let member = consumer(&broker, &group);
    member.subscribe(&[&topic]).expect("subscribed");
    assert_eq!(number(&read(&member, 15)[0]), 25);
    member
        .commit_consumer_state(CommitMode::Sync)
        .expect("committed");

    let refused = admin
        .delete_groups(&[&group], &options)
        .await
        .expect("answered");
    assert_eq!(
        refused,
        [Err((group.clone(), RDKafkaErrorCode::NonEmptyGroup))]
    );
    drop(member);
    let deleted = admin
        .delete_groups(&[&group], &options)
        .await
        .expect("answered");
    assert_eq!(deleted, [Ok(group.clone())]);
    let again = admin
        .delete_groups(&[&group], &options)
        .await
        .expect("answered");
    assert_eq!(again, [Err((group, RDKafkaErrorCode::GroupIdNotFound))]);
}

#[tokio::test]
async fn rdkafka_is_told_of_a_message_that_is_too_large() {
    let broker = Broker::start();
    let topic = create(&broker, 1).await;
    let producer: FutureProducer = config(&broker)
        .set("message.max.bytes", "4000000")
        .create()
        .expect("the client's settings are right");
    let send = async |size: usize| {
        let value = vec![b'x'; size];
        let record = FutureRecord::<(), _>::to(&topic).payload(&value);
        producer.send(record, Timeout::After(TIMEOUT)).await
    };
    assert!(send(1_000_000).await.is_ok());
    let (error, _) = send(1_100_000).await.expect_err("above the limit");
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)
    );
}
