//! Topics: names, creation (asked for and automatic), deletion, growth. One place for the rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_storage::{Commit, NewTopic, Store, Topic, TopicId};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::clock::wall_ms;
use crate::errors::{self, Refusal};
use crate::settings::{AlterError, Changes, Settings, TopicConfig, Values};

/// The most partitions that one request may make, as in Kafka.
pub(crate) const MAX_NEW_PARTITIONS: i64 = 10_000;

/// Kafka's log of cluster metadata, which is no topic that clients see.
pub(crate) const CLUSTER_METADATA: &str = "__cluster_metadata";
/// Topics that Kafka keeps the state of its coordinators in. Here that state is in no topic, and the names stay free of
/// anything else: a client that finds records there would read them as groups or transactions.
const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__share_group_state",
    "__transaction_state",
];

/// Whether `name` is that of a topic which Kafka keeps its own state in.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// How many partitions a topic is to have, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A number of partitions and a replication factor; -1 is the broker's default.
    Counts {
        partitions: i32,
        replication_factor: i16,
    },
    /// Partition index and the brokers that are to hold it.
    Manual(Vec<(i32, Vec<i32>)>),
}

/// A topic to create.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) struct TopicSpec {
    pub name: String,
    pub layout: Layout,
    pub configs: Values,
}

/// What creation gave, or would give.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) struct Created {
    pub id: TopicId,
    pub partitions: i32,
    pub configs: Values,
    /// `None` if it was only validated.
    pub commit: Option<Commit>,
}

struct CachedConfig {
    topic: Arc<Topic>,
    generation: u64,
    config: Arc<TopicConfig>,
}

/// See the module.
pub(crate) struct TopicService {
    store: Store,
    settings: Arc<Settings>,
    /// Names are checked against each other, so topics are made one at a time; so are changes of their settings.
    changing: Mutex<()>,
    configs: RwLock<HashMap<TopicId, CachedConfig>>,
}

impl TopicService {
    /// A service over the store's catalogue.
    pub fn new(store: Store, settings: Arc<Settings>) -> TopicService {
        TopicService {
            store,
            settings,
            changing: Mutex::new(()),
            configs: RwLock::default(),
        }
    }

