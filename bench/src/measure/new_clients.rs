//! What a test suite does most: a client is made, does one thing, and goes. Each measured from before it is made, one after the other;
//! means, because some of librdkafka's steps are done either at once or 50 ms later.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Sample, Scene, TOPIC, lower};

/// Clients of each kind in a full run.
const CLIENTS: u64 = 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs it once.
pub async fn run(scene: &Scene) -> Result<Vec<Sample>> {
    let server = scene.server(1).await?;
    let (address, clients) = (server.address.clone(), scene.scaled(CLIENTS));
    let means = tokio::task::spawn_blocking(move || -> Result<[f64; 3]> {
        // The first of each is not counted: a JVM compiles what it needs.
        let mut sums = [Duration::ZERO; 3];
        for client in 0..=clients {
            let took = [
                topic_is_listed(&address)?,
                message_is_delivered(&address)?,
                partitions_are_assigned(&address, client)?,
            ];
            if client > 0 {
                sums.iter_mut()
                    .zip(took)
                    .for_each(|(sum, took)| *sum += took);
            }
        }
        Ok(sums.map(|sum| sum.as_secs_f64() * 1e3 / clients as f64))
    })
    .await??;
    let [listed, delivered, assigned] = means;
    Ok(vec![
        lower("new client to metadata of a topic", "ms", listed),
        lower("new producer to first delivery", "ms", delivered),
        lower("new consumer to assigned", "ms", assigned),
    ])
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn topic_is_listed(address: &str) -> Result<Duration> {
    let started = Instant::now();
    let client: BaseProducer = config(address).create()?;
    let listed = client.client().fetch_metadata(Some(TOPIC), DEADLINE)?;
    let topic = listed.topics().first().context("no topic is listed")?;
    ensure!(topic.error().is_none(), "{:?}", topic.error());
    Ok(started.elapsed())
}

fn message_is_delivered(address: &str) -> Result<Duration> {
    let started = Instant::now();
    let producer: BaseProducer = config(address).set("linger.ms", "0").create()?;
    let record = BaseRecord::<(), str>::to(TOPIC).payload("one");
    producer.send(record).map_err(|(error, _)| error)?;
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
        ensure!(started.elapsed() < DEADLINE, "it was not delivered");
    }
    Ok(started.elapsed())
}

/// Alone in a group of its own.
fn partitions_are_assigned(address: &str, client: u64) -> Result<Duration> {
    let started = Instant::now();
    let consumer: BaseConsumer = config(address)
        .set("group.id", format!("new-{client}"))
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    while consumer.assignment()?.count() == 0 {
        if let Some(Err(error)) = consumer.poll(Duration::from_millis(1)) {
            return Err(error.into());
        }
        ensure!(started.elapsed() < DEADLINE, "nothing is assigned");
    }
    Ok(started.elapsed())
}
