//! Names of the topics that dead letters are kept in.

use ottla_codec::records::RecordHeader;
use ottla_dlq::headers::{self, Origin};
use ottla_dlq::redrive::retry_topics;
use ottla_storage::Store;

use crate::settings::Settings;

/// The topic that a record in a retry topic of `group` came from; `None` if `name` is no such topic.
pub(crate) fn retried_from(name: &str, group: &str, record: &[RecordHeader]) -> Option<Origin> {
    if !name.ends_with(retry_topics::SUFFIX) {
        return None;
    }
    let origin = headers::origin(record);
    let topic = origin.topic.as_deref()?;
    (retry_topics::name(topic, group) == name).then_some(origin)
}

/// Whether `name` is the queue of another topic that exists. Asked with every event of a group, so without a name made for each topic.
pub(crate) fn is_queue(store: &Store, settings: &Settings, name: &str) -> bool {
    let topics = store.topics();
    let by_suffix = name
        .strip_suffix(&*settings.current().dead_letter_topic_suffix)
        .filter(|source| topics.by_name(source).is_some())
        .is_some_and(|source| settings.dead_letter_topic(store, source) == name);
    by_suffix
        || topics.iter().any(|topic| {
            let own = topic.configs.get("dlq.topic.name");
            own.is_some_and(|own| own == name) && *topic.name != *name
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retried_record_is_known_by_its_topic_and_group() {
        let failure = headers::Failure {
            topic: "orders",
            partition: 0,
            offset: 7,
            group: "billing",
            attempts: 2,
            message: "",
            timestamp_ms: 0,
            client: "",
        };
        let copy = headers::for_retry(&[], &failure, 0);
        let from = |name, group| retried_from(name, group, &copy).and_then(|o| o.topic);
        assert_eq!(
            from("orders.billing.retry", "billing").as_deref(),
            Some("orders")
        );
        assert_eq!(from("orders.billing.retry", "shipping"), None);
        assert_eq!(from("orders.dlq", "billing"), None);
        assert_eq!(retried_from("orders.billing.retry", "billing", &[]), None);
    }
}