    /// By name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.store.topics().by_name(name).cloned()
    }

    /// By id.
    pub fn by_id(&self, id: &TopicId) -> Option<Arc<Topic>> {
        self.store.topics().by_id(id).cloned()
    }

    /// The settings in force for a topic. Remembered, so that it can be asked for with every batch.
    pub fn config(&self, topic: &Arc<Topic>) -> Arc<TopicConfig> {
        let generation = self.settings.generation();
        if let Some(cached) = self.configs.read().get(&topic.id)
            && cached.generation == generation
            && Arc::ptr_eq(&cached.topic, topic)
        {
            return cached.config.clone();
        }
        let config = Arc::new(self.settings.topic_config(&topic.configs));
        let cached = CachedConfig {
            topic: topic.clone(),
            generation,
            config: config.clone(),
        };
        self.configs.write().insert(topic.id, cached);
        config
    }

    /// Creates a topic because a client asked for it by name; the one that is there if somebody was faster.
    pub fn auto_create(&self, name: &str) -> Result<(Arc<Topic>, Option<Commit>), Refusal> {
        if is_internal(name) || name == CLUSTER_METADATA {
            return Err(Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                format!("topic {name} is internal to Kafka"),
            ));
        }
        let spec = TopicSpec {
            name: name.to_owned(),
            layout: Layout::Counts {
                partitions: -1,
                replication_factor: -1,
            },
            configs: Values::new(),
        };
        let created = match self.create(spec, false) {
            Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => None,
            other => Some(other?),
        };
        let topic = self.by_name(name).ok_or_else(|| {
            Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                "the topic was deleted as it was created",
            )
        })?;
        Ok((topic, created.and_then(|created| created.commit)))
    }

    /// Creates a topic, usable when this returns and durable with its commit; or only says whether it could.
    pub fn create(&self, spec: TopicSpec, validate_only: bool) -> Result<Created, Refusal> {
        validate_name(&spec.name)?;
        if is_internal(&spec.name) {
            // Told as Kafka tells it once it has the topic, which tools that want it to be there take for good news.
            return Err(Refusal::new(
                ResponseError::TopicAlreadyExists,
                format!(
                    "Topic '{}' already exists: the broker keeps this name for itself.",
                    spec.name
                ),
            ));
        }
        let _one_at_a_time = self.changing.lock();
        let topics = self.store.topics();
        // Kafka's order: a collision goes before an existing topic of that very name, which does not collide with itself.
        if let Some(other) = topics
            .iter()
            .find(|other| *other.name != *spec.name && collide(&other.name, &spec.name))
        {
            return Err(Refusal::new(
                ResponseError::InvalidTopicException,
                format!(
                    "Topic '{}' collides with existing topic: {}",
                    spec.name, other.name
                ),
            ));
        }
        if topics.by_name(&spec.name).is_some() {
            return Err(exists(&spec.name));
        }
        let configs = self
            .settings
            .checked_topic(&spec.configs)
            .map_err(refusal)?;
        check_queue(&spec.name, &configs)?;
        let partitions = self.partitions(&spec)?;
        let id = new_id();
        let commit = if validate_only {
            None
        } else {
            let new = NewTopic {
                id,
                name: spec.name.clone(),
                partitions,
                configs: configs.clone(),
                created_ms: wall_ms(),
            };
            match self.store.create_topic(new) {
                Ok(Some((_, commit))) => Some(commit),
                Ok(None) => return Err(exists(&spec.name)),
                Err(error) => return Err(Refusal::new(errors::store(&error), error.to_string())),
            }
        };
        Ok(Created {
            id,
            partitions,
            configs,
            commit,
        })
    }

    fn partitions(&self, spec: &TopicSpec) -> Result<i32, Refusal> {
        let settings = self.settings.current();
        match &spec.layout {
            Layout::Manual(assignments) => {
                if assignments.len() as i64 > MAX_NEW_PARTITIONS {
                    return Err(too_many_partitions());
                }
                let mut indexes = BTreeSet::new();
                for (index, brokers) in assignments {
                    if !indexes.insert(*index) {
                        return Err(bad_assignment(format!(
                            "Found multiple manual partition assignments for partition {index}"
                        )));
                    }
                    check_assignment(brokers, settings.node_id)?;
                }
                if indexes
                    .iter()
                    .copied()
                    .ne(0..i32::try_from(indexes.len()).unwrap_or(i32::MAX))
                {
                    return Err(bad_assignment(
                        "partitions should be a consecutive 0-based integer sequence".to_owned(),
                    ));
                }
                Ok(i32::try_from(indexes.len()).unwrap_or(i32::MAX))
            }
            Layout::Counts {
                replication_factor, ..
            } if *replication_factor < -1 || *replication_factor == 0 => Err(Refusal::new(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )),
            Layout::Counts { partitions, .. } if *partitions < -1 || *partitions == 0 => {
                Err(Refusal::new(
                    ResponseError::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.",
                ))
            }
            Layout::Counts {
                partitions,
                replication_factor,
            } => {
                let wanted = match replication_factor {
                    -1 => settings.default_replication_factor,
                    factor => i32::from(*factor),
                };
                if wanted > 1 {
                    if !settings.auto_lower_replication_factor {
                        return Err(Refusal::new(
                            ResponseError::InvalidReplicationFactor,
                            format!(
                                "Unable to replicate the partition {wanted} time(s): The target replication factor of {wanted} cannot be reached because only 1 broker(s) are registered."
                            ),
                        ));
                    }
                    tracing::warn!(topic = %spec.name, wanted, "there is one broker: the replication factor is lowered to 1");
                }
                let partitions = if *partitions == -1 {
                    settings.num_partitions
                } else {
                    *partitions
                };
                if i64::from(partitions) > MAX_NEW_PARTITIONS {
                    return Err(too_many_partitions());
                }
                Ok(partitions)
            }
        }
    }

    /// Deletes a topic; `None` if it is gone already.
    pub fn delete(&self, id: &TopicId) -> Result<Option<Commit>, Refusal> {
        let _one_at_a_time = self.changing.lock();
        let commit = self
            .store
            .delete_topic(id)
            .map_err(|error| Refusal::new(errors::store(&error), error.to_string()))?;
        self.configs.write().remove(id);
        Ok(commit)
    }

    /// Runs what changes all topics, while nobody else changes any.
    pub fn reset<T>(&self, run: impl FnOnce() -> T) -> T {
        let _one_at_a_time = self.changing.lock();
        let done = run();
        self.configs.write().clear();
        done
    }

    /// Grows a topic to `total` partitions; `None` if it was only validated.
    pub fn grow(
        &self,
        name: &str,
        total: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> Result<Option<Commit>, Refusal> {
        let _one_at_a_time = self.changing.lock();
        let unknown = || {
            Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            )
        };
        let topic = self.by_name(name).ok_or_else(unknown)?;
        if total == topic.partitions {
            return Err(Refusal::new(
                ResponseError::InvalidPartitions,
                format!("Topic already has {total} partition(s)."),
            ));
        }
        if total < topic.partitions {
            return Err(Refusal::new(
                ResponseError::InvalidPartitions,
                format!(
                    "The topic {name} currently has {} partition(s); {total} would not be an increase.",
                    topic.partitions
                ),
            ));
        }
        let additional = i64::from(total) - i64::from(topic.partitions);
        if additional > MAX_NEW_PARTITIONS {
            return Err(too_many_partitions());
        }
        if let Some(assignments) = assignments {
            if assignments.len() as i64 != additional {
                return Err(bad_assignment(format!(
                    "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                )));
            }
            let node_id = self.settings.current().node_id;
            assignments
                .iter()
                .try_for_each(|brokers| check_assignment(brokers, node_id))?;
        }
        if validate_only {
            return Ok(None);
        }
        match self.store.create_partitions(&topic.id, total) {
            Ok(Some(commit)) => Ok(Some(commit)),
            Ok(None) => Err(unknown()),
            Err(error) => Err(Refusal::new(errors::store(&error), error.to_string())),
        }
    }

    /// Changes a topic's own settings; `None` if nothing had to be written.
    pub fn alter_configs(
        &self,
        name: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<Option<Commit>, Refusal> {
        let _one_at_a_time = self.changing.lock();
        let topic = self.by_name(name);
        let own = topic
            .as_ref()
            .map(|topic| topic.configs.clone())
            .unwrap_or_default();
        // As in Kafka, a bad setting is told before an unknown topic.
        let changed = self
            .settings
            .altered_topic(&own, changes)
            .map_err(refusal)?;
        check_queue(name, &changed)?;
        let unknown = || {
            Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            )
        };
        let topic = topic.ok_or_else(unknown)?;
        if validate_only || changed == topic.configs {
            return Ok(None);
        }
        match self.store.set_topic_configs(&topic.id, changed) {
            Ok(Some(commit)) => Ok(Some(commit)),
            Ok(None) => Err(unknown()),
            Err(error) => Err(Refusal::new(errors::store(&error), error.to_string())),
        }
    }
}

/// A topic is not its own dead letter queue: its dead letters would be served again as records.
fn check_queue(name: &str, configs: &Values) -> Result<(), Refusal> {
    if configs
        .get("dlq.topic.name")
        .is_some_and(|queue| queue == name)
    {
        return Err(Refusal::new(
            ResponseError::InvalidConfig,
            format!(
                "Invalid value {name} for configuration dlq.topic.name: it is the topic itself; name another one, or none for the default"
            ),
        ));
    }
    Ok(())
}

/// A topic id as Kafka makes them: random, but never one whose text starts with a dash, which tools would take for an option.
pub(crate) fn new_id() -> TopicId {
    loop {
        let id = Uuid::new_v4();
        // The first six bits are the first character of the base64url text; 62 is the dash.
        if id.as_bytes()[0] >> 2 != 62 {
            return id;
        }
    }
}

/// Whether a name is one that Kafka allows (KAFKA-495): 1 to 249 of letters, digits, `.`, `_`, `-`, and not `.` or `..`.
pub(crate) fn validate_name(name: &str) -> Result<(), Refusal> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > 249 {
        format!("the length of '{name}' is longer than the max allowed length 249")
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        ResponseError::InvalidTopicException,
        format!("Topic name is invalid: {reason}"),
    ))
}

