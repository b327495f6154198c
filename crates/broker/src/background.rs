//! What the broker does by itself: retention, and closing idle connections. Each task sleeps until something is due.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info};

use crate::clock::wall_ms;
use crate::connections::Connections;
use crate::state::BrokerState;

/// Closes connections that are idle for longer than `connections.max.idle.ms`, until the broker stops.
pub(crate) async fn close_idle(broker: Arc<BrokerState>, connections: Arc<Connections>) {
    // Within what a clock can add; a year without a request is idle by any measure.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    let limit =
        || Duration::from_millis(broker.settings.current().connections_max_idle_ms).min(LONGEST);
    tokio::select! {
        () = broker.shutdown.cancelled() => {}
        () = connections.close_idle(limit) => {}
    }
}

/// Applies retention every `log.retention.check.interval.ms`, until the broker stops.
pub(crate) async fn retention(broker: Arc<BrokerState>) {
    loop {
        let interval =
            Duration::from_millis(broker.settings.current().log_retention_check_interval_ms);
        tokio::select! {
            () = broker.shutdown.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let store = broker.store.clone();
        match tokio::task::spawn_blocking(move || store.run_retention(wall_ms())).await {
            Ok(Ok(0)) => debug!("retention found nothing to delete"),
            Ok(Ok(segments)) => info!("retention deleted {segments} segments"),
            Ok(Err(e)) => error!("retention failed: {e}"),
            Err(e) => error!("retention failed, which is a defect: {e}"),
        }
    }
}
