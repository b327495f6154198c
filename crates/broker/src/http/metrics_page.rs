//! `/metrics`: the counters and what is looked up for the occasion, in the OpenMetrics text format.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use ottla_codec::ResponseError;
use ottla_codec::api::Api;
use ottla_dlq::engine::GroupView;
use ottla_storage::StoreStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Shared;
use super::answer::ApiError;
use super::lag::{self, GroupLag, MAX_SERIES};
use crate::dead_letters::browse;
use crate::metrics::BUCKETS_US;
use crate::state::BrokerState;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is shown.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    match page(&shared).await {
        Ok(page) => ([(CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn page(shared: &Shared) -> Result<String, ApiError> {
    let broker = shared.broker.clone();
    // If groups cannot be read, the rest is worth showing, most of all then.
    let read = broker.groups.read_all(lag::committed).await;
    let (committed, lag_left_out) = read.unwrap_or_default();
    let connections = shared.connections.len();
    // Partitions may have to be loaded from the disk.
    let rendered = tokio::task::spawn_blocking(move || {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            connections,
            lags: lag::lags(&broker.store, committed),
            lag_left_out,
            queues: browse::sizes(&broker),
            failing: broker.groups.dead_letter_views(None),
            store: broker.store.stats(),
            broker: Broker(broker),
        }));
        let mut page = String::new();
        text::encode(&mut page, &registry).map(|()| page)
    });
    match rendered.await {
        Ok(Ok(page)) => Ok(page),
        _ => Err(ApiError::internal("the metrics could not be rendered")),
    }
}

/// What a scrape found.
#[derive(Debug)]
struct Scrape {
    broker: Broker,
    connections: usize,
    lags: Vec<GroupLag>,
    lag_left_out: usize,
    /// Records by queue.
    queues: BTreeMap<String, u64>,
    failing: Vec<GroupView>,
    store: StoreStats,
}

struct Broker(Arc<BrokerState>);

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.about(&mut out)?;
        self.requests(&mut out)?;
        self.traffic(&mut out)?;
        self.storage(&mut out)?;
        self.compaction(&mut out)?;
        self.groups(&mut out)?;
        self.dead_letters(&mut out)
    }
}

impl Scrape {
    fn about(&self, out: &mut Out<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        out.gauges("ottla_build", "The broker's version", [(version, 1)])
    }

    fn requests(&self, out: &mut Out<'_>) -> fmt::Result {
        let metrics = &self.broker.0.metrics;
        let used: Vec<_> = Api::ALL
            .iter()
            .map(|api| (*api, metrics.requests(*api).read()))
            .filter(|(_, (buckets, _))| buckets.iter().any(|count| *count > 0))
            .collect();
        let counts = used
            .iter()
            .map(|(api, (buckets, _))| ([("api", api.name())], buckets.iter().sum::<u64>()));
        out.counters("ottla_requests", "Requests answered, by API", counts)?;
        let errors = metrics.errors();
        let errors = errors.iter().map(|((api, error), count)| {
            let error = error_name(*error);
            ([("api", api.name().to_owned()), ("error", error)], *count)
        });
        out.counters(
            "ottla_request_errors",
            "Requests answered with an error, by API and the first error of the answer",
            errors,
        )?;
        let mut family = out.0.encode_descriptor(
            "ottla_request_duration_seconds",
            "From the arrival of a request to its answer, waiting included",
            None,
            MetricType::Histogram,
        )?;
        for (api, (buckets, sum)) in &used {
            let bounds = BUCKETS_US.iter().map(|us| *us as f64 / 1e6);
            let bounds = bounds.chain([f64::INFINITY]);
            let pairs: Vec<(f64, u64)> = bounds.zip(buckets.iter().copied()).collect();
            family
                .encode_family(&[("api", api.name())])?
                .encode_histogram::<NoLabelSet>(*sum, buckets.iter().sum(), &pairs, None)?;
        }
        Ok(())
    }

    fn traffic(&self, out: &mut Out<'_>) -> fmt::Result {
        let metrics = &self.broker.0.metrics;
        out.gauge(
            "ottla_connections",
            "Open connections",
            self.connections as u64,
        )?;
        let counters = [
            (
                "ottla_connections_accepted",
                "Connections let in",
                &metrics.connections,
            ),
            (
                "ottla_connections_refused",
                "Connections that a limit kept out",
                &metrics.connections_refused,
            ),
            (
                "ottla_received_bytes",
                "Bytes received on the listeners of Kafka's protocol",
                &metrics.bytes_in,
            ),
            (
                "ottla_sent_bytes",
                "Bytes sent on the listeners of Kafka's protocol",
                &metrics.bytes_out,
            ),
            (
                "ottla_fetch_partition_looks",
                "Partitions that fetches looked at; what is quiet in a fetch session is not",
                &metrics.fetch_looks,
            ),
            (
                "ottla_http_requests",
                "Requests of HTTP",
                &metrics.http_requests,
            ),
            (
                "ottla_client_telemetry_pushes",
                "Pushes of clients' own metrics (KIP-714)",
                &metrics.client_telemetry.pushes,
            ),
            (
                "ottla_client_telemetry_metrics",
                "Metrics that clients pushed",
                &metrics.client_telemetry.metrics,
            ),
            (
                "ottla_client_telemetry_data_points",
                "Data points of metrics that clients pushed",
                &metrics.client_telemetry.points,
            ),
        ];
        for (name, help, counter) in counters {
            out.counter(name, help, counter.get())?;
        }
        Ok(())
    }

