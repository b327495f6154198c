//! `--describe`: offsets, members, states.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::admin::{CommittedOffsets, GroupDescription, GroupMember};
use ottla_client::consumer::OffsetSpec;
use ottla_client::{Broker, Client};

use super::partitions::{self, Partition};
use super::{Ending, connect, groups, thrown, wrapped};
use crate::errors::Failure;
use crate::java::join;
use crate::options::Parsed;
use crate::talk::{print_line, say};

/// What a column shows where there is nothing.
const MISSING: &str = "-";

pub(super) async fn run(parsed: &Parsed) -> Result<(), Ending> {
    let verbose = parsed.has("verbose");
    let mut client = connect(parsed, "describeConsumerGroups(api=FIND_COORDINATOR)")
        .await?
        .map_err(|failure| Ending::Failed(thrown(&failure)))?;
    let client = &mut client;
    // Nothing is shown unless all groups can be.
    let mut described = BTreeMap::new();
    for group in groups(client, parsed).await? {
        let description = client.describe_group(&group).await.map_err(Failure::from);
        let description = description.map_err(|failure| Ending::Failed(thrown(&failure)))?;
        described.insert(group, description);
    }
    if parsed.has("members") {
        for group in described.values() {
            members(group, verbose);
        }
    } else if parsed.has("state") {
        let mut states = Vec::new();
        for group in described.values() {
            let coordinator = client.coordinating_broker(&group.group).await;
            let failed = |error| Ending::Failed(thrown(&Failure::from(error)));
            states.push((group, coordinator.map_err(failed)?));
        }
        for (group, coordinator) in states {
            state(group, &coordinator, verbose);
        }
    } else {
        let mut tables = Vec::new();
        for group in described.values() {
            tables.push((group, rows(client, group).await?));
        }
        for (group, rows) in tables {
            offsets(group, &rows, verbose);
        }
    }
    Ok(())
}

/// Says what keeps a group from having members; whether there is anything to show.
fn tell_state(group: &GroupDescription, rows: usize) -> bool {
    let name = &group.group;
    match &*group.state {
        "Dead" => print_line!("\nError: Consumer group '{name}' does not exist."),
        "Empty" => say!("\nConsumer group '{name}' has no active members."),
        "Stable" => {}
        _ => say!("\nWarning: Consumer group '{name}' is rebalancing."),
    }
    group.state != "Dead" && rows > 0
}

/// A partition of a group.
struct Row {
    partition: Partition,
    committed: Option<i64>,
    leader_epoch: Option<i32>,
    end: Option<i64>,
    consumer: String,
    host: String,
    client: String,
}

impl Row {
    fn lag(&self) -> Option<i64> {
        Some(self.end? - self.committed?)
    }
}

/// The partitions of members, those with the most first, then what nobody reads.
async fn rows(client: &mut Client, group: &GroupDescription) -> Result<Vec<Row>, Ending> {
    let failed = |failure: Failure| wrapped(&failure);
    let committed = client.committed_offsets(&group.group).await;
    let committed = committed.map_err(|error| failed(error.into()))?;
    let mut members: Vec<&GroupMember> = group.members.iter().collect();
    members.retain(|member| !member.assignment.is_empty());
    members.sort_by_key(|member| std::cmp::Reverse(partition_count(member)));
    let mut rows = Vec::new();
    let mut assigned = BTreeSet::new();
    for member in members {
        let partitions = assigned_to(member);
        let who = [&*member.member_id, &*member.host, &*member.client_id];
        rows.extend(
            rows_of(client, &partitions, &committed, who)
                .await
                .map_err(failed)?,
        );
        assigned.extend(partitions);
    }
    let left: Vec<Partition> = committed
        .keys()
        .filter(|key| !assigned.contains(*key))
        .cloned()
        .collect();
    rows.extend(
        rows_of(client, &left, &committed, [MISSING; 3])
            .await
            .map_err(failed)?,
    );
    Ok(rows)
}

async fn rows_of(
    client: &mut Client,
    wanted: &[Partition],
    committed: &CommittedOffsets,
    [consumer, host, client_id]: [&str; 3],
) -> Result<Vec<Row>, Failure> {
    let topics = partitions::topics(client, &partitions::names(wanted)).await?;
    let led: Vec<Partition> = wanted
        .iter()
        .filter(|(name, index)| {
            let topic = topics.iter().find(|topic| topic.name == *name);
            let partition = topic.and_then(|t| t.partitions.iter().find(|p| p.index == *index));
            partition.is_some_and(|partition| partition.leader.is_some())
        })
        .cloned()
        .collect();
    let ends = partitions::offsets(client, &led, OffsetSpec::Latest).await?;
    Ok(wanted
        .iter()
        .map(|partition| {
            let stands = committed.get(partition);
            Row {
                partition: partition.clone(),
                committed: stands.map(|stands| stands.offset),
                leader_epoch: stands.map(|s| s.leader_epoch).filter(|epoch| *epoch >= 0),
                end: ends.get(partition).copied().flatten(),
                consumer: consumer.to_owned(),
                host: host.to_owned(),
                client: client_id.to_owned(),
            }
        })
        .collect())
}

fn partition_count(member: &GroupMember) -> usize {
    member.assignment.values().map(Vec::len).sum()
}

