//! Errors in the words of Kafka's clients, which scripts look for.

use std::fmt;

use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{BrokerError, ClientError};

/// What went wrong: the message that Kafka's exception would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    /// The broker's error, if it was the broker that refused.
    pub error: Option<ResponseError>,
}

impl Failure {
    /// A failure that this message tells.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            error: None,
        }
    }

    /// An error code, with the broker's message if it had one.
    pub fn of_code(code: i16, message: Option<&str>) -> Result<(), Failure> {
        match BrokerError::check(code) {
            Ok(()) => Ok(()),
            Err(error) => Err(Failure {
                message: words(error, message),
                error: Some(error.0),
            }),
        }
    }

    /// The message of an exception that this one is the cause of: the broker's errors with their class.
    pub fn as_cause(&self) -> String {
        match self.error {
            Some(_) => format!("{}: {self}", self.class()),
            None => self.to_string(),
        }
    }

    /// The exception's class, as stack traces name it.
    pub fn class(&self) -> String {
        let Some(error) = self.error else {
            return "java.lang.RuntimeException".to_owned();
        };
        let name = match error {
            ResponseError::TopicAlreadyExists => "TopicExists".to_owned(),
            ResponseError::NonEmptyGroup => "GroupNotEmpty".to_owned(),
            ResponseError::InvalidConfig => "InvalidConfiguration".to_owned(),
            ResponseError::RequestTimedOut => "Timeout".to_owned(),
            ResponseError::UnknownServerError | ResponseError::Unknown(_) => {
                "UnknownServer".to_owned()
            }
            // Some of the names end in it, some do not.
            other => format!("{other:?}")
                .trim_end_matches("Exception")
                .to_owned(),
        };
        format!("org.apache.kafka.common.errors.{name}Exception")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let message = match &error {
            ClientError::Broker { error, message, .. } => words(*error, message.as_deref()),
            other => other.to_string(),
        };
        Failure {
            message,
            error: error.broker_error(),
        }
    }
}

/// The broker's message, else that which Kafka's clients have for the code. A code without one here is shown by its name.
fn words(error: BrokerError, message: Option<&str>) -> String {
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        return message.to_owned();
    }
    use ResponseError as E;
    let known = match error.0 {
        E::UnknownServerError => {
            "The server experienced an unexpected error when processing the request."
        }
        E::OffsetOutOfRange => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        E::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        E::UnknownTopicId => "This server does not host this topic ID.",
        E::LeaderNotAvailable => {
            "There is no leader for this topic-partition as we are in the middle of a leadership election."
        }
        E::RequestTimedOut => "The request timed out.",
        E::MessageTooLarge => {
            "The request included a message larger than the max message size the server will accept."
        }
        E::CoordinatorNotAvailable => "The coordinator is not available.",
        E::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        E::NotCoordinator => "This is not the correct coordinator.",
        E::InvalidTopicException => {
            "The request attempted to perform an operation on an invalid topic."
        }
        E::InvalidGroupId => "The configured groupId is invalid.",
        E::UnknownMemberId => "The coordinator is not aware of this member.",
        E::RebalanceInProgress => "The group is rebalancing, so a rejoin is needed.",
        E::UnsupportedVersion => "The version of API is not supported.",
        E::TopicAlreadyExists => "Topic with this name already exists.",
        E::InvalidPartitions => "Number of partitions is below 1.",
        E::InvalidReplicationFactor => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        E::InvalidReplicaAssignment => "Replica assignment is invalid.",
        E::InvalidConfig => "Configuration is invalid.",
        E::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        E::NonEmptyGroup => "The group is not empty.",
        E::GroupIdNotFound => "The group id does not exist.",
        E::GroupSubscribedToTopic => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        E::InvalidProducerEpoch => "Producer attempted to produce with an old epoch.",
        E::ElectionNotNeeded => "Leader election not needed for topic partition.",
        E::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        E::NoReassignmentInProgress => "No partition reassignment is in progress.",
        _ => return error.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_message_comes_before_the_codes_and_the_codes_before_its_name() {
        let text = |code, message| Failure::of_code(code, message).unwrap_err().to_string();
        assert_eq!(
            text(36, Some("Topic 'a' already exists.")),
            "Topic 'a' already exists."
        );
        assert_eq!(text(36, Some("")), "Topic with this name already exists.");
        assert_eq!(text(31, None), "CLUSTER_AUTHORIZATION_FAILED");
        assert_eq!(Failure::of_code(0, None), Ok(()));
    }

    #[test]
    fn classes_are_named_as_kafka_does() {
        for (code, class) in [
            (3, "UnknownTopicOrPartitionException"),
            (17, "InvalidTopicException"),
            (36, "TopicExistsException"),
            (40, "InvalidConfigurationException"),
            (68, "GroupNotEmptyException"),
        ] {
            let failure = Failure::of_code(code, None).unwrap_err();
            assert_eq!(
                failure.class(),
                format!("org.apache.kafka.common.errors.{class}")
            );
        }
    }
}
