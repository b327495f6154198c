//! Retention over all partitions.

use std::sync::Arc;

use crate::error::StoreError;
use crate::meta;
use crate::partition::row::{PartitionRow, partition_key};
use crate::store::Inner;
use crate::topic::{Topic, TopicId};

impl Inner {
    /// Applies retention to every partition; those that are not loaded are loaded only if something is to go.
    pub(crate) fn run_retention(&self, now_ms: i64) -> Result<usize, StoreError> {
        let mut removed = 0;
        for topic in self.catalog.topics().iter() {
            let config = Arc::new((self.core.options.log_config)(&topic.configs));
            if !config.cleanup_policy.delete {
                continue;
            }
            for index in 0..topic.partitions {
                let loaded = self.partitions.read().get(&(topic.id, index)).cloned();
                let partition = match loaded {
                    Some(partition) => Some(partition),
                    None if self.stored_is_due(topic, index, &config, now_ms)? => {
                        self.partition(&topic.id, index)
                    }
                    None => None,
                };
                if let Some(partition) = partition {
                    removed += partition.retain(self, now_ms)?;
                }
            }
        }
        Ok(removed)
    }

    fn stored_is_due(
        &self,
        topic: &Topic,
        index: i32,
        config: &Arc<crate::LogConfig>,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let id: &TopicId = &topic.id;
        let Some(row) = self.get(meta::PARTITIONS, &partition_key(id, index))? else {
            return Ok(false);
        };
        match PartitionRow::decode(&row) {
            Ok(row) => Ok(Inner::row_is_due(&row, config, now_ms)),
            Err(e) => {
                tracing::error!(topic = %topic.name, index, error = %e, "a partition's row is damaged");
                Ok(false)
            }
        }
    }
}
