//! A store without threads, for simulations of what is built on it: whoever has it says when it writes, and what becomes of it.

use std::path::Path;
use std::sync::Arc;

use crate::config::StoreOptions;
use crate::error::OpenError;
use crate::fs::Fs;
use crate::store::{Store, Tuning};

/// See the module. Small files, so that little is written before they change.
pub struct Stepped {
    store: Store,
}

const TUNING: Tuning = Tuning {
    reserve_bytes: 2048,
    journal_file_bytes: 16 << 10,
    checkpoint_room: 1024,
    compaction_room: 4096,
    block_offsets: 8,
};

impl Stepped {
    /// As [`Store::open`].
    ///
    /// # Errors
    /// The same.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: StoreOptions) -> Result<Stepped, OpenError> {
        Store::open_stepped(fs, dir, options, TUNING).map(|store| Stepped { store })
    }

    /// The store, for those who use it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes what waits: in one group, and in a second one what waited for large appends. Returns whether anything did.
    pub fn write(&self) -> bool {
        self.store.inner().step_writer()
    }

    /// Makes a checkpoint. What goes wrong becomes the store's trouble. Returns whether it came to an end.
    pub fn checkpoint(&self) -> bool {
        let result = self.store.inner().checkpoint();
        let done = result.is_ok();
        self.store.inner().note_trouble("checkpoint", result);
        done
    }

    /// Writes small appends to their segments.
    pub fn flush(&self) {
        let result = self.store.inner().flush_all();
        self.store.inner().note_trouble("flush", result);
    }

    /// Removes files that nobody needs.
    pub fn remove_files(&self) {
        self.store.inner().collect_garbage();
    }
}
