//! Runs the scenarios and judges what differed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use kafka_protocol::messages::{
    ApiVersionsRequest, FindCoordinatorRequest, JoinGroupRequest, LeaveGroupRequest,
};
use ottla_client::Connection;
use ottla_codec::api::Api;

use super::both::{Both, Finding, SharedVersions};
use super::differences::ACCEPTED;
use super::scenarios::{ALL, configs, groups};
use super::words::s;

/// How many scenarios run at a time: most of their time is waiting.
const AT_A_TIME: usize = 4;
/// How long a broker may take to open its group coordinator.
const COORDINATOR_DEADLINE: Duration = Duration::from_secs(60);

/// What a run of the suite found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Differences that no row of the table explains.
    pub unexplained: Vec<Finding>,
    /// Rows of the table that explained nothing, by their reason: stale.
    pub unused: Vec<&'static str>,
    /// APIs and versions that both offer and no scenario has asked for.
    pub not_asked: Vec<String>,
    /// Scenarios that could not go on.
    pub failed: Vec<String>,
    /// How many answers were compared.
    pub compared: usize,
    /// Everything asked and answered.
    pub transcript: Vec<String>,
}

/// Runs every scenario whose name contains `filter` against the brokers at these addresses.
pub async fn run(ottla: &str, kafka: &str, filter: &str) -> anyhow::Result<Outcome> {
    for address in [ottla, kafka] {
        subscribe(address).await?;
    }
    let shared = shared_versions(ottla, kafka).await?;
    wait_for_coordinator(kafka).await?;
    wait_for_coordinator(ottla).await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 1_000_000;
    let mut outcome = Outcome::default();
    let mut asked = BTreeSet::new();
    let mut used = BTreeSet::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut waiting = ALL.iter().filter(|(name, _)| name.contains(filter));
    let mut at_a_time = 1;
    loop {
        while tasks.len() < at_a_time {
            let Some((name, scenario)) = waiting.next() else {
                break;
            };
            let mut both = Both::new(name, &run.to_string(), ottla, kafka, shared.clone());
            tasks.spawn(async move {
                let result = scenario(&mut both).await;
                (*name, both, result)
            });
        }
        let Some(done) = tasks.join_next().await else {
            break;
        };
        at_a_time = AT_A_TIME;
        let (name, both, result) = done?;
        if let Err(error) = result {
            outcome.failed.push(format!("{name}: {error:#}"));
        }
        outcome.compared += both.transcript.len();
        outcome.transcript.extend(both.transcript);
        asked.extend(both.asked);
        for finding in both.findings {
            match ACCEPTED.iter().position(|row| row.explains(&finding)) {
                Some(row) => _ = used.insert(row),
                None => outcome.unexplained.push(finding),
            }
        }
    }
    if filter.is_empty() {
        outcome.not_asked = not_asked(&shared, &asked);
        outcome.unused = (0..ACCEPTED.len())
            .filter(|row| !used.contains(row))
            .map(|row| ACCEPTED[row].reason)
            .collect();
    }
    Ok(outcome)
}

fn not_asked(shared: &SharedVersions, asked: &BTreeSet<(i16, i16)>) -> Vec<String> {
    Api::ALL
        .iter()
        .flat_map(|api| match shared.get(&(*api as i16)) {
            Some(versions) => versions
                .clone()
                .filter(|version| !asked.contains(&(*api as i16, *version)))
                .map(|version| format!("{} v{version}", api.name()))
                .collect(),
            None => vec![format!("{}: not offered by both", api.name())],
        })
        .collect()
}

/// Makes a subscription of client metrics, which matches nobody: without one Ottla does not offer client telemetry.
async fn subscribe(address: &str) -> anyhow::Result<()> {
    let mut connection = Connection::connect(address).await?;
    let nobody = [("match", 0, Some("client_id=nobody"))];
    let request = configs::change(configs::CLIENT_METRICS, "parity", &nobody);
    let answer = connection.call(1, &request).await?;
    let refused = answer.responses.iter().any(|r| r.error_code != 0);
    ensure!(!refused, "{address} makes no subscription: {answer:?}");
    Ok(())
}

/// The versions that Ottla implements and Kafka offers.
async fn shared_versions(ottla: &str, kafka: &str) -> anyhow::Result<SharedVersions> {
    let mut offers = Vec::new();
    for address in [ottla, kafka] {
        let mut connection = Connection::connect(address).await?;
        let answer = connection.call(0, &ApiVersionsRequest::default()).await?;
        let versions: BTreeMap<i16, _> = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        offers.push(versions);
    }
    let mut shared = SharedVersions::new();
    for api in Api::ALL {
        let key = *api as i16;
        let (Some(a), Some(b)) = (offers[0].get(&key), offers[1].get(&key)) else {
            continue;
        };
        let implemented = api.versions();
        let low = a.0.max(b.0).max(*implemented.start());
        let high = a.1.min(b.1).min(*implemented.end());
        shared.insert(key, low..=high);
    }
    Ok(shared)
}

/// Kafka makes its internal topics when they are first asked for; until then groups get retriable errors.
async fn wait_for_coordinator(address: &str) -> anyhow::Result<()> {
    let group = "parity-warm-up";
    let started = Instant::now();
    let mut connection = Connection::connect(address).await?;
    loop {
        let find = FindCoordinatorRequest::default().with_key(s(group));
        let found = connection.call(1, &find).await?;
        if found.error_code == 0 {
            let join: JoinGroupRequest = groups::join(0, group, "");
            let joined = connection.call(0, &join).await?;
            if joined.error_code == 0 {
                let leave: LeaveGroupRequest = groups::leave(0, group, &joined.member_id, None);
                connection.call(0, &leave).await?;
                return Ok(());
            }
        }
        ensure!(
            started.elapsed() < COORDINATOR_DEADLINE,
            "{address} has no group coordinator"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A readable report of what is wrong; `None` when nothing is.
pub fn report(outcome: &Outcome) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    for (title, items) in [
        (
            "differs",
            outcome
                .unexplained
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        ("failed", outcome.failed.clone()),
        ("never asked", outcome.not_asked.clone()),
        (
            "accepted, but the same now",
            outcome
                .unused
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
    ] {
        lines.extend(items.iter().map(|item| format!("{title}: {item}")));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Writes the transcript to the file that `OTTLA_PARITY_TRANSCRIPT` names, if it does.
pub fn keep_transcript(outcome: &Outcome) -> anyhow::Result<()> {
    match std::env::var_os("OTTLA_PARITY_TRANSCRIPT") {
        Some(path) => std::fs::write(&path, outcome.transcript.join("\n"))
            .with_context(|| format!("{} cannot be written", path.display())),
        None => Ok(()),
    }
}
