//! The settings that the policy of one group on one topic follows. The broker resolves them: group, then topic, then broker.

/// `dlq.mode`: what a group's failures lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing: markers in commits are ordinary metadata, and nobody is watched.
    Off,
    /// Explicit nacks count and dead-letter; crash loops are only reported.
    #[default]
    Detect,
    /// Crash loops are isolated and their records dead-lettered, too.
    Enforce,
}

/// `dlq.retry.mode`: what a nacked record does to those behind it while it waits for `dlq.retry.backoff.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryMode {
    /// The partition waits.
    #[default]
    Ordered,
    /// The record waits in the group's retry topic, the partition goes on.
    Unordered,
}

/// The settings of one group on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `dlq.mode`.
    pub mode: Mode,
    /// `dlq.max.attempts`: failures of a record until it is dead-lettered, or isolated if it is not known which record fails. 1 or more.
    pub max_attempts: u32,
    /// `dlq.isolation.attempts`: failures of a record that was alone in its window. 1 or more.
    pub isolation_attempts: u32,
    /// `dlq.isolation.patience.ms`: a member that lives, has all of its window, and commits nothing for this long gets a larger one.
    pub isolation_patience_ms: u64,
    /// `dlq.breaker.consecutive`: records in a row that fail with none committed between open the breaker. 0: never.
    pub breaker_consecutive: u32,
    /// `dlq.breaker.partitions`: partitions in which a record failed alone, with nothing committed between, open the breaker. 0: never.
    pub breaker_partitions: u32,
    /// `dlq.retry.backoff.ms`: wait after the first nack of a record; doubles with each further one. 0: none.
    pub retry_backoff_ms: u64,
    /// `dlq.retry.backoff.max.ms`: the longest wait.
    pub retry_backoff_max_ms: u64,
    /// `dlq.retry.mode`.
    pub retry_mode: RetryMode,
    /// `dlq.redrive.max`: how often a record moves back from the queue. 0: never.
    pub redrive_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mode: Mode::Detect,
            max_attempts: 5,
            isolation_attempts: 2,
            isolation_patience_ms: 10_000,
            breaker_consecutive: 5,
            breaker_partitions: 3,
            retry_backoff_ms: 0,
            retry_backoff_max_ms: 60_000,
            retry_mode: RetryMode::Ordered,
            redrive_max: 3,
        }
    }
}
