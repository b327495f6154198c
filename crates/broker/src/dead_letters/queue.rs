//! The topics that records are moved to, made on first use.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_storage::Topic;

use super::DeadLetters;
use crate::settings::Values;
use crate::topics::{Layout, TopicSpec};

/// What the headers of a copy may add to a record.
const ROOM_FOR_HEADERS: usize = 64 << 10;

impl DeadLetters {
    /// The topic `name` for records of `source`, with at least as many partitions. One that exists is used as it is.
    pub fn ensure_topic(&self, source: &Arc<Topic>, name: &str) -> Result<Arc<Topic>, String> {
        let found = match self.topics.by_name(name) {
            Some(topic) => topic,
            None => self.make_topic(source, name)?,
        };
        if found.partitions >= source.partitions {
            return Ok(found);
        }
        match self.topics.grow(name, source.partitions, None, false) {
            Ok(_) => {}
            // Somebody was faster.
            Err(refusal) if refusal.error == ResponseError::InvalidPartitions => {}
            Err(refusal) => {
                return Err(format!(
                    "topic {name} has fewer partitions than {} and cannot grow: {}",
                    source.name, refusal.message
                ));
            }
        }
        self.topics
            .by_name(name)
            .ok_or_else(|| format!("topic {name} was deleted while it grew"))
    }

    fn make_topic(&self, source: &Arc<Topic>, name: &str) -> Result<Arc<Topic>, String> {
        let limit = self.topics.config(source).log.max_message_bytes;
        let limit = limit
            .saturating_add(ROOM_FOR_HEADERS)
            .min(i32::MAX as usize);
        let mut configs = Values::new();
        let mut set = |name: &str, value: String| configs.insert(name.to_owned(), value);
        set("cleanup.policy", "delete".to_owned());
        set("max.message.bytes", limit.to_string());
        set("message.timestamp.type", "CreateTime".to_owned());
        set("retention.ms", "-1".to_owned());
        set("retention.bytes", "-1".to_owned());
        let spec = TopicSpec {
            name: name.to_owned(),
            layout: Layout::Counts {
                partitions: source.partitions,
                replication_factor: -1,
            },
            configs,
        };
        match self.topics.create(spec, false) {
            Ok(_) => tracing::info!(
                "created topic {name} for records of {} that cannot be processed",
                source.name
            ),
            Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => {}
            Err(refusal) => {
                return Err(format!(
                    "topic {name} cannot be created: {}. Another name can be set with dlq.topic.name",
                    refusal.message
                ));
            }
        }
        self.topics
            .by_name(name)
            .ok_or_else(|| format!("topic {name} was deleted as it was created"))
    }
}
