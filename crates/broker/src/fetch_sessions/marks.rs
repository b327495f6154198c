//! Which partitions of a session something happened to: a session looks at those, not at all that it has.

use std::sync::Arc;

use ottla_storage::{DataWatcher, Partition, Watchers};
use parking_lot::Mutex;

/// Numbers of partitions that something happened to, and who waits for any.
#[derive(Default)]
pub(crate) struct Marks {
    marked: Mutex<Vec<u64>>,
    waiting: Watchers,
}

impl Marks {
    /// Those that were marked since the last call.
    pub fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.marked.lock())
    }

    /// Calls `watcher` once, with the next mark. Made before [`Marks::take`], it misses none.
    pub fn watch(&self, watcher: &Arc<dyn DataWatcher>) {
        self.waiting.add(watcher);
    }

    fn mark(&self, number: u64) {
        // Noted first: who is woken finds it, and who was not there yet takes it.
        self.marked.lock().push(number);
        self.waiting.wake();
    }
}

/// Marks one partition's number when something happens to it.
pub(crate) struct Bell {
    number: u64,
    /// Whether the partition knows of it.
    hangs: Mutex<bool>,
    marks: Arc<Marks>,
}

impl Bell {
    /// One that hangs nowhere.
    pub fn new(number: u64, marks: &Arc<Marks>) -> Arc<Bell> {
        Arc::new(Bell {
            number,
            hangs: Mutex::new(false),
            marks: marks.clone(),
        })
    }

    /// Has `partition` ring it once, if that is not so already. What is seen of the partition after this is as it was when it last rang,
    /// or it will ring.
    pub fn hang(self: &Arc<Bell>, partition: &Partition) {
        let mut hangs = self.hangs.lock();
        if !*hangs {
            let watcher: Arc<dyn DataWatcher> = self.clone();
            partition.watch(&watcher);
            *hangs = true;
        }
    }
}

impl DataWatcher for Bell {
    fn data_available(&self) {
        *self.hangs.lock() = false;
        self.marks.mark(self.number);
    }
}
