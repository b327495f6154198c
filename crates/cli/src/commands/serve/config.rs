//! From flags, environment and files to the broker's settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ottla_broker::settings::{self, properties};

use super::environment;
use super::sources::{Origin, Sources};
use crate::args::name_value;

const DEFAULT_PORT: u16 = 9092;
const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_DATA_DIR: &str = "./data";

/// What is a setting of the broker, of all that `ottla serve` is told.
#[derive(Debug, Default, Args)]
pub struct SettingArgs {
    /// Port to listen on; 0 takes a free one and says which [default: 9092]
    #[arg(short, long)]
    port: Option<u16>,
    /// Address to listen on; 0.0.0.0 for all [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// Port for HTTP (health, metrics, dead letters); 0 takes a free one, off turns HTTP off [default: 9644]
    #[arg(long, value_name = "PORT|off", value_parser = http_port)]
    http_port: Option<String>,
    /// Where to keep the data [default: the configuration's log.dirs, or ./data]
    #[arg(short, long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What an acknowledged record survives: disk, a power cut; os, the death of the process [default: disk]
    #[arg(long, value_enum)]
    durability: Option<Durability>,
    /// Settings in the form of Kafka's server.properties
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting, as in num.partitions=3; repeatable
    #[arg(short, long = "override", value_name = "NAME=VALUE", value_parser = name_value)]
    overrides: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durability {
    Disk,
    Os,
}

/// Checked here, so that a mistake is one of usage.
fn http_port(text: &str) -> Result<String, String> {
    match text == "off" || text.parse::<u16>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("expected a port (0 to 65535) or off".to_owned()),
    }
}

