//! `kafka-metadata-quorum`: who decides on metadata, and how far each has got.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use ottla_client::kafka_protocol::messages::describe_quorum_response::{
    Node, PartitionData as Quorum, ReplicaState,
};
use ottla_client::kafka_protocol::messages::{
    DescribeQuorumRequest, DescribeQuorumResponse, TopicName,
};
use ottla_client::kafka_protocol::protocol::StrBytes;
use ottla_client::{Client, Topics};

use super::cluster::bootstrap;
use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::java::show_uuid;
use crate::options::Subcommands;
use crate::stop::Stop;
use crate::table::table;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "metadata-quorum",
    classes: &[
        "kafka.admin.MetadataQuorumCommand",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ],
    run,
};

const METADATA_TOPIC: &str = "__cluster_metadata";
const COLUMNS: [&str; 7] = [
    "NodeId",
    "DirectoryId",
    "LogEndOffset",
    "Lag",
    "LastFetchTimestamp",
    "LastCaughtUpTimestamp",
    "Status",
];

fn tool() -> Subcommands {
    Subcommands::new(
        "kafka-metadata-quorum",
        "This tool shows who decides on metadata.",
    )
    .common(|options| {
        options
            .value(
                "bootstrap-server",
                "host:port,...",
                "Where the brokers are.",
            )
            .value(
                "bootstrap-controller",
                "host:port,...",
                "Where controllers are; there are none to connect to, use --bootstrap-server.",
            )
            .value("command-config", "file", "Properties of the client.")
    })
    .command("describe", "Describe the quorum.", |options| {
        options
            .flag("status", "A summary.")
            .flag("replication", "Each replica's progress.")
            .flag(
                "human-readable",
                "With --replication: how long ago instead of timestamps.",
            )
    })
}

fn run(args: &[String]) -> Result<(), Stop> {
    let tool = tool();
    let (common, command, parsed) = tool.parse(args)?;
    let bootstrap = bootstrap(&common).map_err(|stop| tool.command_error(command, stop))?;
    let properties = cluster::read_properties(common.value("command-config")?)?;
    let human_readable = parsed.has("human-readable");
    let replication = match (parsed.has("status"), parsed.has("replication")) {
        (true, true) => {
            return failed(
                "Only one of --status or --replication should be specified with describe sub-command",
            );
        }
        (false, false) => {
            return failed(
                "One of --status or --replication must be specified with describe sub-command",
            );
        }
        (true, false) if human_readable => {
            return failed(
                "The option --human-readable is only supported along with --replication",
            );
        }
        (_, replication) => replication,
    };
    block_on(async {
        let client =
            &mut cluster::connect(bootstrap, &properties, "describeMetadataQuorum").await?;
        let answer = describe(client).await?;
        let quorum = quorum(&answer)?;
        if replication {
            print_line!("{}", table(COLUMNS, &rows(quorum, human_readable)?));
        } else {
            let metadata = client.metadata(Topics::Named(&[]), false).await?;
            let cluster_id = metadata.cluster_id.unwrap_or_default();
            print_line!("{}", status(&cluster_id, quorum, &answer.nodes)?);
        }
        Ok(())
    })
    .map_err(|failure: Failure| Stop::Failed(failure.as_cause()))
}

fn failed(message: &str) -> Result<(), Stop> {
    Err(Stop::Failed(message.to_owned()))
}

