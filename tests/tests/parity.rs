//! Ottla beside Apache Kafka: the same questions, the same answers.
//!
//! `OTTLA_PARITY_FILTER` runs the scenarios whose names contain it; `OTTLA_PARITY_TRANSCRIPT` names a file for everything
//! that was asked and answered; `OTTLA_PARITY_KAFKA` and `OTTLA_PARITY_OTTLA` name brokers that run already.

use ottla_tests::parity::servers::Server;
use ottla_tests::parity::suite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ottla_answers_as_apache_kafka_does() -> anyhow::Result<()> {
    let (kafka, ottla) = tokio::try_join!(Server::kafka(), Server::ottla())?;
    let filter = std::env::var("OTTLA_PARITY_FILTER").unwrap_or_default();
    let outcome = suite::run(&ottla.address(), &kafka.address(), &filter).await?;
    suite::keep_transcript(&outcome)?;
    println!("{} answers compared", outcome.compared);
    if let Some(report) = suite::report(&outcome) {
        panic!("Ottla and Apache Kafka differ:\n{report}");
    }
    Ok(())
}
