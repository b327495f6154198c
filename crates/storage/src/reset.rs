//! Taking away all topics, and rows of small trees, in one commit.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::StoreError;
use crate::garbage::Garbage;
use crate::meta::{self, TreeId};
use crate::partition::Partition;
use crate::queue::Kind;
use crate::store::{Change, Commit, Inner};
use crate::topic::{Topic, TopicId};
use crate::topics::topic_change;

/// What becomes of the topics.
pub enum ResetTopics<'a> {
    /// They stay as they are.
    Keep,
    /// They go, with all records.
    Delete,
    /// They go, and empty ones come in their place: names, numbers of partitions and settings stay, ids are new.
    Renew {
        /// Makes an id that no topic ever had.
        new_id: &'a dyn Fn() -> TopicId,
        /// Milliseconds since the epoch.
        now_ms: i64,
    },
}

/// What a reset took away.
#[derive(Debug, Clone)]
pub struct Wiped {
    /// The topics that went, renewed ones included.
    pub topics: Vec<Arc<Topic>>,
    /// When it is kept.
    pub commit: Commit,
}

impl Inner {
    pub(crate) fn reset(
        &self,
        topics: ResetTopics<'_>,
        trees: &[TreeId],
    ) -> Result<Wiped, StoreError> {
        // Nobody creates, deletes or loads anything while the names are locked.
        let mut names = self.catalog.lock();
        let mut changes = Vec::new();
        for tree in trees {
            let rows = self.scan(*tree, b"")?;
            changes.extend(rows.into_iter().map(|(key, _)| removal(*tree, key)));
        }
        if matches!(topics, ResetTopics::Keep) {
            return Ok(Wiped {
                topics: Vec::new(),
                commit: self.commit_removals(changes)?,
            });
        }
        let before = self.catalog.topics();
        changes.extend(before.iter().map(|topic| {
            let id = Bytes::copy_from_slice(topic.id.as_bytes());
            removal(meta::TOPICS, id)
        }));
        let mut renewed = Vec::new();
        if let ResetTopics::Renew { new_id, now_ms } = topics {
            for topic in before.iter() {
                let topic = Topic {
                    id: new_id(),
                    created_ms: now_ms,
                    ..Topic::clone(topic)
                };
                // The files of the one before still have its name.
                let label: Arc<str> = Arc::from(format!("~{}", topic.id.simple()));
                changes.push(topic_change(&topic, &label)?);
                renewed.push((Arc::new(topic), label));
            }
        }
        let mut loaded = self.loaded_by_topic();
        for partition in loaded.values().flatten() {
            // Under its lock: no append comes after the deletion in the journal.
            let _log = partition.lock();
            partition.mark_deleted(true);
        }
        let commit = match self.commit_removals(changes) {
            Ok(commit) => commit,
            Err(e) => {
                for partition in loaded.values().flatten() {
                    partition.mark_deleted(false);
                }
                return Err(e);
            }
        };
        let gone = self.catalog.replace(&mut names, renewed);
        drop(names);
        for partition in loaded.values().flatten() {
            partition.wake_watchers();
        }
        let topics = gone.iter().map(|(topic, _)| topic.clone()).collect();
        self.garbage
            .lock()
            .extend(gone.into_iter().map(|(topic, label)| Garbage::Topic {
                seq: commit.0,
                loaded: loaded.remove(&topic.id).unwrap_or_default(),
                topic,
                label,
            }));
        self.core.background.ask(|w| w.garbage = true);
        Ok(Wiped { topics, commit })
    }

    fn commit_removals(&self, changes: Vec<Change>) -> Result<Commit, StoreError> {
        if changes.is_empty() {
            // As durable as what was never written can be.
            return Ok(Commit(0));
        }
        self.commit_changes(changes, Kind::FreesSpace).map(Commit)
    }

    /// Those of topics that are deleted already, and wait for their files to go, are left out.
    fn loaded_by_topic(&self) -> HashMap<TopicId, Vec<Arc<Partition>>> {
        let mut loaded: HashMap<TopicId, Vec<Arc<Partition>>> = HashMap::new();
        for ((topic, _), partition) in self.partitions.read().iter() {
            if !partition.is_deleted() {
                loaded.entry(*topic).or_default().push(partition.clone());
            }
        }
        loaded
    }
}

