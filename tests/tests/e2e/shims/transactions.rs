//! kafka-transactions, on a broker whose transactions hang: partitions have them open, and no coordinator knows.

use std::future::Future;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use ottla_client::Connection;
use ottla_tests::harness::{Broker, Finished, original};
use ottla_tests::parity::batch::Batch;

use super::{shim, view, with_server};

/// The partition does not ask who the coordinator of an older client's batch is: that is how transactions come to hang.
const UNVERIFIED: &str = "transaction.partition.verification.enable=false";

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A producer by hand, in the versions before KIP-890.
struct Producer {
    connection: Connection,
    id: &'static str,
    producer_id: ProducerId,
    epoch: i16,
}

impl Producer {
    async fn start(broker: &Broker, id: &'static str) -> Producer {
        let mut connection = Connection::connect(broker.bootstrap())
            .await
            .expect("the broker answers");
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(s(id))))
            .with_transaction_timeout_ms(600_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        // Apache Kafka makes its log of transactions first.
        let answer = loop {
            let answer = connection
                .call(4, &request)
                .await
                .expect("the broker answers");
            if ![14, 15, 16, 51].contains(&answer.error_code) {
                break answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        assert_eq!(answer.error_code, 0);
        Producer {
            connection,
            id,
            producer_id: answer.producer_id,
            epoch: answer.producer_epoch,
        }
    }

    async fn add(&mut self, topic: &str, partitions: &[i32]) {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(s(topic)))
            .with_partitions(partitions.to_vec());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(s(self.id)))
            .with_v3_and_below_producer_id(self.producer_id)
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let answer = self
            .connection
            .call(3, &request)
            .await
            .expect("the broker answers");
        let results = &answer.results_by_topic_v3_and_below[0].results_by_partition;
        assert!(
            results
                .iter()
                .all(|result| result.partition_error_code == 0)
        );
    }

    /// The first batch to a partition, whether that was added or not.
    async fn write(&mut self, topic: &str, partition: i32) -> i16 {
        let batch = Batch::of(&["v"]).with(|batch| {
            batch.producer_id = self.producer_id.0;
            batch.producer_epoch = self.epoch;
            batch.base_sequence = 0;
            batch.attributes = 0x10;
        });
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch.build()));
        let request = ProduceRequest::default()
            .with_transactional_id(Some(TransactionalId(s(self.id))))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(TopicName(s(topic)))
                    .with_partition_data(vec![data]),
            ]);
        let answer = self
            .connection
            .call(11, &request)
            .await
            .expect("the broker answers");
        answer.responses[0].partition_responses[0].error_code
    }

    async fn end(&mut self, committed: bool) {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(s(self.id)))
            .with_producer_id(self.producer_id)
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let answer = self
            .connection
            .call(3, &request)
            .await
            .expect("the broker answers");
        assert_eq!(answer.error_code, 0);
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be had");
    runtime.block_on(future)
}

fn start(settings: &[&str]) -> Broker {
    let broker = Broker::start_with(settings);
    let server = broker.bootstrap();
    for topic in ["orders", "payments"] {
        let args = ["--create", "--topic", topic, "--partitions", "3"];
        let args = [&["--bootstrap-server", &server][..], &args].concat();
        shim("topics", &args, "").success();
    }
    broker
}

/// Arguments of a tool that takes the address before its command.
fn said(broker: &Broker, args: &[&str]) -> (Finished, Finished) {
    let server = broker.bootstrap();
    let args = with_server(&server, args);
    (
        original("transactions", &args, ""),
        shim("transactions", &args, ""),
    )
}

/// The rows of a table without the cells whose header is one of these.
fn rows(text: &str, without: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.split('\t')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut lines = text.lines().map(cells);
    let header = lines.next().unwrap_or_default();
    let kept = |row: Vec<String>| -> Vec<String> {
        let named = header.iter().zip(row);
        named
            .filter(|(name, _)| !without.contains(&name.as_str()))
            .map(|(_, cell)| cell)
            .collect()
    };
    let mut rows: Vec<_> = std::iter::once(header.clone())
        .chain(lines)
        .map(kept)
        .collect();
    rows[1..].sort();
    rows
}