async fn describe(client: &mut Client) -> Result<DescribeQuorumResponse, Failure> {
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
        .with_partitions(vec![PartitionData::default()]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let answer = client
        .retry(async |client| client.controller().await?.call(&request).await)
        .await?;
    Failure::of_code(answer.error_code, answer.error_message.as_deref())?;
    Ok(answer)
}

fn quorum(answer: &DescribeQuorumResponse) -> Result<&Quorum, Failure> {
    let quorum = answer
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .next()
        .ok_or_else(|| Failure::new("the broker's answer leaves the quorum out"))?;
    Failure::of_code(quorum.error_code, quorum.error_message.as_deref())?;
    Ok(quorum)
}

fn leader(quorum: &Quorum) -> Result<&ReplicaState, Failure> {
    quorum
        .current_voters
        .iter()
        .find(|voter| voter.replica_id == quorum.leader_id)
        .ok_or_else(|| Failure::new("the leader is not among the voters"))
}

fn status(cluster_id: &str, quorum: &Quorum, nodes: &[Node]) -> Result<String, Failure> {
    let leader = leader(quorum)?;
    let behind = quorum
        .current_voters
        .iter()
        .min_by_key(|voter| voter.log_end_offset)
        .unwrap_or(leader);
    let lag = leader.log_end_offset.saturating_sub(behind.log_end_offset);
    let lag_ms = if behind.replica_id == leader.replica_id {
        0
    } else if leader.last_caught_up_timestamp >= 0 && behind.last_caught_up_timestamp >= 0 {
        leader
            .last_caught_up_timestamp
            .saturating_sub(behind.last_caught_up_timestamp)
    } else {
        -1
    };
    Ok(format!(
        "ClusterId:              {cluster_id}\n\
         LeaderId:               {}\n\
         LeaderEpoch:            {}\n\
         HighWatermark:          {}\n\
         MaxFollowerLag:         {lag}\n\
         MaxFollowerLagTimeMs:   {lag_ms}\n\
         CurrentVoters:          {}\n\
         CurrentObservers:       {}",
        quorum.leader_id.0,
        quorum.leader_epoch,
        quorum.high_watermark,
        replicas(&quorum.current_voters, nodes),
        replicas(&quorum.observers, nodes),
    ))
}

fn replicas(replicas: &[ReplicaState], nodes: &[Node]) -> String {
    let shown: Vec<String> = replicas.iter().map(|one| replica(one, nodes)).collect();
    format!("[{}]", shown.join(", "))
}

fn replica(replica: &ReplicaState, nodes: &[Node]) -> String {
    let mut text = format!("{{\"id\": {}", replica.replica_id.0);
    let directory = replica.replica_directory_id;
    if !directory.is_nil() {
        let _ = write!(text, ", \"directoryId\": \"{}\"", show_uuid(directory));
    }
    let endpoints: Vec<String> = nodes
        .iter()
        .filter(|node| node.node_id == replica.replica_id)
        .flat_map(|node| &node.listeners)
        .map(|at| {
            format!(
                "\"{}://{}:{}\"",
                at.name.as_str(),
                at.host.as_str(),
                at.port
            )
        })
        .collect();
    if !endpoints.is_empty() {
        let _ = write!(text, ", \"endpoints\": [{}]", endpoints.join(", "));
    }
    text.push('}');
    text
}

fn rows(quorum: &Quorum, human_readable: bool) -> Result<Vec<[String; 7]>, Failure> {
    let leader = leader(quorum)?;
    let now = i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis(),
    )
    .unwrap_or(i64::MAX);
    let time = |ms: i64| match ms {
        ..0 => "-1".to_owned(),
        ms if human_readable => format!("{} ms ago", now.saturating_sub(ms).max(0)),
        ms => ms.to_string(),
    };
    let row = |replica: &ReplicaState, status: &str| {
        [
            replica.replica_id.0.to_string(),
            show_uuid(replica.replica_directory_id),
            replica.log_end_offset.to_string(),
            leader
                .log_end_offset
                .saturating_sub(replica.log_end_offset)
                .to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    };
    let followers = quorum
        .current_voters
        .iter()
        .filter(|voter| voter.replica_id != leader.replica_id);
    Ok(std::iter::once(row(leader, "Leader"))
        .chain(followers.map(|voter| row(voter, "Follower")))
        .chain(quorum.observers.iter().map(|one| row(one, "Observer")))
        .collect())
}

#[cfg(test)]
mod tests {
    use ottla_client::kafka_protocol::messages::BrokerId;

    use super::*;

    fn replica(id: i32, end: i64, caught_up: i64) -> ReplicaState {
        ReplicaState::default()
            .with_replica_id(BrokerId(id))
            .with_log_end_offset(end)
            .with_last_caught_up_timestamp(caught_up)
            .with_last_fetch_timestamp(caught_up)
    }

    #[test]
    fn the_voter_that_is_furthest_behind_is_told_of() {
        let quorum = Quorum::default()
            .with_leader_id(BrokerId(1))
            .with_current_voters(vec![replica(1, 10, 500), replica(2, 7, 400)])
            .with_observers(vec![replica(3, 9, -1)]);
        let text = status("id", &quorum, &[]).unwrap();
        assert!(text.contains("MaxFollowerLag:         3\n"), "{text}");
        assert!(text.contains("MaxFollowerLagTimeMs:   100\n"), "{text}");
        assert!(text.contains("CurrentVoters:          [{\"id\": 1}, {\"id\": 2}]"));
        let rows = rows(&quorum, false).unwrap();
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (&*row[3], &*row[5], &*row[6]))
            .collect();
        assert_eq!(
            shown,
            [
                ("0", "500", "Leader"),
                ("3", "400", "Follower"),
                ("1", "-1", "Observer")
            ]
        );
    }

    #[test]
    fn a_quorum_without_its_leader_is_an_error() {
        let quorum = Quorum::default().with_leader_id(BrokerId(9));
        assert!(status("id", &quorum, &[]).is_err());
    }
}
