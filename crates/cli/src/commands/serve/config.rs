//! From flags, environment and files to the broker's settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use ottla_broker::settings::{BrokerConfig, properties};

use super::{Durability, ServeArgs, environment};

const DEFAULT_PORT: u16 = 9092;
const DEFAULT_HOST: &str = "127.0.0.1";

pub(super) fn broker_config(
    args: &ServeArgs,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<BrokerConfig> {
    let mut values = match &args.config {
        None => BTreeMap::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?;
            properties::parse(&text)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?
        }
    };
    values.extend(environment::settings(variables));
    if let Some(durability) = args.durability {
        let value = match durability {
            Durability::Disk => "disk",
            Durability::Os => "os",
        };
        values.insert("ottla.durability".to_owned(), value.to_owned());
    }
    if let Some(port) = &args.http_port {
        values.insert("http.port".to_owned(), port.clone());
    }
    set_listeners(args, &mut values)?;
    values.extend(args.overrides.iter().cloned());
    Ok(BrokerConfig {
        data_dir: data_dir(args, &values),
        values,
    })
}

fn set_listeners(args: &ServeArgs, values: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let asked = args.port.is_some() || args.host.is_some();
    if asked && args.overrides.iter().any(|(name, _)| name == "listeners") {
        bail!("--override listeners=... already says where to listen: leave --port and --host out");
    }
    if !asked && values.contains_key("listeners") {
        return Ok(());
    }
    let host = args.host.as_deref().unwrap_or(DEFAULT_HOST);
    // An IPv6 address goes in brackets.
    let host = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let port = args.port.unwrap_or(DEFAULT_PORT);
    values.insert("listeners".to_owned(), format!("PLAINTEXT://{host}:{port}"));
    Ok(())
}

fn data_dir(args: &ServeArgs, values: &BTreeMap<String, String>) -> PathBuf {
    let configured = || {
        let dirs = values.get("log.dirs").or_else(|| values.get("log.dir"))?;
        // Kafka spreads partitions over several directories; Ottla keeps them in the first.
        dirs.split(',').map(str::trim).find(|dir| !dir.is_empty())
    };
    match &args.data_dir {
        Some(dir) => dir.clone(),
        None => PathBuf::from(configured().unwrap_or("./data")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn config(args: &[&str]) -> anyhow::Result<BrokerConfig> {
        config_in(&[], args)
    }

    fn config_in(variables: &[(&str, &str)], args: &[&str]) -> anyhow::Result<BrokerConfig> {
        let args = ["ottla", "serve"].iter().chain(args);
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        match Cli::parse_from(args).command {
            Command::Serve(args) => broker_config(&args, variables),
            _ => unreachable!("the command is serve"),
        }
    }

    #[test]
    fn without_flags_it_listens_on_the_loopback_and_keeps_data_in_data() {
        let config = config(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("./data"));
        assert_eq!(config.values["listeners"], "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(config.values.len(), 1);
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
}
