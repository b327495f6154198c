//! What Confluent's registry does with its `_schemas` (io.confluent.kafka.schemaregistry.storage.KafkaStore): one compacted
//! partition that is the whole truth. A write counts when it was read back; a start reads up to a record that it wrote itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ottla_tests::harness::{Broker, Reader, unique};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(60);
const KEYS: usize = 12;
const NOOP: &str = "{\"keytype\":\"NOOP\"}";

type Map = BTreeMap<String, String>;

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "200")
        .set("retry.backoff.ms", "20");
    config
}

/// What was read so far, and the offset after it.
#[derive(Default)]
struct View {
    map: Map,
    next: i64,
}

/// One instance of a registry.
struct Store {
    topic: String,
    producer: FutureProducer,
    view: Arc<(Mutex<View>, Condvar)>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Store {
    /// Starts one and waits until it has read what there is.
    async fn start(bootstrap: &str, topic: &str) -> Store {
        let producer: FutureProducer = client(bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", "60000")
            .create()
            .unwrap();
        let consumer: BaseConsumer = client(bootstrap)
            .set("group.id", unique("registry"))
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&all).unwrap();
        let view = Arc::new((Mutex::new(View::default()), Condvar::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, end) = (view.clone(), stop.clone());
        let reader = thread::spawn(move || follow(&consumer, &seen, &end));
        let store = Store {
            topic: topic.to_owned(),
            producer,
            view,
            stop,
            reader: Some(reader),
        };
        store.write(NOOP, Some("")).await;
        store
    }

    /// Writes and waits until it is read back; `None` deletes.
    async fn write(&self, key: &str, value: Option<&str>) {
        let mut record = FutureRecord::to(&self.topic).partition(0).key(key);
        record.payload = value;
        let written = self.producer.send(record, TIMEOUT).await.unwrap();
        let (view, moved) = &*self.view;
        let (view, late) = moved
            .wait_timeout_while(view.lock().unwrap(), TIMEOUT, |view| {
                view.next <= written.offset
            })
            .unwrap();
        assert!(
            !late.timed_out(),
            "{written:?} is not read back: {}",
            view.next
        );
    }

    fn map(&self) -> Map {
        self.view.0.lock().unwrap().map.clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

fn follow(consumer: &BaseConsumer, view: &(Mutex<View>, Condvar), stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // Errors are how it hears that the broker is away.
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let key = text(record.key().unwrap());
        let mut seen = view.0.lock().unwrap();
        assert!(record.offset() >= seen.next, "offsets go up");
        seen.next = record.offset() + 1;
        if key != NOOP {
            match record.payload() {
                Some(value) => seen.map.insert(key, text(value)),
                None => seen.map.remove(&key),
            };
        }
        view.1.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_partition_is_the_whole_truth_over_compaction_and_kills() {
    let mut broker = Broker::start_with(&["log.cleaner.backoff.ms=50"]);
    let bootstrap = broker.bootstrap();
    let topic = unique("_schemas");
    let admin: AdminClient<DefaultClientContext> = client(&bootstrap).create().unwrap();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.ms", "50")
        .set("min.cleanable.dirty.ratio", "0.01")
        .set("delete.retention.ms", "50");
    let made = admin
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made[0].is_ok(), "{made:?}");

    let mut rng = StdRng::seed_from_u64(7);
    let mut model = Map::new();
    let mut store = Store::start(&bootstrap, &topic).await;
    for round in 0..5 {
        for step in 0..60 {
            let key = format!("{{\"subject\":\"s{}\"}}", rng.random_range(0..KEYS));
            if rng.random_ratio(1, 4) {
                store.write(&key, None).await;
                model.remove(&key);
            } else {
                let value = format!("{round}.{step} {}", "x".repeat(rng.random_range(0..400)));
                store.write(&key, Some(&value)).await;
                model.insert(key, value);
            }
            if step == 30 {
                // It goes on by itself with the broker that comes back.
                broker.kill();
                broker.restart();
            }
        }
        assert_eq!(store.map(), model, "round {round}: as it was read along");
        if round % 2 == 0 {
            broker.kill();
            broker.restart();
        }
        store = Store::start(&bootstrap, &topic).await;
        assert_eq!(store.map(), model, "round {round}: read from the beginning");
    }

    // What compaction has left is the same.
    let written = store.view.0.lock().unwrap().next;
    let started = Instant::now();
    loop {
        // A record that begins a segment closes the one before, which can be compacted then.
        store.write(NOOP, Some("")).await;
        let left = Reader::all(&bootstrap, &topic).found.len();
        if left < written as usize / 4 {
            break;
        }
        assert!(started.elapsed() < TIMEOUT, "{left} of {written} are left");
    }
    broker.kill();
    broker.restart();
    store = Store::start(&bootstrap, &topic).await;
    assert_eq!(store.map(), model, "compacted");
}
