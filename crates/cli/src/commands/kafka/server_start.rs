//! `kafka-server-start [-daemon] server.properties [--override name=value]`: `ottla serve` with that file.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use clap::Parser;

use crate::args::Cli;
use crate::failure;
use crate::talk::say;

pub fn run(args: &[String]) -> ExitCode {
    match args {
        [option, rest @ ..] if option == "-daemon" && !rest.is_empty() => {
            failure::exit_code(in_background(rest))
        }
        [option, ..] if option == "--version" => {
            println!("{}", ottla_tools::KAFKA_VERSION);
            ExitCode::SUCCESS
        }
        [] => usage(),
        [option, ..] if option.starts_with('-') => usage(),
        _ => {
            let cli = Cli::parse_from(serve_args(args));
            failure::exit_code(crate::run(cli.command))
        }
    }
}

fn usage() -> ExitCode {
    say!("USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*");
    ExitCode::FAILURE
}

/// The file's settings first, then what overrides them, which `serve` knows by the same name.
fn serve_args(args: &[String]) -> Vec<String> {
    let (file, overrides) = args.split_first().expect("the caller has looked");
    let before = ["ottla", "serve", "--config", file].map(str::to_owned);
    before
        .into_iter()
        .chain(overrides.iter().cloned())
        .collect()
}

/// Starts a broker that outlives this process. What it says goes to a file, as with Kafka's script.
fn in_background(args: &[String]) -> anyhow::Result<ExitCode> {
    let dir = std::env::var_os("LOG_DIR").map_or_else(|| PathBuf::from("logs"), PathBuf::from);
    let path = dir.join("kafkaServer.out");
    let failed = || format!("cannot write to {}", path.display());
    fs::create_dir_all(&dir).with_context(failed)?;
    let out = File::create(&path).with_context(failed)?;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Command::new(program)
        .args(&serve_args(args)[1..])
        .stdin(Stdio::null())
        .stdout(out.try_clone().with_context(failed)?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .context("cannot start the broker")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_overrides_become_arguments_of_serve() {
        let args = ["s.properties", "--override", "node.id=3"].map(str::to_owned);
        let serve = serve_args(&args);
        assert_eq!(
            serve,
            [
                "ottla",
                "serve",
                "--config",
                "s.properties",
                "--override",
                "node.id=3"
            ]
        );
        assert!(Cli::try_parse_from(serve).is_ok());
    }
}
