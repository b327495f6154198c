//! `ottla config from-compose`: what a compose file's Kafka would become.

mod dotenv;
mod file;
mod judge;
mod show;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::output;
use judge::{Judged, Role};

const HELP: &str = "\
Finds the services that are Kafka, by image or by their variables, and tells for each what its variables become, what of them is \
ignored and why, what would be refused, and where clients would be told to connect to. ${VARIABLES} are filled in from the environment \
and from the file .env beside the compose file.

Exits with 0 if each broker would start, with 1 if one would not, or if there is none.

Examples:
  ottla config from-compose docker-compose.yml
  ottla config from-compose docker-compose.yml --format compose > docker-compose.ottla.yml
  ottla config from-compose docker-compose.yml --service kafka --format env > ottla.env";

/// Tells what a compose file's Kafka would become.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct FromComposeArgs {
    /// The compose file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The one service to look at
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// A table; the brokers' part of the file with the image exchanged; the variables that have an effect, for --env-file
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    format: Format,
    /// The image that takes the place of Kafka's
    #[arg(long, value_name = "IMAGE", default_value = "ottla:latest")]
    image: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Compose,
    Env,
}

pub fn run(args: &FromComposeArgs) -> anyhow::Result<ExitCode> {
    let unicode = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let file = file::read(&args.file, &HashMap::from_iter(unicode))?;
    let mut judged = judge::judge(&file);
    if let Some(name) = &args.service {
        let names: Vec<&str> = judged.iter().map(|j| j.service.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            bail!("there is no service {name}, but: {}", names.join(", "));
        }
        judged.retain(|judged| judged.service.name == *name);
    }
    let shown = args.file.display().to_string();
    let brokers: Vec<&Judged<'_>> = judged.iter().filter(|j| j.role == Role::Broker).collect();
    if brokers.is_empty() && !args.json {
        bail!(
            "no service of {shown} is known as a Kafka broker: none has an image of one, or variables such as KAFKA_LISTENERS"
        );
    }
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &show::as_json(&shown, &judged, &args.image))?;
    } else {
        let text = match args.format {
            Format::Table => show::table(&judged, &args.image)?,
            Format::Compose => show::compose(&file, &brokers, &args.image),
            Format::Env => show::env(&brokers)?,
        };
        out.write_all(text.as_bytes())?;
    }
    let starts = !brokers.is_empty() && brokers.iter().all(|broker| broker.starts());
    Ok(match starts {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
