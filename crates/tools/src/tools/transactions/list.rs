//! `list`: the transactional ids of all coordinators.

use ottla_client::admin::TransactionFilter;
use ottla_client::{Client, Topics};

use super::{failed, reason, show_table};
use crate::errors::Failure;
use crate::options::{Options, Parsed};
use crate::stop::Stop;

pub(super) const FAILURE: &str = "Failed to list transactions";

pub(super) fn options(options: Options) -> Options {
    options
        .value(
            "duration-filter",
            "milliseconds",
            "Those whose last transaction began longer ago than this; all if it is negative.",
        )
        .value(
            "transactional-id-pattern",
            "pattern",
            "Those whose whole id is what this regular expression means.",
        )
}

pub(super) struct List(TransactionFilter);

impl List {
    pub fn of(parsed: &Parsed) -> Result<List, Stop> {
        let pattern = parsed.value("transactional-id-pattern")?;
        Ok(List(TransactionFilter {
            longer_than_ms: parsed.number("duration-filter")?,
            id_pattern: pattern
                .filter(|pattern| !pattern.is_empty())
                .map(str::to_owned),
            ..TransactionFilter::default()
        }))
    }

    pub async fn run(&self, client: &mut Client) -> Result<(), Stop> {
        let failure = |why: &Failure| failed(FAILURE, why);
        let cluster = client.metadata(Topics::Named(&[]), false).await;
        let cluster = cluster.map_err(|error| failure(&error.into()))?;
        let mut listed = Vec::new();
        for broker in &cluster.brokers {
            let of_broker = client.list_transactions_of(broker.id, &self.0).await;
            listed.extend(of_broker.map_err(|error| {
                let words = format!(
                    "ListTransactions request sent to broker {} failed with an unexpected exception",
                    broker.id
                );
                failure(&reason(error, |_| Some(words)))
            })?);
        }
        let rows: Vec<_> = listed
            .into_iter()
            .map(|one| {
                [
                    one.transactional_id,
                    one.coordinator.to_string(),
                    one.producer_id.to_string(),
                    one.state,
                ]
            })
            .collect();
        show_table(
            [
                "TransactionalId",
                "Coordinator",
                "ProducerId",
                "TransactionState",
            ],
            &rows,
        );
        Ok(())
    }
}