    fn storage(&self, out: &mut Out<'_>) -> fmt::Result {
        let (store, stats) = (&self.broker.0.store, &self.store);
        let topics = store.topics();
        let partitions = topics.iter().map(|topic| topic.partitions as u64).sum();
        let refused = u64::from(store.write_trouble().is_some());
        out.gauge("ottla_topics", "Topics", topics.len() as u64)?;
        out.gauge("ottla_partitions", "Partitions of all topics", partitions)?;
        out.gauge(
            "ottla_writes_refused",
            "1 while writes are refused: a full disk, a failed sync",
            refused,
        )?;
        out.counter(
            "ottla_commits",
            "Commits that the journal has",
            stats.commits,
        )?;
        out.counter(
            "ottla_journal_syncs",
            "Syncs of the journal; one serves many commits",
            stats.journal_syncs,
        )?;
        out.counter(
            "ottla_journal_bytes",
            "Bytes written to the journal",
            stats.journal_bytes,
        )
    }

    /// In Kafka's words: `max-dirty-percent`, `uncleanable-partitions-count`, `max-clean-time-secs`, `cleaner-recopy-percent`.
    fn compaction(&self, out: &mut Out<'_>) -> fmt::Result {
        let stats = self.broker.0.store.compaction_stats();
        let counters = [
            (
                "ottla_compaction_passes",
                "Passes of compaction over a partition",
                stats.passes,
            ),
            (
                "ottla_compaction_passes_ended_early",
                "Passes that did not come to their end: a full disk, records deleted meanwhile, damage",
                stats.passes_ended_early,
            ),
            (
                "ottla_compaction_read_bytes",
                "Bytes that compaction read",
                stats.bytes_read,
            ),
            (
                "ottla_compaction_written_bytes",
                "Bytes that compaction wrote",
                stats.bytes_written,
            ),
            (
                "ottla_compaction_removed_bytes",
                "Bytes that segments lost by compaction",
                stats.bytes_removed,
            ),
            (
                "ottla_compaction_read_records",
                "Records that compaction decided about",
                stats.records_read,
            ),
            (
                "ottla_compaction_removed_records",
                "Records that compaction removed",
                stats.records_removed,
            ),
        ];
        for (name, help, value) in counters {
            out.counter(name, help, value)?;
        }
        out.real(
            "ottla_compaction_last_pass_seconds",
            "How long the last pass took",
            stats.last_pass.as_secs_f64(),
        )?;
        out.real(
            "ottla_compaction_max_dirty_ratio",
            "Share of bytes that were not compacted yet, in the dirtiest partition, 0 to 1",
            stats.max_dirty_ratio,
        )?;
        out.gauge(
            "ottla_compaction_uncleanable_partitions",
            "Partitions that are left alone because a batch of them is damaged",
            stats.uncleanable_partitions,
        )
    }

    fn groups(&self, out: &mut Out<'_>) -> fmt::Result {
        let lags = self.lags.iter().map(|lag| {
            let labels = [
                ("group", lag.group.clone()),
                ("topic", lag.topic.clone()),
                ("partition", lag.partition.to_string()),
            ];
            (labels, lag.lag as u64)
        });
        out.gauges(
            "ottla_group_lag",
            "Records that a group has not committed yet",
            lags,
        )?;
        let help = "Partitions of groups that ottla_group_lag leaves out, to stay small";
        out.gauge("ottla_group_lag_left_out", help, self.lag_left_out as u64)
    }
}

impl Scrape {
    fn dead_letters(&self, out: &mut Out<'_>) -> fmt::Result {
        let broker = &self.broker.0;
        let moved = broker.dead_letters.metrics.all();
        let moved = moved.into_iter().map(|m| {
            let labels = [
                ("topic", m.topic),
                ("group", m.group),
                ("cause", m.cause.to_owned()),
            ];
            (labels, m.count)
        });
        out.counters(
            "ottla_dead_letters",
            "Records dead-lettered, by topic, group and cause",
            moved,
        )?;
        let redriven = broker.redrives.redriven().into_iter();
        let redriven = redriven.map(|(topic, count)| ([("topic", topic)], count));
        out.counters(
            "ottla_redriven",
            "Records moved back, by the topic that they came from",
            redriven,
        )?;
        let running = broker
            .redrives
            .all()
            .iter()
            .filter(|task| task.state == "running")
            .count();
        out.gauge(
            "ottla_redrives_running",
            "Redrives that run",
            running as u64,
        )?;
        let queues = self.queues.iter().take(MAX_SERIES);
        let queues = queues.map(|(queue, records)| ([("queue", queue.clone())], *records));
        out.gauges(
            "ottla_dead_letter_queue_records",
            "Records in a queue that were neither moved back nor purged",
            queues,
        )?;
        let failing = self.failing.iter().take(MAX_SERIES);
        let suspects = failing
            .clone()
            .map(|view| ([("group", view.group.clone())], view.suspects.len() as u64));
        out.gauges(
            "ottla_suspects",
            "Records, or fronts of batches, that a group fails on now",
            suspects,
        )?;
        let open = failing.filter(|view| view.breaker.is_some());
        let open = open.map(|view| ([("group", view.group.clone())], 1));
        out.gauges(
            "ottla_breaker_open",
            "1 for a group of which nothing is dead-lettered, since everything fails",
            open,
        )
    }
}

/// Writes families of metrics. Names of counters get `_total` behind them.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn real(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// As in Kafka's documentation, `UNKNOWN_TOPIC_OR_PARTITION`; the number if it has none.
fn error_name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None | Some(ResponseError::Unknown(_)) => code.to_string(),
        Some(error) => screaming(&format!("{error:?}")),
    }
}

fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_the_protocol() {
        assert_eq!(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(error_name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(error_name(9_999), "9999");
    }
}
