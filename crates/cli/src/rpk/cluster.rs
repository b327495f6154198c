//! `rpk cluster`.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use ottla_client::{ClusterMetadata, Topics};

use super::Brokers;
use crate::output;

/// How long to wait between looks at a cluster that is not healthy yet.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show the cluster's id, brokers and topics
    #[command(alias = "metadata")]
    Info {
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Say whether each partition has a leader and all its replicas
    Health(HealthArgs),
}

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Wait until the cluster is healthy
    #[arg(short, long)]
    exit_when_healthy: bool,
    /// With --exit-when-healthy: look again until then; accepted for scripts that say so
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    brokers: Brokers,
}

pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Info { brokers } => {
            let cluster = ask(&brokers).await?;
            info(&cluster, &mut io::stdout())?;
            Ok(())
        }
        ClusterCommand::Health(args) => health(args).await,
    }
}

async fn ask(brokers: &Brokers) -> anyhow::Result<ClusterMetadata> {
    Ok(brokers
        .connect()
        .await?
        .metadata(Topics::All, false)
        .await?)
}

fn info(cluster: &ClusterMetadata, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "CLUSTER\n=======")?;
    writeln!(out, "{}\n", cluster.cluster_id.as_deref().unwrap_or("-"))?;
    writeln!(out, "BROKERS\n=======")?;
    let brokers: Vec<Vec<String>> = cluster
        .brokers
        .iter()
        .map(|broker| {
            let mark = if broker.id == cluster.controller_id {
                "*"
            } else {
                ""
            };
            vec![
                format!("{}{mark}", broker.id),
                broker.host.clone(),
                broker.port.to_string(),
            ]
        })
        .collect();
    output::table(out, &["ID", "HOST", "PORT"], &brokers)?;
    let mut topics: Vec<Vec<String>> = cluster
        .topics
        .iter()
        .filter(|topic| !topic.internal)
        .map(|topic| {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            vec![
                topic.name.clone(),
                topic.partitions.len().to_string(),
                replicas.to_string(),
            ]
        })
        .collect();
    if topics.is_empty() {
        return Ok(());
    }
    topics.sort();
    writeln!(out, "\nTOPICS\n======")?;
    output::table(out, &["NAME", "PARTITIONS", "REPLICAS"], &topics)
}

/// What a look at the partitions found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Health {
    nodes: Vec<i32>,
    controller: i32,
    leaderless: Vec<String>,
    under_replicated: Vec<String>,
}

impl Health {
    fn of(cluster: &ClusterMetadata) -> Health {
        let mut health = Health {
            nodes: cluster.brokers.iter().map(|broker| broker.id).collect(),
            controller: cluster.controller_id,
            ..Health::default()
        };
        for topic in &cluster.topics {
            for partition in &topic.partitions {
                let name = format!("{}/{}", topic.name, partition.index);
                if partition.leader.is_none() {
                    health.leaderless.push(name.clone());
                }
                if partition.isr.len() < partition.replicas.len() {
                    health.under_replicated.push(name);
                }
            }
        }
        health
    }

    fn is_healthy(&self) -> bool {
        self.leaderless.is_empty() && self.under_replicated.is_empty()
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let nodes: Vec<String> = self.nodes.iter().map(i32::to_string).collect();
        let line =
            |out: &mut dyn Write, name: String, value: String| writeln!(out, "{name:<34}{value}");
        writeln!(out, "CLUSTER HEALTH OVERVIEW\n=======================")?;
        line(out, "Healthy:".to_owned(), self.is_healthy().to_string())?;
        line(
            out,
            "Controller ID:".to_owned(),
            self.controller.to_string(),
        )?;
        line(
            out,
            "All nodes:".to_owned(),
            format!("[{}]", nodes.join(" ")),
        )?;
        for (what, partitions) in [
            ("Leaderless", &self.leaderless),
            ("Under-replicated", &self.under_replicated),
        ] {
            let name = format!("{what} partitions ({}):", partitions.len());
            line(out, name, format!("[{}]", partitions.join(" ")))?;
        }
        Ok(())
    }
}

async fn health(args: HealthArgs) -> anyhow::Result<()> {
    loop {
        match ask(&args.brokers).await {
            Ok(cluster) => {
                let health = Health::of(&cluster);
                if health.is_healthy() || !args.exit_when_healthy {
                    health.print(&mut io::stdout())?;
                    if !health.is_healthy() {
                        bail!("the cluster is not healthy");
                    }
                    return Ok(());
                }
            }
            Err(error) if !args.exit_when_healthy => return Err(error),
            Err(error) => tracing::debug!("not healthy yet: {error:#}"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use ottla_client::{Broker, PartitionMetadata, TopicMetadata};

    use super::*;

    fn cluster(partitions: &[(Option<i32>, &[i32])]) -> ClusterMetadata {
        let partitions = partitions.iter().enumerate();
        ClusterMetadata {
            cluster_id: Some("test".to_owned()),
            controller_id: 0,
            brokers: vec![Broker {
                id: 0,
                host: "redpanda".to_owned(),
                port: 9092,
            }],
            topics: vec![TopicMetadata {
                name: "orders".to_owned(),
                id: uuid::Uuid::nil(),
                internal: false,
                error: None,
                partitions: partitions
                    .map(|(index, (leader, isr))| PartitionMetadata {
                        index: i32::try_from(index).unwrap(),
                        leader: *leader,
                        leader_epoch: 0,
                        replicas: vec![0],
                        isr: isr.to_vec(),
                    })
                    .collect(),
            }],
        }
    }

    #[test]
    fn a_cluster_is_healthy_whose_partitions_have_leaders_and_replicas() {
        let mut out = Vec::new();
        Health::of(&cluster(&[(Some(0), &[0])]))
            .print(&mut out)
            .unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        CLUSTER HEALTH OVERVIEW
        =======================
        Healthy:                          true
        Controller ID:                    0
        All nodes:                        [0]
        Leaderless partitions (0):        []
        Under-replicated partitions (0):  []
        ");
        let health = Health::of(&cluster(&[(Some(0), &[0]), (None, &[])]));
        assert!(!health.is_healthy());
        assert_eq!(health.leaderless, ["orders/1"]);
        assert_eq!(health.under_replicated, ["orders/1"]);
    }

    #[test]
    fn info_shows_the_id_the_brokers_and_the_topics() {
        let mut out = Vec::new();
        info(&cluster(&[(Some(0), &[0])]), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        CLUSTER
        =======
        test

        BROKERS
        =======
        ID  HOST      PORT
        0*  redpanda  9092

        TOPICS
        ======
        NAME    PARTITIONS  REPLICAS
        orders  1           1
        ");
    }
}
