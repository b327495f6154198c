//! `--list`.

use ottla_client::Client;
use ottla_client::admin::GroupListing;

use super::{Ending, connect, thrown, wrapped};
use crate::errors::Failure;
use crate::options::Parsed;
use crate::talk::print_line;

const STATES: [&str; 7] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];
const TYPES: [&str; 2] = ["Consumer", "Classic"];

pub(super) async fn run(parsed: &Parsed) -> Result<(), Ending> {
    let (with_type, with_state) = (parsed.has("type"), parsed.has("state"));
    let states = filter(parsed.value("state")?, &STATES, "state")?;
    let types = filter(parsed.value("type")?, &TYPES, "types")?;
    let plain = !with_type && !with_state;
    let no_brokers =
        "org.apache.kafka.common.KafkaException: Failed to find brokers to send ListGroups";
    let mut client = connect(parsed, "findAllBrokers").await?.map_err(|_| {
        Ending::Failed(match plain {
            true => format!("java.util.concurrent.ExecutionException: {no_brokers}"),
            false => no_brokers.to_owned(),
        })
    })?;
    if plain {
        for name in names(&mut client).await.map_err(|f| wrapped(&f))? {
            print_line!("{name}");
        }
        return Ok(());
    }
    let mut groups = consumer_groups(&mut client)
        .await
        .map_err(|failure| Ending::Failed(thrown(&failure)))?;
    groups.retain(|group| {
        (states.is_empty() || states.contains(&&*group.state))
            && (types.is_empty() || types.contains(&shown_type(group)))
    });
    print(&groups, with_type, with_state);
    Ok(())
}

/// The ids of consumers' groups.
pub(super) async fn names(client: &mut Client) -> Result<Vec<String>, Failure> {
    let groups = consumer_groups(client).await?;
    Ok(groups.into_iter().map(|group| group.group).collect())
}

/// Groups of consumers, and those that hold offsets alone.
async fn consumer_groups(client: &mut Client) -> Result<Vec<GroupListing>, Failure> {
    let mut groups = client.list_groups().await?;
    groups.retain(|group| {
        let of_type = ["", "classic", "consumer"].contains(&&*group.group_type.to_lowercase());
        of_type && ["", "consumer"].contains(&&*group.protocol_type)
    });
    Ok(groups)
}

/// The names in a list with commas, in any case, as they are written here.
fn filter<'a>(given: Option<&str>, valid: &[&'a str], what: &str) -> Result<Vec<&'a str>, Ending> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    given
        .split(',')
        .map(|name| {
            let found = valid.iter().find(|v| v.eq_ignore_ascii_case(name.trim()));
            found.copied().ok_or_else(|| {
                Ending::Usage(format!(
                    "Invalid {what} list '{given}'. Valid {what}{} are: {}",
                    if what == "state" { "s" } else { "" },
                    valid.join(", ")
                ))
            })
        })
        .collect()
}

fn shown_type(group: &GroupListing) -> &str {
    TYPES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(&group.group_type))
        .unwrap_or("Unknown")
}

fn print(groups: &[GroupListing], with_type: bool, with_state: bool) {
    let widest = groups.iter().map(|g| g.group.chars().count()).max();
    let width = widest.unwrap_or(0).max(15) + 10;
    let row = |group: &str, kind: &str, state: &str| {
        let mut line = format!("{group:<width$}");
        for (shown, column) in [(with_type, kind), (with_state, state)] {
            if shown {
                line.push_str(&format!(" {column:<20}"));
            }
        }
        print_line!("{line}");
    };
    row("GROUP", "TYPE", "STATE");
    for group in groups {
        let state = match &*group.state {
            "" => "Unknown",
            state => state,
        };
        row(&group.group, shown_type(group), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_in_any_case_and_others_are_named() {
        let states = filter(Some("stable, EMPTY"), &STATES, "state").unwrap();
        assert_eq!(states, ["Stable", "Empty"]);
        let Err(Ending::Usage(message)) = filter(Some("stable,foo"), &STATES, "state") else {
            panic!("foo is no state");
        };
        assert!(message.starts_with("Invalid state list 'stable,foo'. Valid states are: "));
        let Err(Ending::Usage(message)) = filter(Some("share"), &TYPES, "types") else {
            panic!("share is no type of consumer groups");
        };
        assert_eq!(
            message,
            "Invalid types list 'share'. Valid types are: Consumer, Classic"
        );
    }
}
