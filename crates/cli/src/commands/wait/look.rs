//! Looks whether conditions hold.

use std::time::Duration;

use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::kafka_protocol::ResponseError;
use ottla_client::{Client, ClientError, ClientOptions, ConnectionOptions, Topics};
use serde_json::Value;

use super::condition::{Condition, What};
use crate::args::ClientArgs;
use crate::commands::group::describe::{Standing, standings};
use crate::http::{Http, Told, path};

/// How long a connection and an answer may take. An address that swallows packets is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How a condition was found.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub holds: bool,
    /// For people.
    pub state: String,
}

impl Seen {
    pub(super) fn not(state: impl Into<String>) -> Seen {
        Seen::when(false, state)
    }

    fn when(holds: bool, state: impl Into<String>) -> Seen {
        Seen {
            holds,
            state: state.into(),
        }
    }
}

/// A client that keeps its connections from one look to the next.
pub(super) struct Looker {
    bootstrap: Vec<String>,
    client: Option<Client>,
}

impl Looker {
    pub(super) fn new(args: &ClientArgs) -> Looker {
        Looker {
            bootstrap: args.bootstrap_server.clone(),
            client: None,
        }
    }

    /// Looks at all of them, in their order.
    pub(super) async fn look(&mut self, conditions: &[Condition]) -> Vec<Seen> {
        // Taken out while it is used: a look that is cut off in the middle of an answer leaves none behind.
        let mut client = self.client.take();
        let mut seen = Vec::with_capacity(conditions.len());
        for condition in conditions {
            seen.push(self.one(&mut client, &condition.what).await);
        }
        self.client = client;
        seen
    }

    async fn one(&self, client: &mut Option<Client>, what: &What) -> Seen {
        let looked = match what {
            What::Http { address } => return self.http(address.as_deref()).await,
            What::DeadLetters { topic, records } => {
                return self.dead_letters(topic, *records).await;
            }
            _ => self.ask(client, what).await,
        };
        looked.unwrap_or_else(|error| {
            *client = None;
            Seen::not(error.to_string())
        })
    }

    async fn ask(&self, client: &mut Option<Client>, what: &What) -> Result<Seen, ClientError> {
        if client.is_none() {
            let options = ClientOptions {
                connection: ConnectionOptions {
                    connect_timeout: CONNECT_TIMEOUT,
                    request_timeout: REQUEST_TIMEOUT,
                    ..ConnectionOptions::default()
                },
                // What fails is looked at again as a whole.
                retry_timeout: Duration::ZERO,
                ..ClientOptions::default()
            };
            *client = Some(Client::connect(&self.bootstrap, options).await?);
        }
        let client = client.as_mut().expect("it was just made");
        match what {
            What::Topic { name, partitions } => topic(client, name, *partitions).await,
            What::Group {
                name,
                lag,
                state,
                members,
            } => group(client, name, *lag, state.as_deref(), *members).await,
            _ => ready(client).await,
        }
    }

    async fn http(&self, address: Option<&str>) -> Seen {
        let http = match address {
            Some(address) => Http::at(vec![address.to_owned()]),
            None => Http::at(self.bootstrap.clone()),
        };
        match http.get::<Value>("/readyz").await {
            Ok(_) => Seen::when(true, "answers 200"),
            Err(error) => Seen::not(error.to_string()),
        }
    }

    async fn dead_letters(&self, topic: &str, wanted: u64) -> Seen {
        let http = Http::at(self.bootstrap.clone());
        let asked = http.get::<Value>(&path(&["v1", "dlq", topic], &[])).await;
        let records = match asked {
            Ok(queue) => match queue["records"].as_u64() {
                Some(records) => records,
                None => return Seen::not("the broker does not say how many there are"),
            },
            // A topic that nothing was moved out of has no queue.
            Err(error)
                if error
                    .downcast_ref::<Told>()
                    .is_some_and(|told| told.status == 404) =>
            {
                0
            }
            Err(error) => return Seen::not(error.to_string()),
        };
        Seen::when(records == wanted, format!("{records} dead letters wait"))
    }
}