fn assigned_to(member: &GroupMember) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = member
        .assignment
        .iter()
        .flat_map(|(topic, indexes)| indexes.iter().map(|index| (topic.clone(), *index)))
        .collect();
    partitions.sort();
    partitions
}

fn offsets(group: &GroupDescription, rows: &[Row], verbose: bool) {
    if !tell_state(group, rows.len()) {
        return;
    }
    let of = |text: fn(&Row) -> &str| width(15, rows.iter().map(text));
    let group_width = width(15, [&*group.group]);
    let topic_width = of(|row| &row.partition.0);
    let (consumer_width, host_width) = (of(|row| &row.consumer), of(|row| &row.host));
    let line = |cells: [&str; 10]| {
        let [
            name,
            topic,
            partition,
            epoch,
            current,
            end,
            lag,
            consumer,
            host,
            client,
        ] = cells;
        let epoch = match verbose {
            true => format!("{epoch:<15} "),
            false => String::new(),
        };
        print_line!(
            "{name:<group_width$} {topic:<topic_width$} {partition:<10} {epoch}{current:<15} {end:<15} {lag:<15} {consumer:<consumer_width$} {host:<host_width$} {client}"
        );
    };
    print_line!("");
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for row in rows {
        line([
            &group.group,
            &row.partition.0,
            &row.partition.1.to_string(),
            &shown(row.leader_epoch),
            &shown(row.committed),
            &shown(row.end),
            &shown(row.lag()),
            &row.consumer,
            &row.host,
            &row.client,
        ]);
    }
}

fn members(group: &GroupDescription, verbose: bool) {
    tell_state(group, group.members.len());
    let members = &group.members;
    let of = |least, text: fn(&GroupMember) -> &str| width(least, members.iter().map(text));
    let group_width = width(15, [&*group.group]);
    let id_width = of(15, |member| &member.member_id);
    let instance_width = of(17, |member| {
        member.instance_id.as_deref().unwrap_or_default()
    });
    let (host_width, client_width) = (of(15, |m| &m.host), of(15, |m| &m.client_id));
    let assignments: Vec<String> = members.iter().map(assignment).collect();
    let assignment_width = width(20, assignments.iter().map(|text| &**text));
    let with_instances = members.iter().any(|member| member.instance_id.is_some());
    let line = |cells: [&str; 6], more: [&str; 4]| {
        let [name, id, instance, host, client, count] = cells;
        let instance = match with_instances {
            true => format!("{instance:<instance_width$} "),
            false => String::new(),
        };
        let more = match (verbose, more) {
            (true, [epoch, assignment, target_epoch, target]) => format!(
                "{epoch:<15} {assignment:<assignment_width$} {target_epoch:<15} {target:<20}"
            ),
            (false, _) => String::new(),
        };
        print_line!(
            "{name:<group_width$} {id:<id_width$} {instance}{host:<host_width$} {client:<client_width$} {count:<15} {more}"
        );
    };
    print_line!("");
    line(
        [
            "GROUP",
            "CONSUMER-ID",
            "GROUP-INSTANCE-ID",
            "HOST",
            "CLIENT-ID",
            "#PARTITIONS",
        ],
        [
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
        ],
    );
    for (member, assignment) in members.iter().zip(&assignments) {
        line(
            [
                &group.group,
                &member.member_id,
                member.instance_id.as_deref().unwrap_or_default(),
                &member.host,
                &member.client_id,
                &partition_count(member).to_string(),
            ],
            // Members of the classic protocol have neither epochs nor targets.
            [MISSING, assignment, MISSING, MISSING],
        );
    }
}

/// `orders:0,1;payments:2`
fn assignment(member: &GroupMember) -> String {
    if member.assignment.is_empty() {
        return MISSING.to_owned();
    }
    let topics: Vec<String> = member
        .assignment
        .iter()
        .map(|(topic, partitions)| format!("{topic}:{}", join(partitions, ",")))
        .collect();
    topics.join(";")
}

fn state(group: &GroupDescription, coordinator: &Broker, verbose: bool) {
    if !tell_state(group, 1) {
        return;
    }
    let coordinator = format!(
        "{}:{}  ({})",
        coordinator.host, coordinator.port, coordinator.id
    );
    let group_width = width(15, [&*group.group]);
    let coordinator_width = width(25, [&*coordinator]);
    let line = |cells: [&str; 7]| {
        let [
            name,
            coordinator,
            strategy,
            state,
            epoch,
            target_epoch,
            members,
        ] = cells;
        let epochs = match verbose {
            true => format!("{epoch:<15} {target_epoch:<25} "),
            false => String::new(),
        };
        print_line!(
            "{name:<group_width$} {coordinator:<coordinator_width$} {strategy:<20} {state:<20} {epochs}{members}"
        );
    };
    print_line!("");
    line([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ]);
    let strategy = match &*group.assignor {
        "" => MISSING,
        assignor => assignor,
    };
    line([
        &group.group,
        &coordinator,
        strategy,
        &group.state,
        MISSING,
        MISSING,
        &group.members.len().to_string(),
    ]);
}

/// How wide a column is that holds these, in characters.
fn width<'a>(least: usize, cells: impl IntoIterator<Item = &'a str>) -> usize {
    let widest = cells.into_iter().map(|cell| cell.chars().count()).max();
    widest.unwrap_or(0).max(least)
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| MISSING.to_owned(), |value| value.to_string())
}