/// All that was given, and what is to be warned of.
pub fn sources(
    args: &SettingArgs,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<(Sources, Vec<String>)> {
    let mut sources = Sources::default();
    let mut warnings = Vec::new();
    if let Some(path) = &args.config {
        read_file(path, &mut sources)?;
    }
    environment::read(variables, &mut sources, &mut warnings);
    if let Some(durability) = args.durability {
        let value = match durability {
            Durability::Disk => "disk",
            Durability::Os => "os",
        };
        sources.set("ottla.durability", value, Origin::Flag("--durability"));
    }
    if let Some(port) = &args.http_port {
        sources.set("http.port", port, Origin::Flag("--http-port"));
    }
    for (name, value) in &args.overrides {
        sources.set(name, value, Origin::Override);
    }
    set_listeners(args, &mut sources)?;
    set_data_dir(args, &mut sources);
    warnings.extend(sources.warnings());
    Ok((sources, warnings))
}

fn read_file(path: &Path, sources: &mut Sources) -> anyhow::Result<()> {
    let failed = || format!("cannot read the configuration {}", path.display());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    for entry in properties::entries(&text) {
        let entry = entry.with_context(failed)?;
        let path = path.display().to_string();
        let line = entry.line;
        sources.set(&entry.name, entry.value, Origin::File { path, line });
    }
    Ok(())
}

/// What settings without flags say of listeners and data.
pub fn settle(sources: &mut Sources) {
    let none = SettingArgs::default();
    set_listeners(&none, sources).expect("only a flag contradicts a setting");
    set_data_dir(&none, sources);
}

/// Where to listen: as the flags say; else as the setting says; else where clients are told to connect to; else on the loopback.
fn set_listeners(args: &SettingArgs, sources: &mut Sources) -> anyhow::Result<()> {
    let flag = match (args.port, &args.host) {
        (Some(_), _) => Some("--port"),
        (None, Some(_)) => Some("--host"),
        (None, None) => None,
    };
    let values = sources.values();
    let given = sources.get("listeners");
    if flag.is_some() && given.is_some_and(|given| given.origin == Origin::Override) {
        bail!("--override listeners=... already says where to listen: leave --port and --host out");
    }
    let Some(flag) = flag else {
        if given.is_some() {
            return Ok(());
        }
        match settings::derived_listeners(&values) {
            Ok(Some((from, value))) => {
                sources.set("listeners", value, Origin::Derived(from.to_owned()));
            }
            Ok(None) => {
                let value = format!("PLAINTEXT://{DEFAULT_HOST}:{DEFAULT_PORT}");
                sources.set("listeners", value, Origin::Default);
            }
            // Told when the settings are looked at as a whole.
            Err(_) => {}
        }
        return Ok(());
    };
    let host = args.host.as_deref().unwrap_or(DEFAULT_HOST);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let one = |name: &str, port| settings::Endpoint {
        name: name.to_owned(),
        host: host.to_owned(),
        port,
    };
    let known = settings::listeners(&values).unwrap_or_default();
    let endpoints = match (args.port, known.as_slice()) {
        (Some(port), [only]) => vec![one(&only.endpoint.name, port)],
        (Some(port), _) => vec![one("PLAINTEXT", port)],
        (None, []) => vec![one("PLAINTEXT", DEFAULT_PORT)],
        (None, known) => known
            .iter()
            .map(|listener| one(&listener.endpoint.name, listener.endpoint.port))
            .collect(),
    };
    let value: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    sources.set("listeners", value.join(","), Origin::Flag(flag));
    Ok(())
}

/// The one data directory, under the name that tools ask for. A list of several stays, and is told.
fn set_data_dir(args: &SettingArgs, sources: &mut Sources) {
    let first = |name: &str| {
        let dirs = sources.get(name)?.value.split(',');
        dirs.map(str::trim)
            .find(|dir| !dir.is_empty())
            .map(PathBuf::from)
    };
    let (dir, origin) = match (&args.data_dir, first("log.dirs"), first("log.dir")) {
        (Some(dir), dirs, _) => {
            sources.data_dir = dir.clone();
            // What an override says of it is looked at all the same.
            if dirs.is_some() && sources.origin("log.dirs") == Origin::Override {
                return;
            }
            (dir.clone(), Origin::Flag("--data-dir"))
        }
        (None, Some(dir), _) => {
            sources.data_dir = dir;
            return;
        }
        (None, None, Some(dir)) => (dir, Origin::Derived("log.dir".to_owned())),
        (None, None, None) => (PathBuf::from(DEFAULT_DATA_DIR), Origin::Default),
    };
    sources.set("log.dirs", dir.display().to_string(), origin);
    sources.data_dir = dir;
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ottla_broker::settings::BrokerConfig;

    use super::*;
    use crate::args::{Cli, Command};

    fn config(args: &[&str]) -> anyhow::Result<BrokerConfig> {
        config_in(&[], args)
    }

    fn config_in(variables: &[(&str, &str)], args: &[&str]) -> anyhow::Result<BrokerConfig> {
        let args = ["ottla", "serve"].iter().chain(args);
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        match Cli::parse_from(args).command {
            Command::Serve(args) => {
                sources(&args.settings, variables).map(|(sources, _)| sources.broker_config())
            }
            _ => unreachable!("the command is serve"),
        }
    }

    #[test]
    fn without_flags_it_listens_on_the_loopback_and_keeps_data_in_data() {
        let config = config(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("./data"));
        assert_eq!(config.values["listeners"], "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(config.values["log.dirs"], "./data");
        assert_eq!(config.values.len(), 2);
    }

    #[test]
    fn a_flag_goes_before_the_file_and_an_override_before_both() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        std::fs::write(
            &file,
            "listeners=PLAINTEXT://:1\nnum.partitions=2\nlog.dirs=/d1,/d2\n",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let given = config(&["--config", file, "-o", "num.partitions=5"]).unwrap();
        assert_eq!(given.values["listeners"], "PLAINTEXT://:1");
        assert_eq!(given.values["num.partitions"], "5");
        assert_eq!(given.data_dir, PathBuf::from("/d1"));
        let given = config(&["--config", file, "--port", "0", "--durability", "os"]).unwrap();
        assert_eq!(given.values["listeners"], "PLAINTEXT://127.0.0.1:0");
        assert_eq!(given.values["ottla.durability"], "os");
        let given = config(&["--http-port", "off"]).unwrap();
        assert_eq!(given.values["http.port"], "off");
    }

    #[test]
    fn the_environment_goes_before_the_file_and_flags_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        std::fs::write(&file, "dlq.mode=off\ndlq.max.attempts=7\n").unwrap();
        let variables = [("OTTLA_DLQ_MODE", "enforce"), ("OTTLA_DURABILITY", "os")];
        let file = ["--config", file.to_str().unwrap()];
        let given = config_in(&variables, &file).unwrap();
        assert_eq!(given.values["dlq.mode"], "enforce");
        assert_eq!(given.values["dlq.max.attempts"], "7");
        assert_eq!(given.values["ottla.durability"], "os");
        let flags = ["--durability", "disk", "-o", "dlq.mode=detect"];
        let given = config_in(&variables, &flags).unwrap();
        assert_eq!(given.values["dlq.mode"], "detect");
        assert_eq!(given.values["ottla.durability"], "disk");
    }

    #[test]
    fn two_places_to_listen_on_are_refused() {
        assert!(config(&["--port", "1", "-o", "listeners=PLAINTEXT://:2"]).is_err());
    }

    #[test]
    fn where_to_listen_comes_from_flags_settings_or_what_clients_are_told() {
        const LISTENERS: (&str, &str) = ("KAFKA_LISTENERS", "A://h:1,CONTROLLER://h:9,B://:2");
        const TOLD: (&str, &str) = ("KAFKA_ADVERTISED_LISTENERS", "A://x:1,B://y:2");
        const ONE: (&str, &str) = ("KAFKA_ADVERTISED_LISTENERS", "OUT://x:1");
        const MAP: (&str, &str) = (
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "A:PLAINTEXT,B:PLAINTEXT,OUT:PLAINTEXT",
        );
        for (variables, flags, expected) in [
            (&[LISTENERS][..], &[][..], LISTENERS.1),
            (&[TOLD], &[], "A://:1,B://:2"),
            (
                &[TOLD, MAP],
                &["--host", "0.0.0.0"],
                "A://0.0.0.0:1,B://0.0.0.0:2",
            ),
            (
                &[LISTENERS, MAP],
                &["--host", "::1"],
                "A://[::1]:1,B://[::1]:2",
            ),
            (&[ONE, MAP], &["--port", "0"], "OUT://127.0.0.1:0"),
            (
                &[LISTENERS, MAP],
                &["--port", "7"],
                "PLAINTEXT://127.0.0.1:7",
            ),
            (&[], &["--host", "[::1]"], "PLAINTEXT://[::1]:9092"),
            (
                &[("KAFKA_ADVERTISED_HOST_NAME", "h")],
                &[],
                "PLAINTEXT://:9092",
            ),
            (
                &[("KAFKA_PORT", "tcp://10.0.0.1:9")],
                &[],
                "PLAINTEXT://127.0.0.1:9092",
            ),
        ] {
            let given = config_in(variables, flags).unwrap();
            assert_eq!(
                given.values["listeners"], expected,
                "{variables:?} {flags:?}"
            );
        }
    }

    #[test]
    fn the_data_directory_is_the_flags_the_settings_or_the_default() {
        let variables = [("KAFKA_LOG_DIRS", "/v")];
        for (variables, flags, expected) in [
            (&[][..], &[][..], "./data"),
            (&variables, &[], "/v"),
            (&variables, &["-d", "/flag"], "/flag"),
            (&[("KAFKA_LOG_DIR", "/w")], &[], "/w"),
        ] {
            let given = config_in(variables, flags).unwrap();
            assert_eq!(given.data_dir, PathBuf::from(expected));
            assert_eq!(given.values["log.dirs"], expected);
        }
    }

    #[test]
    fn each_value_is_kept_with_where_it_came_from() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.properties");
        std::fs::write(&file, "# mine\nnum.partitions=2\nnum.partitons=2\n").unwrap();
        let args = SettingArgs {
            config: Some(file.clone()),
            overrides: vec![("num.partitions".to_owned(), "4".to_owned())],
            ..SettingArgs::default()
        };
        let variables = [("KAFKA_NUM_PARTITIONS", "3"), ("KAFKA_CFG_NODE_IDD", "1")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let (sources, warnings) = sources(&args, variables.into_iter()).unwrap();
        let path = file.display().to_string();
        let given: Vec<_> = sources
            .all("num.partitions")
            .map(|given| (given.value.as_str(), given.origin.clone()))
            .collect();
        assert_eq!(
            given,
            [
                ("4", Origin::Override),
                ("3", Origin::Environment("KAFKA_NUM_PARTITIONS".to_owned())),
                (
                    "2",
                    Origin::File {
                        path: path.clone(),
                        line: 2
                    }
                ),
            ]
        );
        assert_eq!(
            warnings,
            [
                "KAFKA_CFG_NODE_IDD: unknown setting node.idd, ignored; did you mean KAFKA_CFG_NODE_ID?".to_owned(),
                format!("{path}:3: unknown setting num.partitons, ignored; did you mean num.partitions?"),
            ]
        );
        let known = sources.broker_config().values;
        assert!(!known.contains_key("num.partitons") && !known.contains_key("node.idd"));
    }
}