async fn ready(client: &mut Client) -> Result<Seen, ClientError> {
    let cluster = client.metadata(Topics::Named(&[]), false).await?;
    let brokers = cluster.brokers.len();
    Ok(match brokers {
        0 => Seen::not("it answers, and names no broker"),
        1 => Seen::when(true, "1 broker"),
        _ => Seen::when(true, format!("{brokers} brokers")),
    })
}

async fn topic(
    client: &mut Client,
    name: &str,
    wanted: Option<usize>,
) -> Result<Seen, ClientError> {
    let metadata = client.metadata(Topics::Named(&[name]), false).await?;
    let Some(topic) = metadata.topics.into_iter().find(|topic| topic.name == name) else {
        return Ok(Seen::not("the broker's answer leaves it out"));
    };
    match topic.error {
        Some(error) if error.0 == ResponseError::UnknownTopicOrPartition => {
            return Ok(Seen::not("there is no such topic"));
        }
        Some(error) => return Ok(Seen::not(error.to_string())),
        None => {}
    }
    let count = topic.partitions.len();
    let led = topic
        .partitions
        .iter()
        .filter(|p| p.leader.is_some())
        .count();
    let right = wanted.is_none_or(|wanted| wanted == count);
    let state = match count {
        1 => "1 partition".to_owned(),
        _ => format!("{count} partitions"),
    };
    Ok(match led == count {
        true => Seen::when(right, state),
        false => Seen::not(format!("{state}, {} of them without a leader", count - led)),
    })
}

async fn group(
    client: &mut Client,
    name: &str,
    lag: Option<u64>,
    state: Option<&str>,
    members: Option<usize>,
) -> Result<Seen, ClientError> {
    let described = match client.describe_group(name).await {
        Ok(group) if group.state != "Dead" => Some(group),
        Ok(_) => None,
        Err(error) if error.broker_error() == Some(ResponseError::GroupIdNotFound) => None,
        Err(error) => return Err(error),
    };
    let committed = match lag {
        Some(_) => client.committed_offsets(name).await?,
        None => Default::default(),
    };
    let mut holds = true;
    let mut told = match &described {
        Some(group) => {
            holds = state.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&group.state))
                && members.is_none_or(|wanted| wanted == group.members.len());
            format!("{}, {} members", group.state, group.members.len())
        }
        // Brokers do not describe groups of the newer protocol (KIP-848) by this request; their offsets are like any others.
        None if !committed.is_empty() && state.is_none() && members.is_none() => {
            "offsets committed".to_owned()
        }
        None => return Ok(Seen::not("there is no such group")),
    };
    if let Some(wanted) = lag {
        let members = described.map(|group| group.members).unwrap_or_default();
        let standings = standings(client, &members, &committed).await?;
        match total_lag(client, &standings).await? {
            None => {
                holds = false;
                told.push_str(", no offsets committed");
            }
            Some(lag) => {
                holds &= lag <= wanted;
                told.push_str(&format!(", lag {lag}"));
            }
        }
    }
    Ok(Seen::when(holds, told))
}

/// How many records the group has before it; `None` if it has neither offsets nor partitions. In a partition that a member has
/// and nobody has committed in, that is all of them.
async fn total_lag(
    client: &mut Client,
    standings: &[Standing],
) -> Result<Option<u64>, ClientError> {
    // A topic that was deleted has no end, and nothing to wait for.
    let mut there = standings.iter().filter(|s| s.end.is_some()).peekable();
    if there.peek().is_none() {
        return Ok(None);
    }
    let uncommitted: Vec<(String, i32)> = standings
        .iter()
        .filter(|s| s.end.is_some() && s.committed.is_none())
        .map(|s| (s.topic.clone(), s.partition))
        .collect();
    let starts = match uncommitted.is_empty() {
        true => Default::default(),
        false => {
            let spec = OffsetSpec::Earliest;
            client
                .list_offsets(&uncommitted, spec, Isolation::ReadUncommitted)
                .await?
        }
    };
    let lag = there.map(|standing| {
        let start = starts.get(&(standing.topic.clone(), standing.partition));
        let from = standing.committed.or(start.copied().flatten());
        let lag = standing.end.unwrap_or_default() - from.unwrap_or_default();
        u64::try_from(lag).unwrap_or_default()
    });
    Ok(Some(lag.sum()))
}
