//! `ottla group describe`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use ottla_client::admin::{CommittedOffsets, GroupDescription, GroupMember};
use ottla_client::consumer::{Isolation, OffsetSpec};
use ottla_client::{Client, ClientError, Topics};
use serde_json::{Value, json};

use crate::args::ClientArgs;
use crate::output::{self, or_dash};

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The group
    group: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Where a group stands in one partition.
#[derive(Debug)]
pub(crate) struct Standing {
    pub topic: String,
    pub partition: i32,
    pub committed: Option<i64>,
    /// `None` if the partition is not there any more.
    pub end: Option<i64>,
    pub member: Option<String>,
}

impl Standing {
    fn lag(&self) -> Option<i64> {
        let (committed, end) = self.committed.zip(self.end)?;
        Some((end - committed).max(0))
    }
}

pub async fn run(args: DescribeArgs) -> anyhow::Result<()> {
    let mut client = args.client.connect().await?;
    let group = client.describe_group(&args.group).await?;
    let committed = client.committed_offsets(&args.group).await?;
    let standings = standings(&mut client, &group.members, &committed).await?;
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &as_json(&group, &standings))?;
    } else {
        print(&mut out, &group, &standings)?;
    }
    Ok(())
}

pub(crate) async fn standings(
    client: &mut Client,
    members: &[GroupMember],
    committed: &CommittedOffsets,
) -> Result<Vec<Standing>, ClientError> {
    // Partitions that have an offset or a member.
    let mut owners: BTreeMap<(String, i32), Option<String>> =
        committed.keys().map(|key| (key.clone(), None)).collect();
    for member in members {
        for (topic, partitions) in &member.assignment {
            for partition in partitions {
                owners.insert((topic.clone(), *partition), Some(member.member_id.clone()));
            }
        }
    }
    let ends = ends(client, owners.keys().cloned().collect()).await?;
    Ok(owners
        .into_iter()
        .map(|(key, member)| Standing {
            committed: committed.get(&key).map(|committed| committed.offset),
            end: ends.get(&key).copied().flatten(),
            topic: key.0,
            partition: key.1,
            member,
        })
        .collect())
}

/// The ends of those partitions that (still) exist.
async fn ends(
    client: &mut Client,
    mut partitions: Vec<(String, i32)>,
) -> Result<BTreeMap<(String, i32), Option<i64>>, ClientError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut names: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    names.dedup();
    let topics = client.metadata(Topics::Named(&names), false).await?.topics;
    let exists = |topic: &str, partition: i32| {
        topics
            .iter()
            .any(|t| t.name == topic && t.partitions.iter().any(|p| p.index == partition))
    };
    partitions.retain(|(topic, partition)| exists(topic, *partition));
    client
        .list_offsets(&partitions, OffsetSpec::Latest, Isolation::ReadUncommitted)
        .await
}

fn as_json(group: &GroupDescription, standings: &[Standing]) -> Value {
    let member = |member: &GroupMember| {
        json!({
            "member_id": member.member_id,
            "instance_id": member.instance_id,
            "client_id": member.client_id,
            "host": member.host,
            "assignment": member.assignment,
        })
    };
    let standing = |standing: &Standing| {
        json!({
            "topic": standing.topic,
            "partition": standing.partition,
            "committed": standing.committed,
            "end": standing.end,
            "lag": standing.lag(),
            "member_id": standing.member,
        })
    };
    json!({
        "group": group.group,
        "state": group.state,
        "protocol_type": group.protocol_type,
        "assignor": group.assignor,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": standings.iter().map(standing).collect::<Vec<_>>(),
    })
}

fn print(out: &mut impl Write, group: &GroupDescription, standings: &[Standing]) -> io::Result<()> {
    writeln!(out, "Group:    {}", group.group)?;
    writeln!(out, "State:    {}", group.state)?;
    if !group.assignor.is_empty() {
        writeln!(out, "Assignor: {}", group.assignor)?;
    }
    if !group.members.is_empty() {
        writeln!(out)?;
        let rows: Vec<Vec<String>> = group
            .members
            .iter()
            .map(|member| {
                let partitions: usize = member.assignment.values().map(Vec::len).sum();
                vec![
                    member.member_id.clone(),
                    or_dash(member.instance_id.as_ref()),
                    member.client_id.clone(),
                    member.host.clone(),
                    partitions.to_string(),
                ]
            })
            .collect();
        let header = ["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"];
        output::table(out, &header, &rows)?;
    }
    if !standings.is_empty() {
        writeln!(out)?;
        let rows: Vec<Vec<String>> = standings
            .iter()
            .map(|standing| {
                vec![
                    standing.topic.clone(),
                    standing.partition.to_string(),
                    or_dash(standing.committed),
                    or_dash(standing.end),
                    or_dash(standing.lag()),
                    or_dash(standing.member.as_ref()),
                ]
            })
            .collect();
        let header = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"];
        output::table(out, &header, &rows)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (GroupDescription, Vec<Standing>) {
        let group = GroupDescription {
            group: "billing".to_owned(),
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            assignor: "range".to_owned(),
            members: vec![GroupMember {
                member_id: "ottla-1".to_owned(),
                instance_id: None,
                client_id: "ottla".to_owned(),
                host: "/127.0.0.1".to_owned(),
                assignment: BTreeMap::from([("orders".to_owned(), vec![0])]),
            }],
        };
        let standing = |partition, committed, member: Option<&str>| Standing {
            topic: "orders".to_owned(),
            partition,
            committed,
            end: Some(12),
            member: member.map(str::to_owned),
        };
        let standings = vec![
            standing(0, Some(5), Some("ottla-1")),
            standing(1, None, None),
        ];
        (group, standings)
    }

    #[test]
    fn a_group_is_shown_with_members_offsets_and_lag() {
        let (group, standings) = fixture();
        let mut out = Vec::new();
        print(&mut out, &group, &standings).unwrap();
        insta::assert_snapshot!("group", String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_group_is_shown_as_json() {
        let (group, standings) = fixture();
        insta::assert_snapshot!("group_json", as_json(&group, &standings).to_string());
    }
}
