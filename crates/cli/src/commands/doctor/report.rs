//! The checklist, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::examine::{Examined, Place};
use super::peer::{Cluster, Peer};
use super::verdict::Verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    /// Right for some clients.
    Note,
    Bad,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Good => "ok",
            Outcome::Note => "note",
            Outcome::Bad => "fail",
        }
    }
}

/// Checks of one address.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub title: String,
    pub address: String,
    pub lines: Vec<(Outcome, String)>,
}

pub(super) fn checks(examined: &Examined) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for place in &examined.start {
        subjects.push(Subject {
            title: format!("{}, where clients start", place.address),
            address: place.address.to_string(),
            lines: lines(place, place.cluster()),
        });
    }
    for broker in &examined.brokers {
        let start = &examined.start[broker.told_by];
        let (from, to) = (&start.address, &broker.place.address);
        let mut lines = lines(&broker.place, start.cluster());
        if let Some(words) = &broker.is_another {
            lines.push((Outcome::Bad, format!("another broker answers: {words}")));
        }
        if to.is_loopback() && !from.is_loopback() && lines.iter().all(|(o, _)| *o != Outcome::Bad)
        {
            let note = "clients on other machines and in containers will look for it on themselves";
            lines.push((Outcome::Note, note.to_owned()));
        }
        subjects.push(Subject {
            title: format!(
                "{to}, which broker {} advertises to clients of {from}",
                broker.id
            ),
            address: to.to_string(),
            lines,
        });
    }
    subjects
}

/// `expected` is the cluster that should answer.
fn lines(place: &Place, expected: Option<&Cluster>) -> Vec<(Outcome, String)> {
    let host = &place.address.host;
    let peers = match &place.peers {
        Ok(peers) => peers,
        Err(why) => return vec![(Outcome::Bad, format!("{host} {why}"))],
    };
    let mut lines = Vec::new();
    let ips: Vec<String> = peers.iter().map(|(ip, _)| ip.to_string()).collect();
    if ips != [host.as_str()] {
        lines.push((
            Outcome::Good,
            format!("{host} resolves to {}", ips.join(", ")),
        ));
    }
    for (ip, peer) in peers {
        let outcome = match peer {
            Peer::Kafka(cluster) if expected.is_some_and(|e| e.id == cluster.id) => Outcome::Good,
            Peer::Kafka(_) => Outcome::Bad,
            // Clients go on to the next address of a name.
            _ if place.cluster().is_some() => Outcome::Note,
            _ => Outcome::Bad,
        };
        lines.push((outcome, format!("{ip} {}", peer.describe())));
    }
    lines
}

pub(super) fn print(
    out: &mut impl Write,
    subjects: &[Subject],
    verdict: &Verdict,
) -> io::Result<()> {
    for subject in subjects {
        writeln!(out, "{}", subject.title)?;
        for (outcome, text) in &subject.lines {
            writeln!(out, "  {:<4}  {text}", outcome.name())?;
        }
    }
    writeln!(out, "\n{}", verdict.sentence)
}

pub(super) fn as_json(subjects: &[Subject], verdict: &Verdict) -> Value {
    let line =
        |(outcome, text): &(Outcome, String)| json!({"outcome": outcome.name(), "detail": text});
    let subject = |subject: &Subject| {
        json!({
            "address": subject.address,
            "subject": subject.title,
            "checks": subject.lines.iter().map(line).collect::<Vec<_>>(),
        })
    };
    json!({
        "healthy": verdict.problem.is_none(),
        "problem": verdict.problem,
        "verdict": verdict.sentence,
        "setting": verdict.setting,
        "subjects": subjects.iter().map(subject).collect::<Vec<_>>(),
    })
}
