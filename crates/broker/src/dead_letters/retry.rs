//! Retry topics: made on first use.

use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_storage::Topic;

use crate::settings::Values;
use crate::state::BrokerState;
use crate::topics::{Layout, TopicSpec};

/// What the headers of a copy may add to a record.
const ROOM_FOR_HEADERS: usize = 64 << 10;

/// The retry topic `name` of `source`. One that exists is used as it is.
pub(crate) fn ensure(
    broker: &BrokerState,
    name: &str,
    source: &Arc<Topic>,
) -> Result<Arc<Topic>, String> {
    let limit = broker.topics.config(source).log.max_message_bytes;
    let limit = limit
        .saturating_add(ROOM_FOR_HEADERS)
        .min(i32::MAX as usize);
    let configs = Values::from(
        [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("max.message.bytes", limit.to_string()),
            ("message.timestamp.type", "CreateTime".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let spec = TopicSpec {
        name: name.to_owned(),
        layout: Layout::Counts {
            partitions: source.partitions,
            replication_factor: -1,
        },
        configs,
    };
    match broker.topics.create(spec, false) {
        Ok(_) => {}
        Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => {}
        Err(refusal) => {
            return Err(format!(
                "the retry topic {name} cannot be created: {}",
                refusal.message
            ));
        }
    }
    broker
        .topics
        .by_name(name)
        .ok_or_else(|| format!("the retry topic {name} was deleted as it was created"))
}
