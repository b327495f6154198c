//! `--reset-offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::Client;
use ottla_client::admin::CommittedOffsets;
use ottla_client::consumer::OffsetSpec;
use ottla_client::kafka_protocol::ResponseError;

use super::partitions::{self, Partition};
use super::plan::{self, Plan};
use super::{Ending, PLACES, connect, groups, place, wrapped};
use crate::errors::Failure;
use crate::options::Parsed;
use crate::talk::{log, print_line, say};

/// Where to move to.
enum Place {
    Offset(i64),
    Time(i64),
    Earliest,
    Latest,
    Current,
    Shift(i64),
    Planned(Plan),
}

pub(super) async fn run(parsed: &Parsed) -> Result<(), Ending> {
    check(parsed)?;
    let mut client = connect(parsed, "describeConsumerGroups(api=FIND_COORDINATOR)")
        .await?
        .map_err(|failure| wrapped(&failure))?;
    let place = place(parsed)?;
    let mut moved = Plan::new();
    for group in groups(&mut client, parsed).await? {
        let offsets = match state(&mut client, &group).await?.as_str() {
            "Empty" | "Dead" => reset(&mut client, &group, &place, parsed).await?,
            state => {
                print_line!(
                    "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
                );
                BTreeMap::new()
            }
        };
        moved.insert(group, offsets);
    }
    if parsed.has("export") {
        print_line!("{}", plan::write(&moved, parsed.values("group").len() == 1));
    } else {
        print(&moved);
    }
    Ok(())
}

/// What to move, and where to, must be said.
fn check(parsed: &Parsed) -> Result<(), Ending> {
    if parsed
        .given(&["all-topics", "topic", "from-file"])
        .is_empty()
    {
        return Err(Ending::Usage(
            "One of the reset scopes should be defined: --all-topics, --topic.".to_owned(),
        ));
    }
    if parsed.given(&PLACES).is_empty() {
        let places = PLACES.map(|place| format!("[{place}]"));
        return Err(Ending::Usage(format!(
            "Option '[reset-offsets]' requires one of the following scenarios: [{}]",
            places.join(", ")
        )));
    }
    Ok(())
}

fn place(parsed: &Parsed) -> Result<Place, Ending> {
    if let Some(offset) = parsed.number("to-offset")? {
        return Ok(Place::Offset(offset));
    }
    if let Some(number) = parsed.number("shift-by")? {
        return Ok(Place::Shift(number));
    }
    if let Some(text) = parsed.value("to-datetime")? {
        return place::datetime(text)
            .map(Place::Time)
            .map_err(Ending::Failed);
    }
    if let Some(text) = parsed.value("by-duration")? {
        let ago = place::duration(text).map_err(Ending::Failed)?;
        return Ok(Place::Time(now_ms().saturating_sub(ago)));
    }
    if let Some(file) = parsed.value("from-file")? {
        let text = std::fs::read_to_string(file).map_err(|error| {
            say!("Caused by: {error}");
            Ending::Failed(format!("java.io.IOException: Unable to read file {file}"))
        })?;
        let group = match parsed.values("group") {
            [group] => Some(&**group),
            _ => None,
        };
        let plan = plan::read(&text, group)
            .map_err(|reason| Ending::Failed(format!("the plan in {file}: {reason}")))?;
        return Ok(Place::Planned(plan));
    }
    Ok(match parsed.given(&["to-earliest", "to-latest"])[..] {
        ["to-earliest"] => Place::Earliest,
        ["to-latest"] => Place::Latest,
        _ => Place::Current,
    })
}

/// A group's state; one that does not exist can be made by moving it, and counts as empty.
async fn state(client: &mut Client, group: &str) -> Result<String, Ending> {
    match client.describe_group(group).await.map_err(Failure::from) {
        Ok(described) => Ok(described.state),
        Err(failure) if failure.error == Some(ResponseError::GroupIdNotFound) => {
            Ok("Empty".to_owned())
        }
        Err(failure) => Err(wrapped(&failure)),
    }
}

