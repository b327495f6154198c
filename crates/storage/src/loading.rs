//! Partitions in memory: which are there, and how one gets there from its rows.

use std::sync::Arc;

use crate::catalog::Names;
use crate::meta;
use crate::partition::aborted::Blocks;
use crate::partition::row::{PartitionRow, StateRow};
use crate::partition::{Loaded, Partition};
use crate::store::Inner;
use crate::topic::TopicId;

impl Inner {
    /// All that are in memory, in the order in which they came there: that of all who lock several, and the same in each run of a simulation.
    pub(crate) fn loaded_partitions(&self) -> Vec<Arc<Partition>> {
        let mut loaded: Vec<_> = self.partitions.read().values().cloned().collect();
        loaded.sort_by_key(|p| p.uid());
        loaded
    }

    pub(crate) fn partition(&self, topic: &TopicId, index: i32) -> Option<Arc<Partition>> {
        let key = (*topic, index);
        if let Some(partition) = self.partitions.read().get(&key) {
            return (!partition.is_deleted()).then(|| partition.clone());
        }
        // Also keeps the topic from being deleted, and two threads from loading the same partition.
        let names = self.catalog.lock();
        if let Some(partition) = self.partitions.read().get(&key) {
            return (!partition.is_deleted()).then(|| partition.clone());
        }
        match self.load_partition(&names, topic, index) {
            Ok(partition) => {
                let partition = partition?;
                if let Err(e) = partition
                    .drop_deleted()
                    .and_then(|()| partition.cut_files())
                {
                    tracing::error!(%topic, index, error = %e, "cannot cut a segment to its known end");
                    return None;
                }
                self.partitions.write().insert(key, partition.clone());
                Some(partition)
            }
            Err(e) => {
                tracing::error!(%topic, index, error = %e, "cannot load a partition");
                None
            }
        }
    }

    /// Makes a partition from its rows. `Ok(None)`: there is none.
    pub(crate) fn load_partition(
        &self,
        names: &Names,
        topic: &TopicId,
        index: i32,
    ) -> Result<Option<Arc<Partition>>, String> {
        let label = names.labels.get(topic).cloned();
        let (Some(found), Some(label)) = (self.catalog.get(topic), label) else {
            return Ok(None);
        };
        if index < 0 || index >= found.partitions {
            return Ok(None);
        }
        let key = crate::partition::row::partition_key(topic, index);
        let get = |tree| self.get(tree, &key).map_err(|e| e.to_string());
        let row = match get(meta::PARTITIONS)? {
            Some(row) => {
                Some(PartitionRow::decode(&row).map_err(|e| format!("the partition's row: {e}"))?)
            }
            None => None,
        };
        let log_start = match get(meta::LOG_STARTS)? {
            Some(v) => i64::from_be_bytes(
                v[..]
                    .try_into()
                    .map_err(|_| "the log start's row is not 8 bytes".to_owned())?,
            ),
            None => 0,
        };
        let state: Option<StateRow> = match get(meta::STATES)? {
            Some(row) => Some(
                postcard::from_bytes(&row).map_err(|e| format!("the producer state's row: {e}"))?,
            ),
            None => None,
        };
        let blocks = Blocks::load(&*self.meta, &key, self.tuning.block_offsets)
            .map_err(|e| format!("blocks of aborted transactions: {e}"))?;
        let factory = &self.core.options.partition_state;
        let state_end = state.as_ref().map_or(0, |s| s.end);
        let state = factory.load(state.as_ref().map(|s| &s.snapshot[..]))?;
        let config = (self.core.options.log_config)(&found.configs);
        Ok(Some(Partition::new(
            &self.core,
            Loaded {
                topic: *topic,
                index,
                dir: crate::catalog::partition_dir(&self.topics_dir(), &label, index),
                row,
                log_start,
                state,
                state_end,
                blocks,
                config: Arc::new(config),
            },
        )))
    }
}
