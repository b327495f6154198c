//! Compaction: of each key at least the last record is kept (docs/COMPACTION.md).
//!
//! [`policy`] says which partition is due, [`pass`] and [`filter`] what a pass keeps; [`run`] does a pass with its files, here is the
//! order of passes, and [`thread`] does them when something happens.

mod aborted;
pub(crate) mod filter;
pub(crate) mod offset_map;
pub(crate) mod pass;
pub(crate) mod policy;

mod pace;
#[cfg(test)]
mod power_cuts;
mod run;
mod stats;
mod survey;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::CompactionConfig;
use crate::store::Inner;
use crate::topic::TopicId;

use run::PassEnd;
use stats::Counters;
use survey::DuePass;
use thread::Bell;

pub use stats::CompactionStats;

/// A partition, loaded or not.
pub(crate) type PartitionId = (TopicId, i32);

/// What compaction has of a store.
#[derive(Default)]
pub(crate) struct Compactor {
    bell: Bell,
    counters: Counters,
    /// Held by whoever does a round of passes.
    running: Mutex<()>,
    known: Mutex<HashMap<PartitionId, Known>>,
}

impl Compactor {
    /// Ends the pass that runs, and the thread.
    pub fn stop(&self) {
        self.bell.stop();
    }
}

/// What is known of a partition from looking at it.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    dirty_ratio: f64,
    look_again_ms: Option<i64>,
    /// What a crash left of a pass was looked for.
    swept: bool,
    /// Damaged: left alone until the next start.
    uncleanable: bool,
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Round {
    /// Passes that were begun.
    passes: usize,
    /// Those of them that came to an end.
    ended: usize,
}

impl Inner {
    /// Something happened in a partition of a compacted topic that may make a pass due.
    pub(crate) fn ask_to_compact(&self, id: PartitionId) {
        let asked = |asked: &mut thread::Asked| {
            asked.some.insert(id);
        };
        if !self.compactor.bell.ring(asked) {
            self.core.background.ask(|w| w.compaction = true);
        }
    }

    /// Settings changed, or a compacted topic was made.
    pub(crate) fn ask_to_compact_all(&self) {
        if !self.compactor.bell.ring(|asked| asked.all = true) {
            self.core.background.ask(|w| w.compaction = true);
        }
    }

    fn compaction_config(&self) -> CompactionConfig {
        (self.core.options.compaction.config)()
    }

    /// Does passes until nothing is due of what there is to look at, or of `all`, the dirtiest partition first.
    fn compact_round(&self, all: bool, clock: impl Fn() -> i64) -> Round {
        let _one = self.compactor.running.lock();
        let mut round = Round::default();
        if !self.compaction_config().enabled {
            // Whoever switches it on has all looked at.
            self.compactor.bell.take();
            for known in self.compactor.known.lock().values_mut() {
                known.look_again_ms = None;
            }
            return round;
        }
        let mut due: Vec<DuePass> = self
            .to_look_at(all, clock())
            .into_iter()
            .filter_map(|id| self.look_at(id, clock()))
            .collect();
        while let Some(next) = take_dirtiest(&mut due) {
            if self.compactor.bell.is_stopping() {
                break;
            }
            round.passes += 1;
            let began = Instant::now();
            let end = self.pass(&next, clock());
            if let PassEnd::Reached(reached) = end {
                round.ended += 1;
                self.note_pass(began.elapsed());
                if reached < next.due.bound {
                    // There was no room for more keys.
                    due.extend(self.look_at(next.id, clock()));
                    continue;
                }
            }
            self.pass_ended(&next, &end, clock());
        }
        round
    }

    fn note_pass(&self, took: Duration) {
        let counters = &self.compactor.counters;
        Counters::add(&counters.passes, 1);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        counters.last_pass_us.store(took, Ordering::Relaxed);
    }

    /// Says what became of a pass, and when the partition is looked at again.
    fn pass_ended(&self, of: &DuePass, end: &PassEnd, now_ms: i64) {
        let (topic, index) = of.id;
        let name = self.catalog.get(&topic).map(|t| t.name.clone());
        let name = name.as_deref().unwrap_or("(deleted)");
        if !matches!(end, PassEnd::Reached(_)) {
            Counters::add(&self.compactor.counters.passes_ended_early, 1);
        }
        let again = match end {
            PassEnd::Reached(_) => {
                if self.look_at(of.id, now_ms).is_some() {
                    // Segments were closed meanwhile: that is for the next round.
                    self.ask_to_compact(of.id);
                }
                return;
            }
            PassEnd::Overtaken => {
                self.ask_to_compact(of.id);
                return;
            }
            PassEnd::Stopped => return,
            PassEnd::DiskFull => {
                tracing::warn!(
                    topic = name,
                    partition = index,
                    "compaction has no room on the disk and is tried again later"
                );
                true
            }
            PassEnd::Later(reason) => {
                tracing::debug!(topic = name, partition = index, %reason, "compaction is tried again later");
                true
            }
            PassEnd::Failed(reason) => {
                tracing::error!(topic = name, partition = index, %reason, "compaction of a partition failed; it is left alone until the next start");
                false
            }
        };
        let backoff = self.compaction_config().backoff.as_millis();
        let backoff = i64::try_from(backoff).unwrap_or(i64::MAX).max(1);
        let mut known = self.compactor.known.lock();
        let known = known.entry(of.id).or_default();
        known.uncleanable = !again;
        known.look_again_ms = again.then(|| now_ms.saturating_add(backoff));
    }

    /// Looks at every partition and does what is due, until nothing is. Returns how many passes came to their end. Blocking.
    pub(crate) fn compact_now(&self, now_ms: i64) -> usize {
        let mut ended = 0;
        while !self.compactor.bell.is_stopping() {
            match self.compact_round(true, || now_ms).ended {
                0 => break,
                some => ended += some,
            }
        }
        ended
    }

    pub(crate) fn compaction_stats(&self) -> CompactionStats {
        let topics = self.catalog.topics();
        let known = self.compactor.known.lock();
        let there = known
            .iter()
            .filter(|((topic, _), _)| topics.by_id(topic).is_some())
            .map(|(_, known)| known);
        CompactionStats {
            max_dirty_ratio: there.clone().map(|k| k.dirty_ratio).fold(0.0, f64::max),
            uncleanable_partitions: there.filter(|k| k.uncleanable).count() as u64,
            ..self.compactor.counters.read()
        }
    }
}

fn take_dirtiest(due: &mut Vec<DuePass>) -> Option<DuePass> {
    let by_ratio = |a: &&DuePass, b: &&DuePass| a.dirty_ratio.total_cmp(&b.dirty_ratio);
    let dirtiest = due.iter().max_by(by_ratio)?.id;
    let at = due.iter().position(|d| d.id == dirtiest)?;
    Some(due.swap_remove(at))
}