#[test]
fn transactions_are_listed_and_described() {
    let broker = start(&[]);
    let same = |args: &[&str]| view::same(&broker, "transactions", args);
    same(&["list"]).success();
    let _open = block_on(async {
        let mut done = Producer::start(&broker, "done").await;
        done.add("orders", &[0]).await;
        assert_eq!(done.write("orders", 0).await, 0);
        done.end(true).await;
        let mut open = Producer::start(&broker, "open.one").await;
        open.add("orders", &[0, 1, 2]).await;
        open.add("payments", &[2, 0]).await;
        assert_eq!(open.write("orders", 1).await, 0);
        Producer::start(&broker, "idle").await;
        open
    });
    let listed = [
        &["list"][..],
        &["list", "--duration-filter", "-1"],
        &["list", "--duration-filter", "0"],
        &["list", "--duration-filter=999999999999"],
        &["list", "--transactional-id-pattern", "o.*"],
        &["list", "--transactional-id-pattern", "open"],
        &["list", "--transactional-id-pattern", ""],
    ];
    for args in listed {
        let (expected, got) = said(&broker, args);
        assert_eq!(
            rows(expected.success(), &[]),
            rows(got.success(), &[]),
            "{args:?}"
        );
    }
    let wrong = ["list", "--transactional-id-pattern", "(o"];
    let refused = same(&wrong).failure();
    assert!(
        refused.contains("Failed to list transactions: "),
        "{refused}"
    );

    for id in ["idle", "done"] {
        let (expected, got) = said(&broker, &["describe", "--transactional-id", id]);
        let without = &["TransactionDurationMs"];
        assert_eq!(
            rows(expected.success(), without),
            rows(got.success(), without)
        );
    }
    let (expected, got) = said(&broker, &["describe", "--transactional-id", "open.one"]);
    let without = &["TransactionDurationMs"];
    let described = rows(got.success(), without);
    assert_eq!(rows(expected.success(), without), described);
    assert!(
        described[1].contains(&"Ongoing".to_owned()),
        "{described:?}"
    );
    same(&["describe", "--transactional-id", "nobody"]).failure();

    for args in [
        &["--topic", "orders", "--partition", "1"][..],
        &["--topic", "orders", "--partition", "1", "--broker-id", "1"],
        &["--topic", "orders", "--partition", "2"],
    ] {
        same(&[&["describe-producers"], args].concat()).success();
    }
    // Long, and known to its coordinator.
    let known = [
        "find-hanging",
        "--topic",
        "orders",
        "--max-transaction-timeout",
        "0",
    ];
    assert_eq!(same(&known).success().lines().count(), 1);
}

fn abort<'a>(topic: &'a str, partition: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let place = ["abort", "--topic", topic, "--partition", partition];
    [&place[..], args].concat()
}

