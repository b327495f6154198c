//! Waiting for data: a fetch that found too little sleeps until one of its partitions has more, or its time is over.

use std::sync::Arc;
use std::time::Duration;

use ottla_storage::DataWatcher;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_ms;

/// Wakes one waiting fetch.
#[derive(Debug, Default)]
struct WakeUp(Notify);

impl DataWatcher for WakeUp {
    fn data_available(&self) {
        self.0.notify_one();
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There may be data, or a topic was deleted: look again.
    Data,
    /// The time is over, or the broker stops: answer with what there is.
    Over,
}

/// A watch over partitions, or over a session's. Made before they are read, it misses nothing that comes after.
pub(crate) struct Watch {
    wake_up: Arc<WakeUp>,
}

impl Watch {
    /// Watches what `watch` gives its watcher to.
    pub fn on(watch: impl FnOnce(&Arc<dyn DataWatcher>)) -> Watch {
        let wake_up = Arc::new(WakeUp::default());
        let watcher: Arc<dyn DataWatcher> = wake_up.clone();
        watch(&watcher);
        Watch { wake_up }
    }

    /// Waits until there is something to look at: new data, or what is `due` though it is not new.
    pub async fn wait(
        &self,
        deadline: Instant,
        due: Option<Instant>,
        shutdown: &CancellationToken,
    ) -> Woken {
        let (until, woken) = match due.filter(|due| *due < deadline) {
            Some(due) => (due, Woken::Data),
            None => (deadline, Woken::Over),
        };
        tokio::select! {
            biased;
            () = self.wake_up.0.notified() => Woken::Data,
            () = shutdown.cancelled() => Woken::Over,
            () = tokio::time::sleep_until(until) => woken,
        }
    }
}

/// The moment at which the wall clock will show this, milliseconds since the Unix epoch; at the latest in a day.
pub(crate) fn at_wall_ms(due_ms: i64) -> Instant {
    const A_DAY: i64 = 24 * 3600 * 1000;
    let wait = due_ms.saturating_sub(wall_ms()).clamp(0, A_DAY);
    Instant::now() + Duration::from_millis(wait.unsigned_abs())
}