async fn reset(
    client: &mut Client,
    group: &str,
    place: &Place,
    parsed: &Parsed,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let committed = client.committed_offsets(group).await;
    let committed = committed.map_err(|error| wrapped(&error.into()))?;
    let scope = scope(client, &committed, parsed).await?;
    ensure_there(client, &scope).await?;
    let offsets = new_offsets(client, group, &scope, &committed, place).await?;
    if parsed.has("execute") && !offsets.is_empty() {
        let done = client.commit_offsets(group, &offsets).await;
        done.map_err(|error| Ending::Failed(Failure::from(error).to_string()))?;
    }
    Ok(offsets)
}

/// The partitions to move.
async fn scope(
    client: &mut Client,
    committed: &CommittedOffsets,
    parsed: &Parsed,
) -> Result<Vec<Partition>, Ending> {
    if parsed.has("all-topics") {
        return Ok(committed.keys().cloned().collect());
    }
    let (mut scope, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for argument in parsed.values("topic") {
        match partitions::parse(argument) {
            Some(parsed) => scope.extend(parsed?),
            None => drop(whole.insert(&**argument)),
        }
    }
    let topics = partitions::topics(client, &whole).await;
    for topic in topics.map_err(|failure| Ending::Failed(failure.to_string()))? {
        let indexes = topic.partitions.iter().map(|partition| partition.index);
        scope.extend(indexes.map(|index| (topic.name.clone(), index)));
    }
    Ok(scope.into_iter().collect())
}

async fn ensure_there(client: &mut Client, scope: &[Partition]) -> Result<(), Ending> {
    let names = partitions::names(scope);
    let topics = partitions::topics(client, &names).await;
    let topics = topics.map_err(|failure| wrapped(&failure))?;
    let (mut missing, mut leaderless) = (Vec::new(), Vec::new());
    for (name, index) in scope {
        let topic = topics.iter().find(|topic| topic.name == *name);
        match topic.and_then(|t| t.partitions.iter().find(|p| p.index == *index)) {
            None => missing.push(format!("{name}-{index}")),
            Some(partition) if partition.leader.is_none() => {
                leaderless.push(format!("{name}-{index}"));
            }
            Some(_) => {}
        }
    }
    for (partitions, lack) in [(missing, "do not exist"), (leaderless, "have no leader")] {
        if !partitions.is_empty() {
            return Err(Ending::Failed(format!(
                "The partitions \"{}\" {lack}",
                partitions.join(",")
            )));
        }
    }
    Ok(())
}

async fn new_offsets(
    client: &mut Client,
    group: &str,
    scope: &[Partition],
    committed: &CommittedOffsets,
    place: &Place,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let each = |offset: i64| scope.iter().map(|p| (p.clone(), offset)).collect();
    match place {
        Place::Earliest => look_up(client, scope, OffsetSpec::Earliest).await,
        Place::Latest => look_up(client, scope, OffsetSpec::Latest).await,
        Place::Offset(offset) => within_log(client, each(*offset)).await,
        Place::Time(ms) => at_time(client, scope, *ms).await,
        Place::Current => current(client, scope, committed).await,
        Place::Shift(by) => {
            let mut wanted = BTreeMap::new();
            for (topic, partition) in scope {
                let key = (topic.clone(), *partition);
                let Some(stands) = committed.get(&key) else {
                    return Err(Ending::Usage(format!(
                        "Cannot shift offset for partition {topic}-{partition} since there is no current committed offset"
                    )));
                };
                wanted.insert(key, stands.offset.saturating_add(*by));
            }
            within_log(client, wanted).await
        }
        Place::Planned(plan) => match plan.get(group) {
            Some(offsets) => {
                planned_there(client, offsets).await?;
                within_log(client, offsets.clone()).await
            }
            None => {
                print_line!("\nError: No reset plan for group {group} found");
                Ok(BTreeMap::new())
            }
        },
    }
}

async fn look_up(
    client: &mut Client,
    scope: &[Partition],
    spec: OffsetSpec,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let found = partitions::offsets(client, scope, spec).await;
    let found = found.map_err(|failure| wrapped(&failure))?;
    Ok(found
        .into_iter()
        .filter_map(|(partition, offset)| Some((partition, offset?)))
        .collect())
}

/// Partitions without a record of that time or later go to their end.
async fn at_time(
    client: &mut Client,
    scope: &[Partition],
    ms: i64,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let mut found = look_up(client, scope, OffsetSpec::Timestamp(ms)).await?;
    let missing = scope.iter().filter(|p| !found.contains_key(*p));
    let missing: Vec<Partition> = missing.cloned().collect();
    for (topic, partition) in &missing {
        print_line!(
            "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
        );
    }
    found.extend(look_up(client, &missing, OffsetSpec::Latest).await?);
    Ok(found)
}

/// Where the group stands; the end where it stands nowhere.
async fn current(
    client: &mut Client,
    scope: &[Partition],
    committed: &CommittedOffsets,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let missing = scope.iter().filter(|p| !committed.contains_key(*p));
    let missing: Vec<Partition> = missing.cloned().collect();
    let mut offsets = look_up(client, &missing, OffsetSpec::Latest).await?;
    for partition in scope {
        if let Some(stands) = committed.get(partition) {
            offsets.insert(partition.clone(), stands.offset);
        }
    }
    Ok(offsets)
}

/// A plan may name what is not there.
async fn planned_there(
    client: &mut Client,
    offsets: &BTreeMap<Partition, i64>,
) -> Result<(), Ending> {
    for (topic, partition) in offsets.keys() {
        let found = partitions::topics(client, &BTreeSet::from([&**topic])).await;
        match found {
            Err(failure) if failure.error == Some(ResponseError::UnknownTopicOrPartition) => {
                return Err(wrapped(&partitions::unknown(format!(
                    "Failed to fetch metadata for partition {topic}-{partition} because metadata for topic `{topic}` could not be found"
                ))));
            }
            Err(failure) => return Err(wrapped(&failure)),
            Ok(_) => {}
        }
    }
    let scope: Vec<Partition> = offsets.keys().cloned().collect();
    ensure_there(client, &scope).await
}

/// Offsets before the beginning or behind the end become these.
async fn within_log(
    client: &mut Client,
    mut wanted: BTreeMap<Partition, i64>,
) -> Result<BTreeMap<Partition, i64>, Ending> {
    let scope: Vec<Partition> = wanted.keys().cloned().collect();
    let starts = look_up(client, &scope, OffsetSpec::Earliest).await?;
    let ends = look_up(client, &scope, OffsetSpec::Latest).await?;
    for (partition, offset) in &mut wanted {
        let start = starts.get(partition).copied().unwrap_or(*offset);
        let end = ends.get(partition).copied().unwrap_or(*offset);
        let (side, bound) = match *offset {
            given if given > end => ("higher than latest", end),
            given if given < start => ("lower than earliest", start),
            _ => continue,
        };
        log!(
            "WARN",
            "New offset ({offset}) is {side} offset for topic partition {}-{}. Value will be set to {bound}",
            partition.0,
            partition.1
        );
        *offset = bound;
    }
    Ok(wanted)
}

fn print(moved: &Plan) {
    let group_width = moved.keys().map(|group| group.chars().count()).max();
    let topics = moved.values().flat_map(BTreeMap::keys);
    let topic_width = topics.map(|(topic, _)| topic.chars().count()).max();
    let group_width = group_width.unwrap_or(0).max(15);
    let topic_width = topic_width.unwrap_or(0).max(15);
    let row = |group: &str, topic: &str, partition: &str, offset: &str| {
        print_line!("{group:<group_width$} {topic:<topic_width$} {partition:<10} {offset}");
    };
    print_line!("");
    if !moved.is_empty() {
        row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    }
    for (group, offsets) in moved {
        for ((topic, partition), offset) in offsets {
            row(group, topic, &partition.to_string(), &offset.to_string());
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
