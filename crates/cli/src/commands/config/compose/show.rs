//! What a compose file's Kafka would become, as a table, as JSON, as a part of a compose file, as variables.

use std::fmt::Write as _;
use std::io;

use anyhow::bail;
use ottla_broker::settings::Listener;
use serde_json::{Value, json};

use super::file::ComposeFile;
use super::judge::{Ignored, Judged, Role};
use crate::commands::serve::sources::Origin;
use crate::output;

pub fn as_json(file: &str, judged: &[Judged<'_>], image: &str) -> Value {
    let names = |is_it: fn(Role) -> bool| -> Vec<&str> {
        let them = judged.iter().filter(|judged| is_it(judged.role));
        them.map(|judged| judged.service.name.as_str()).collect()
    };
    let brokers: Vec<&Judged<'_>> = judged.iter().filter(|j| j.role == Role::Broker).collect();
    json!({
        "file": file,
        "starts": !brokers.is_empty() && brokers.iter().all(|broker| broker.starts()),
        "services": brokers.iter().map(|broker| service_as_json(broker, image)).collect::<Vec<_>>(),
        "removable": names(Role::is_removable),
        "tools": names(|role| role == Role::Tools),
        "others": names(|role| role == Role::Other),
        "warnings": general(judged),
    })
}

fn service_as_json(judged: &Judged<'_>, image: &str) -> Value {
    let variable = |origin: &Origin| match origin {
        Origin::Environment(variable) => Some(variable.clone()),
        _ => None,
    };
    let ignored = |ignored: &Ignored| {
        json!({
            "variable": ignored.variable,
            "name": ignored.name,
            "line": ignored.line,
            "reason": ignored.reason,
        })
    };
    json!({
        "service": judged.service.name,
        "image": judged.service.image.as_ref().map(|image| &image.name),
        "becomes": image,
        "starts": judged.starts(),
        "settings": judged.used.iter().map(|used| json!({
            "name": used.name,
            "value": used.value,
            "variable": variable(&used.origin),
            "source": used.origin.to_string(),
            "line": used.line,
        })).collect::<Vec<_>>(),
        "ignored": judged.ignored.iter().map(ignored).collect::<Vec<_>>(),
        "unknown": judged.unknown.iter().map(|(unknown, meant)| json!({
            "variable": unknown.variable,
            "name": unknown.name,
            "line": unknown.line,
            "meant": meant,
        })).collect::<Vec<_>>(),
        "problems": judged.problems.iter().map(|(problem, origin)| json!({
            "name": problem.name,
            "value": problem.value,
            "variable": variable(origin),
            "reason": problem.reason,
        })).collect::<Vec<_>>(),
        "listeners": judged.listeners.iter().map(|listener| json!({
            "name": listener.endpoint.name,
            "listens": listener.endpoint.address(),
            "advertised": told(listener),
        })).collect::<Vec<_>>(),
        "env_files": judged.service.env_files.iter().map(|file| json!({
            "path": file.path,
            "read": file.failure.is_none(),
        })).collect::<Vec<_>>(),
        "warnings": judged.warnings,
    })
}

/// What clients of a listener are told to connect to.
fn told(listener: &Listener) -> String {
    let mut told = listener
        .advertised
        .clone()
        .unwrap_or(listener.endpoint.clone());
    if ["", "0.0.0.0", "::"].contains(&told.host.as_str()) {
        "localhost".clone_into(&mut told.host);
    }
    told.address()
}

/// What is to be said of the file as a whole.
fn general(judged: &[Judged<'_>]) -> Vec<String> {
    let brokers = judged.iter().filter(|j| j.role == Role::Broker);
    let names: Vec<&str> = brokers.map(|j| j.service.name.as_str()).collect();
    match names.as_slice() {
        [] | [_] => Vec::new(),
        [first, rest @ ..] => vec![format!(
            "there are {} brokers, and Ottla is a cluster of one: keep {first}, remove {}, and leave {first} alone in the clients' \
             bootstrap.servers",
            names.len(),
            rest.join(", ")
        )],
    }
}

pub fn table(judged: &[Judged<'_>], image: &str) -> io::Result<String> {
    let mut out = Vec::new();
    for broker in judged.iter().filter(|j| j.role == Role::Broker) {
        table_of(&mut out, broker, image)?;
    }
    let mut text = String::from_utf8(out).map_err(io::Error::other)?;
    for judged in judged {
        let name = &judged.service.name;
        let line = match judged.role {
            Role::Zookeeper => format!("{name} can be removed: Ottla needs no ZooKeeper."),
            Role::Controller => format!("{name} can be removed: Ottla needs no controllers."),
            Role::Tools => format!("{name} runs Kafka's tools: they are in Ottla's image too."),
            Role::Broker | Role::Other => continue,
        };
        writeln!(text, "{line}").expect("a string takes everything");
    }
    for warning in general(judged) {
        writeln!(text, "warning: {warning}").expect("a string takes everything");
    }
    Ok(text)
}

fn table_of(out: &mut Vec<u8>, judged: &Judged<'_>, image: &str) -> io::Result<()> {
    use io::Write as _;
    let name = &judged.service.name;
    let was = judged
        .service
        .image
        .as_ref()
        .map_or("its own image", |image| &image.name);
    match judged.starts() {
        true => writeln!(out, "{name}: {was} -> {image}\n")?,
        false => writeln!(out, "{name}: {was} -> {image} would not start\n")?,
    }
    for (problem, origin) in &judged.problems {
        match origin {
            Origin::Environment(variable) => writeln!(out, "error: {variable}: {problem}")?,
            _ => writeln!(out, "error: {problem}")?,
        }
    }
    for (unknown, meant) in &judged.unknown {
        let meant = meant
            .as_ref()
            .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        writeln!(
            out,
            "warning: {}: no setting has this name, ignored{meant}",
            unknown.variable
        )?;
    }
    for warning in &judged.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if !judged.problems.is_empty() || !judged.unknown.is_empty() || !judged.warnings.is_empty() {
        writeln!(out)?;
    }
    let rows: Vec<Vec<String>> = judged
        .used
        .iter()
        .map(|used| {
            vec![
                used.name.clone(),
                used.value.clone(),
                used.origin.to_string(),
            ]
        })
        .collect();
    output::table(out, &["SETTING", "VALUE", "SOURCE"], &rows)?;
    if !judged.ignored.is_empty() {
        let row = |ignored: &Ignored| vec![ignored.variable.clone(), ignored.reason.clone()];
        writeln!(out)?;
        let rows: Vec<_> = judged.ignored.iter().map(row).collect();
        output::table(out, &["IGNORED", "WHY"], &rows)?;
    }
    if !judged.listeners.is_empty() {
        let row = |listener: &Listener| {
            let endpoint = &listener.endpoint;
            vec![endpoint.name.clone(), endpoint.address(), told(listener)]
        };
        writeln!(out)?;
        let rows: Vec<_> = judged.listeners.iter().map(row).collect();
        output::table(out, &["LISTENER", "LISTENS ON", "CLIENTS ARE TOLD"], &rows)?;
    }
    writeln!(out)
}

/// The brokers' part of the file as it is, with the image exchanged.
pub fn compose(file: &ComposeFile, brokers: &[&Judged<'_>], image: &str) -> String {
    let mut text = "services:\n".to_owned();
    for broker in brokers {
        let service = broker.service;
        let at = service.image.as_ref().and_then(|image| image.at.clone());
        let lines: Vec<&str> = file.text.split_inclusive('\n').collect();
        let start: usize = lines[..service.lines.start]
            .iter()
            .map(|line| line.len())
            .sum();
        let len: usize = lines[service.lines.clone()]
            .iter()
            .map(|line| line.len())
            .sum();
        let block = start..start + len;
        match at {
            Some(at) if block.start <= at.start && at.end <= block.end => {
                text.push_str(&file.text[block.start..at.start]);
                text.push_str(image);
                text.push_str(&file.text[at.end..block.end]);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            // The image is an alias, or merged into it, or built.
            _ => {
                let name = &service.name;
                writeln!(text, "  {name}:\n    image: {image}").expect("a string takes everything");
                if service.image.is_none() {
                    writeln!(text, "    build: !reset null").expect("a string takes everything");
                }
            }
        }
    }
    text
}

/// The variables that have an effect, for `docker run --env-file`.
pub fn env(brokers: &[&Judged<'_>]) -> anyhow::Result<String> {
    let [broker] = brokers else {
        bail!(
            "there are {} brokers: choose one with --service",
            brokers.len()
        );
    };
    let mut text = String::new();
    for used in &broker.used {
        let Origin::Environment(variable) = &used.origin else {
            continue;
        };
        if used.value.contains('\n') {
            bail!("{variable} has several lines, which a file for --env-file cannot hold");
        }
        writeln!(text, "{variable}={}", used.value).expect("a string takes everything");
    }
    Ok(text)
}
