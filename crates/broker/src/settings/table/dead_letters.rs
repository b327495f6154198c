//! Settings of dead letters. Most exist three times: as the broker's default, of a topic, and of a group, which goes before both.

use super::super::definition::{Definition, Kind::*, Scope, Synonym, Unit, Update, broker, topic};

const MODE: Definition = broker(
    "dlq.mode",
    String,
    "detect",
    "What failures of a group lead to: `off` nothing; with `detect` nacked records are dead-lettered and crash loops only reported; with `enforce` the record that crashes consumers is found and dead-lettered, too.",
)
.high()
.cluster_wide()
.one_of(&["off", "detect", "enforce"]);

const MAX_ATTEMPTS: Definition = broker(
    "dlq.max.attempts",
    Int,
    "5",
    "How often a record fails until it is dead-lettered; in a crash loop, until the record that causes it is searched for.",
)
.high()
.cluster_wide()
.at_least(1);

const ISOLATION_ATTEMPTS: Definition = broker(
    "dlq.isolation.attempts",
    Int,
    "2",
    "How often members must die on a record that they were served alone until it is dead-lettered.",
)
.cluster_wide()
.at_least(1);

const ISOLATION_PATIENCE: Definition = broker(
    "dlq.isolation.patience.ms",
    Long,
    "10000",
    "While a failing record is searched for: after how many milliseconds without a commit a member that lives is served more.",
)
.cluster_wide()
.at_least(1);

const BREAKER_CONSECUTIVE: Definition = broker(
    "dlq.breaker.consecutive",
    Int,
    "5",
    "Records in a row that fail with none committed between, until dead-lettering stops for the group: then the consumer is broken and not the data. 0 for no limit.",
)
.cluster_wide()
.at_least(0);

const BREAKER_PARTITIONS: Definition = broker(
    "dlq.breaker.partitions",
    Int,
    "3",
    "Partitions in which a record failed alone with nothing committed between, until dead-lettering stops for the group. 0 for no limit.",
)
.cluster_wide()
.at_least(0);

const RETRY_BACKOFF: Definition = broker(
    "dlq.retry.backoff.ms",
    Long,
    "0",
    "Milliseconds until a nacked record comes again; doubles with each further nack.",
)
.cluster_wide()
.at_least(0);

const RETRY_BACKOFF_MAX: Definition = broker(
    "dlq.retry.backoff.max.ms",
    Long,
    "60000",
    "The longest wait of a nacked record, in milliseconds.",
)
.cluster_wide()
.at_least(0);

const RETRY_MODE: Definition = broker(
    "dlq.retry.mode",
    String,
    "ordered",
    "What a nacked record that waits does to those behind it: `ordered` lets its partition wait with it; `unordered` moves it to `<topic>.<group>.retry`, and the partition goes on.",
)
.cluster_wide()
.one_of(&["ordered", "unordered"]);

const REDRIVE_MAX: Definition = broker(
    "dlq.redrive.max",
    Int,
    "3",
    "How often a record moves back from the queue; after that it stays there.",
)
.cluster_wide()
.at_least(0);

const fn same(name: &'static str) -> Synonym {
    Synonym {
        name,
        unit: Unit::Same,
    }
}

/// A broker setting as one of a topic or a group.
const fn at(scope: Scope, definition: Definition, default: &'static [Synonym]) -> Definition {
    Definition {
        scope,
        update: Update::ClusterWide,
        synonyms: default,
        ..definition
    }
}

/// The rows of a scope below the broker: those that the broker gives a default, then others.
macro_rules! rows_at {
    ($scope:expr, $($definition:ident)*; $($alone:ident)*) => {
        [$(at($scope, $definition, &[same($definition.name)]),)* $($alone,)*]
    };
}

pub(super) const BROKER: &[Definition] = &[
    MODE,
    MAX_ATTEMPTS,
    ISOLATION_ATTEMPTS,
    ISOLATION_PATIENCE,
    BREAKER_CONSECUTIVE,
    BREAKER_PARTITIONS,
    RETRY_BACKOFF,
    RETRY_BACKOFF_MAX,
    RETRY_MODE,
    REDRIVE_MAX,
    broker(
        "dlq.topic.suffix",
        String,
        ".dlq",
        "What is added to a topic's name for that of its dead letter queue, where `dlq.topic.name` does not name one.",
    )
    .cluster_wide()
    .topic_name_part(),
];

const TOPIC_NAME: Definition = topic(
    "dlq.topic.name",
    String,
    "",
    &[],
    "The topic's dead letter queue. Empty: the topic's name with `dlq.topic.suffix`.",
)
.topic_name_part();

pub(super) const TOPIC: &[Definition] = &rows_at!(Scope::Topic,
    MODE MAX_ATTEMPTS ISOLATION_ATTEMPTS ISOLATION_PATIENCE BREAKER_CONSECUTIVE BREAKER_PARTITIONS
    RETRY_BACKOFF RETRY_BACKOFF_MAX RETRY_MODE REDRIVE_MAX; TOPIC_NAME);

pub(super) const GROUP: &[Definition] = &rows_at!(Scope::Group,
    MODE MAX_ATTEMPTS ISOLATION_ATTEMPTS ISOLATION_PATIENCE BREAKER_CONSECUTIVE BREAKER_PARTITIONS
    RETRY_BACKOFF RETRY_BACKOFF_MAX RETRY_MODE REDRIVE_MAX;);
