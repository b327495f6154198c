//! What is counted while requests are served: atomics that `/metrics` reads when it is asked.
//!
//! A request costs two additions for its time, a read or a write of the socket one. The clock is read once for all requests
//! of one read, and once for all answers that are ready together. Errors, which are rare, go into a table.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_codec::api::Api;
use parking_lot::Mutex;

/// Upper bounds of the histogram's buckets in microseconds; beyond the last there is one more. A request that waits, as a fetch
/// without data does, counts with its waiting.
pub(crate) const BUCKETS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// The counters of one broker.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By the API's key.
    requests: Vec<Histogram>,
    errors: Mutex<BTreeMap<(Api, i16), u64>>,
    /// Of Kafka's protocol.
    pub bytes_in: Counter,
    /// Of Kafka's protocol.
    pub bytes_out: Counter,
    /// Connections let in, of any protocol.
    pub connections: Counter,
    /// Connections that a limit kept out.
    pub connections_refused: Counter,
    /// Partitions that fetches looked at.
    pub fetch_looks: Counter,
    /// Requests of HTTP.
    pub http_requests: Counter,
    /// What clients push of their own.
    pub client_telemetry: ClientTelemetryCounters,
}

/// Pushes of clients that were taken, and what was in them.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct ClientTelemetryCounters {
    pub pushes: Counter,
    pub metrics: Counter,
    pub points: Counter,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let keys = Api::ALL.iter().map(|api| *api as usize + 1).max();
        Metrics {
            requests: std::iter::repeat_with(Histogram::default)
                .take(keys.unwrap_or(0))
                .collect(),
            errors: Mutex::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            connections: Counter::default(),
            connections_refused: Counter::default(),
            fetch_looks: Counter::default(),
            http_requests: Counter::default(),
            client_telemetry: ClientTelemetryCounters::default(),
        }
    }
}

impl Metrics {
    /// A request was answered, `took` after it was read. `error` is the first error code in its answer, 0 for none.
    pub fn answered(&self, api: Api, took: Duration, error: i16) {
        self.requests[api as usize].add(took);
        if error != 0 {
            *self.errors.lock().entry((api, error)).or_default() += 1;
        }
    }

    /// The times of an API's requests.
    pub fn requests(&self, api: Api) -> &Histogram {
        &self.requests[api as usize]
    }

    /// How often an API was answered with an error, by the first error code of the answer.
    pub fn errors(&self) -> BTreeMap<(Api, i16), u64> {
        self.errors.lock().clone()
    }
}

/// Something that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times, in buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    fn add(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US
            .iter()
            .position(|bound| us <= *bound)
            .unwrap_or(BUCKETS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many there are in each bucket, and the sum of their times in seconds.
    pub fn read(&self) -> (Vec<u64>, f64) {
        let buckets = self.buckets.iter().map(|b| b.load(Ordering::Relaxed));
        let sum_us = self.sum_us.load(Ordering::Relaxed);
        (buckets.collect(), sum_us as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_in_the_bucket_of_its_time_and_its_error_beside() {
        let metrics = Metrics::default();
        for (us, error) in [(0, 0), (100, 0), (101, 3), (5_000_001, 3), (7, -1)] {
            metrics.answered(Api::Fetch, Duration::from_micros(us), error);
        }
        let (buckets, sum) = metrics.requests(Api::Fetch).read();
        assert_eq!(buckets[..2], [3, 1]);
        assert_eq!(buckets[BUCKETS_US.len()], 1);
        assert_eq!(buckets.iter().sum::<u64>(), 5);
        assert!((sum - 5.000_209).abs() < 1e-9, "{sum}");
        let errors = [((Api::Fetch, -1), 1), ((Api::Fetch, 3), 2)];
        assert_eq!(metrics.errors(), errors.into());
        assert_eq!(
            metrics.requests(Api::Produce).read().0.iter().sum::<u64>(),
            0
        );
    }
}
