//! How a command fails: what went wrong, what to do next, and the exit code.

use crate::talk::say;
use std::process::ExitCode;

use ottla_client::ClientError;
use ottla_client::kafka_protocol::ResponseError;

/// The exit code of a result; tells of a failure on stderr. A closed pipe is how `head` says that it has enough.
pub fn exit_code(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say!("ottla: {}", chain(&error));
            if let Some(hint) = error.downcast_ref::<ClientError>().and_then(hint) {
                say!("  {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, without those that the text before has told already.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What to do about an error of the client.
pub fn hint(error: &ClientError) -> Option<&'static str> {
    use std::io::ErrorKind::{ConnectionRefused, TimedOut};
    match error {
        ClientError::Connect { source, .. } if source.kind() == ConnectionRefused => {
            Some("Is a broker running there? Start one with: ottla serve")
        }
        ClientError::Connect { source, .. } if source.kind() == TimedOut => Some(
            "Nothing answers at that address: check host, port and firewall (--bootstrap-server).",
        ),
        ClientError::Connect { .. } => {
            Some("Check the address; another one is given with --bootstrap-server host:port.")
        }
        ClientError::Closed { .. } | ClientError::BadFrame { .. } => {
            Some("Does a Kafka protocol listener without TLS answer on that port?")
        }
        ClientError::Timeout { .. } => Some(
            "Does a Kafka protocol listener without TLS answer on that port, and is the broker overloaded?",
        ),
        ClientError::Broker { .. } => match error.broker_error()? {
            ResponseError::UnknownTopicOrPartition => Some(
                "See what there is with: ottla topic list. Create it with: ottla topic create NAME",
            ),
            ResponseError::TopicAlreadyExists => Some(
                "Use --if-not-exists to accept that, or look at it with: ottla topic describe NAME",
            ),
            ResponseError::GroupIdNotFound => Some("See what there is with: ottla group list"),
            ResponseError::NonEmptyGroup => {
                Some("Stop its members first; see them with: ottla group describe GROUP")
            }
            ResponseError::UnknownMemberId => Some(
                "The group has members: stop them first; see them with: ottla group describe GROUP",
            ),
            ResponseError::OffsetOutOfRange => {
                Some("That offset is not there; use --offset beginning, end, or @TIMESTAMP.")
            }
            ResponseError::MessageTooLarge => Some(
                "Raise the topic's limit with: ottla topic alter NAME --config max.message.bytes=N",
            ),
            ResponseError::InvalidConfig => {
                Some("See a topic's settings with: ottla topic describe NAME --all-configs")
            }
            ResponseError::InvalidReplicationFactor => Some(
                "There are fewer brokers than replicas asked for; leave --replication-factor out.",
            ),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error: anyhow::Error = ClientError::Connect {
            address: "h:1".to_owned(),
            source: refused(),
        }
        .into();
        assert_eq!(chain(&error), "cannot connect to h:1: connection refused");
        let error = Err::<(), _>(refused()).context("reading").unwrap_err();
        assert_eq!(chain(&error), "reading: connection refused");
    }

    #[test]
    fn a_refused_connection_says_how_to_start_a_broker() {
        let error = ClientError::Connect {
            address: "h:1".to_owned(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        };
        assert!(hint(&error).is_some_and(|hint| hint.contains("ottla serve")));
    }
}