fn removal(tree: TreeId, key: Bytes) -> Change {
    Change {
        tree,
        key,
        value: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;
    use crate::snapshot::tests::{LARGE, ORDERS, append, create, filled, observe, open};
    use crate::{AppendContext, AppendError, Store, Tree};

    fn wipe(store: &Store) -> Result<Wiped, StoreError> {
        store.reset(ResetTopics::Delete, &[Tree::Groups, Tree::Offsets])
    }

    fn renew(store: &Store, first: u128) -> Wiped {
        let next = Cell::new(first);
        let new_id = || TopicId::from_u128(next.replace(next.get() + 1));
        let topics = ResetTopics::Renew {
            new_id: &new_id,
            now_ms: 7,
        };
        store.reset(topics, &[Tree::Offsets]).unwrap()
    }

    #[test]
    fn after_a_reset_there_is_nothing_and_names_can_be_used_again() {
        let (fs, store) = filled();
        let p = store.partition(&ORDERS, 0).unwrap();
        let wiped = wipe(&store).unwrap();
        assert_eq!(wiped.topics.len(), 2);
        assert!(store.topics().is_empty());
        assert_eq!(store.scan(Tree::Offsets, b"").unwrap(), []);
        let read = p.read(p.log_start_offset(), p.high_watermark(), 100, true);
        assert!(matches!(read, Err(crate::ReadError::Deleted)));
        let batches = bytes::BytesMut::new();
        let refused = p.append(batches, &[], AppendContext::at(1));
        assert!(matches!(refused, Err(AppendError::Deleted)));
        let id = TopicId::from_u128(77);
        create(&store, id, "orders", "2000");
        append(&store, id, 0, vec![1; 10]).unwrap();
        store.inner().step_writer();
        store.inner().collect_garbage();
        let state = observe(&store);
        store.close().unwrap();
        drop((store, p));
        let store = open(&fs);
        assert_eq!(observe(&store), state);
        assert_eq!(store.topics().len(), 1);
        assert_eq!(store.check().unwrap().problems, []);
        let old = ["/data/topics/orders-0", "/data/topics/large-1"];
        let files = fs.files();
        assert!(
            !files
                .iter()
                .any(|(p, _)| old.iter().any(|o| p.starts_with(o)))
        );
    }

    #[test]
    fn renewed_topics_are_empty_have_their_settings_and_other_ids() {
        let (fs, store) = filled();
        let before = store.topics();
        let wiped = renew(&store, 100);
        store.inner().step_writer();
        assert_eq!(wiped.topics.len(), 2);
        let check = |store: &Store| {
            let topics = store.topics();
            assert_eq!(topics.len(), 2);
            for topic in topics.iter() {
                let old = before.by_name(&topic.name).unwrap();
                assert_eq!(
                    (&topic.configs, topic.partitions),
                    (&old.configs, old.partitions)
                );
                assert_ne!(topic.id, old.id);
                assert_eq!(store.partition(&topic.id, 0).unwrap().log_end_offset(), 0);
                assert!(topics.by_id(&old.id).is_none());
            }
        };
        check(&store);
        store.inner().collect_garbage();
        // And again, before anything was written.
        renew(&store, 200);
        store.inner().step_writer();
        check(&store);
        let id = store.topics().by_name("orders").unwrap().id;
        append(&store, id, 1, vec![5; 50]).unwrap();
        store.inner().step_writer();
        fs.kill();
        drop(store);
        let store = open(&fs);
        check(&store);
        assert_eq!(store.partition(&id, 1).unwrap().log_end_offset(), 1);
        assert_eq!(store.check().unwrap().problems, []);
    }

    #[test]
    fn rows_alone_can_go_and_a_reset_of_nothing_is_kept_at_once() {
        let (_fs, store) = filled();
        let wiped = store.reset(ResetTopics::Keep, &[Tree::Offsets]).unwrap();
        assert!(wiped.topics.is_empty() && wiped.commit.0 > 0);
        assert_eq!(store.topics().len(), 2);
        assert_eq!(store.scan(Tree::Offsets, b"").unwrap(), []);
        let wiped = store.reset(ResetTopics::Keep, &[Tree::Offsets]).unwrap();
        assert_eq!(wiped.commit, Commit(0));
    }

    #[test]
    fn a_crash_at_any_point_of_a_reset_takes_all_or_nothing() {
        let (fs, store) = filled();
        store.inner().step_writer();
        let before = observe(&store);
        drop(store);
        let (mut all, mut nothing) = (0, 0);
        // Call by call, and what comes before the first sync with several outcomes of the power cut.
        for run in 0.. {
            let calls = u64::saturating_sub(run, 8);
            let fs = fs.fork();
            fs.kill();
            fs.reseed(run);
            let store = open(&fs);
            fs.crash_after(calls);
            let wiped = wipe(&store).unwrap();
            store.inner().step_writer();
            let outcome = store
                .inner()
                .core
                .queue
                .progress
                .outcome(crate::progress::Stage::Durable, wiped.commit.0);
            let kept = matches!(outcome, Some(Ok(())));
            store.inner().collect_garbage();
            let _ = store.inner().checkpoint();
            let done = !fs.has_crashed();
            drop(store);
            match run % 3 {
                0 => fs.kill(),
                _ => fs.crash(),
            }
            let store = open(&fs);
            let found = observe(&store);
            if found == before {
                nothing += 1;
                assert!(!kept, "after {calls} calls");
            } else {
                all += 1;
                assert!(store.topics().is_empty(), "after {calls} calls");
                assert_eq!(store.scan(Tree::Offsets, b"").unwrap(), []);
            }
            assert_eq!(store.check().unwrap().problems, []);
            if done {
                break;
            }
        }
        assert!(all > 5 && nothing > 0, "{all} {nothing}");
    }

    #[test]
    fn a_reset_that_is_not_kept_gives_all_back() {
        let (fs, store) = filled();
        store.inner().step_writer();
        let before = observe(&store);
        fs.set_free(Some(0));
        // A large append needs room in its segment: the group that the reset is in fails.
        append(&store, LARGE, 0, vec![1; 80_000]).unwrap();
        renew(&store, 1000);
        assert_eq!(store.topics().len(), 2);
        store.inner().step_writer();
        assert!(store.write_trouble().is_some());
        assert_eq!(observe(&store), before);
        fs.set_free(None);
        store.inner().step_writer();
        assert!(store.write_trouble().is_none());
        append(&store, ORDERS, 0, vec![1; 10]).unwrap();
        wipe(&store).unwrap();
        store.inner().step_writer();
        assert!(store.topics().is_empty());
    }
}
