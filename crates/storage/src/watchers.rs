//! Who waits for something to happen, to be told once.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Told once when a partition that it watches has new data to read, its start moves, or it is deleted.
pub trait DataWatcher: Send + Sync {
    /// Must be quick: it is called by the thread that made the data durable.
    fn data_available(&self);
}

/// Those that wait for the same.
#[derive(Default)]
pub struct Watchers(Mutex<Vec<Weak<dyn DataWatcher>>>);

impl Watchers {
    /// Calls `watcher` at the next [`Watchers::wake`], once. One that is dropped before is forgotten.
    pub fn add(&self, watcher: &Arc<dyn DataWatcher>) {
        let mut watchers = self.0.lock();
        // Those that gave up waiting would pile up where nothing happens.
        if watchers.len() == watchers.capacity() {
            watchers.retain(|w| w.strong_count() > 0);
        }
        watchers.push(Arc::downgrade(watcher));
    }

    /// Calls all.
    pub fn wake(&self) {
        let mut watchers = self.0.lock();
        if watchers.is_empty() {
            return;
        }
        let woken = std::mem::take(&mut *watchers);
        drop(watchers);
        for watcher in woken {
            if let Some(watcher) = watcher.upgrade() {
                watcher.data_available();
            }
        }
    }
}