/// Names that differ in `.` and `_` only make the same metric name in Kafka.
fn collide(a: &str, b: &str) -> bool {
    let unify = |byte: u8| if byte == b'.' { b'_' } else { byte };
    a.len() == b.len() && a.bytes().map(unify).eq(b.bytes().map(unify))
}

/// There is one broker, so a partition's replicas are that one.
/// Whether these brokers can hold a partition: the one broker, once.
pub(crate) fn check_assignment(brokers: &[i32], node_id: i32) -> Result<(), Refusal> {
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() {
        return Err(bad_assignment(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        ));
    }
    let mut previous = None;
    for broker in sorted {
        if broker != node_id {
            return Err(bad_assignment(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is registered."
            )));
        }
        if previous == Some(broker) {
            return Err(bad_assignment(format!(
                "The manual partition assignment includes the broker {broker} more than once."
            )));
        }
        previous = Some(broker);
    }
    Ok(())
}

fn bad_assignment(message: String) -> Refusal {
    Refusal::new(ResponseError::InvalidReplicaAssignment, message)
}

pub(crate) fn too_many_partitions() -> Refusal {
    Refusal::new(
        ResponseError::PolicyViolation,
        "Excessively large number of partitions per request.",
    )
}

fn exists(name: &str) -> Refusal {
    Refusal::new(
        ResponseError::TopicAlreadyExists,
        format!("Topic '{name}' already exists."),
    )
}

/// A refused change of settings in the protocol's terms.
pub(crate) fn refusal(error: AlterError) -> Refusal {
    let code = match &error {
        AlterError::InvalidConfig(_) => ResponseError::InvalidConfig,
        AlterError::InvalidRequest(_) => ResponseError::InvalidRequest,
        AlterError::Store(error) => errors::store(error),
    };
    Refusal::new(code, error.to_string())
}

#[cfg(test)]
mod tests;