#[test]
fn what_hangs_is_found_and_aborted() {
    let broker = start(&[UNVERIFIED]);
    let same = |args: &[&str]| view::same(&broker, "transactions", args);
    block_on(async {
        let mut first = Producer::start(&broker, "first").await;
        assert_eq!(first.write("orders", 0).await, 0);
        assert_eq!(first.write("orders", 1).await, 0);
        let mut second = Producer::start(&broker, "second").await;
        second.add("payments", &[0]).await;
        assert_eq!(second.write("payments", 0).await, 0);
        assert_eq!(second.write("payments", 1).await, 0);
        assert_eq!(second.write("orders", 2).await, 0);
    });
    let none = ["find-hanging", "--broker-id", "1"];
    same(&none).success();
    let all = [
        "find-hanging",
        "--broker-id",
        "1",
        "--max-transaction-timeout",
        "0",
    ];
    let found = same(&all);
    let found = rows(found.success(), &[]);
    let places: Vec<_> = found[1..]
        .iter()
        .map(|row| format!("{}-{}", row[0], row[1]))
        .collect();
    assert_eq!(places, ["orders-0", "orders-1", "orders-2", "payments-1"]);
    for args in [
        &["--topic", "orders"][..],
        &["--topic", "payments", "--partition", "1"],
        &["--topic", "payments", "--partition", "0"],
        &["--topic", "orders", "--broker-id", "1"],
    ] {
        let args = [&["find-hanging", "--max-transaction-timeout", "0"], args].concat();
        same(&args).success();
    }

    for args in [
        &["--start-offset", "77"][..],
        &[],
        &["--producer-id", "1"],
        &["--producer-id", "1", "--producer-epoch", "0"],
    ] {
        same(&abort("orders", "0", args)).failure();
    }
    let server = broker.bootstrap();
    let orders_0 = abort("orders", "0", &["--start-offset", "0"]);
    assert_eq!(
        original("transactions", &with_server(&server, &orders_0), "").success(),
        ""
    );
    let orders_1 = abort("orders", "1", &["--start-offset", "0"]);
    assert_eq!(
        shim("transactions", &with_server(&server, &orders_1), "").success(),
        ""
    );
    let hanging = rows(same(&all).success(), &[]);
    assert_eq!(hanging.len(), 3, "{hanging:?}");
    // By the producer's id, which the first row names, and an epoch.
    let id = &hanging[1][2];
    let by_id = [
        "--producer-id",
        id,
        "--producer-epoch",
        "0",
        "--coordinator-epoch",
        "-1",
    ];
    let by_original = abort("orders", "2", &by_id);
    let by_original = original("transactions", &with_server(&server, &by_original), "");
    assert_eq!(by_original.success(), "");
    let by_shim = abort("payments", "1", &by_id);
    let by_shim = shim("transactions", &with_server(&server, &by_shim), "");
    assert_eq!(by_shim.success(), "");
    assert_eq!(same(&all).success().lines().count(), 1);
    // What the two left behind is the same but for the times.
    let describe = |topic, partition| {
        let args = [
            "describe-producers",
            "--topic",
            topic,
            "--partition",
            partition,
        ];
        rows(same(&args).success(), &["LastTimestamp"])
    };
    assert_eq!(describe("orders", "0"), describe("orders", "1"));
    assert_eq!(describe("orders", "2"), describe("payments", "1"));
}

#[test]
fn a_transaction_is_ended_by_force() {
    let broker = start(&[]);
    let ids = ["by-original", "by-shim"];
    block_on(async {
        for (id, partition) in ids.into_iter().zip(0..) {
            let mut open = Producer::start(&broker, id).await;
            open.add("orders", &[partition]).await;
            assert_eq!(open.write("orders", partition).await, 0);
        }
    });
    let server = broker.bootstrap();
    let force = |id| ["forceTerminateTransaction", "--transactionalId", id];
    let [by_original, by_shim] = ids.map(force);
    let by_original = original("transactions", &with_server(&server, &by_original), "");
    assert_eq!(by_original.success(), "");
    let by_shim = shim("transactions", &with_server(&server, &by_shim), "");
    assert_eq!(by_shim.success(), "");
    let described = ids.map(|id| {
        let args = ["describe", "--transactional-id", id];
        let said = shim("transactions", &with_server(&server, &args), "");
        let of_each = [
            "TransactionalId",
            "ProducerId",
            "CurrentTransactionStartTimeMs",
            "TransactionDurationMs",
        ];
        rows(said.success(), &of_each)
    });
    assert_eq!(described[0], described[1]);
    assert!(
        described[0][1].iter().any(|cell| cell == "Empty"),
        "{described:?}"
    );
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for args in [
        &[][..],
        &["nix"],
        &["list"],
        &["--bootstrap-server", "h:1", "describe"],
        &["--bootstrap-server", "h:1", "abort", "--topic", "a"],
        &[
            "--bootstrap-server",
            "h:1",
            "abort",
            "--topic",
            "a",
            "--partition",
            "x",
        ],
        &[
            "--bootstrap-server",
            "h:1",
            "describe-producers",
            "--partition",
            "0",
        ],
        &["--bootstrap-server", "h:1", "forceTerminateTransaction"],
        &["--bootstrap-server", "h:1", "list", "--nix"],
    ] {
        let said = view::same_misuse("transactions", args);
        assert!(said.contains("kafka-transactions: error: "), "{said}");
    }
    for args in [
        &["find-hanging"][..],
        &["find-hanging", "--partition", "1"],
        &["find-hanging", "--broker-id", "1", "--partition", "1"],
    ] {
        super::same_refusal(
            "transactions",
            &[&["--bootstrap-server", "127.0.0.1:1"], args].concat(),
        );
    }
}
