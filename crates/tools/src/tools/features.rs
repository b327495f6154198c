//! `kafka-features`: which features a cluster has, and at which levels.

use std::collections::BTreeMap;

use ottla_client::Client;
use ottla_client::kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use ottla_client::kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest,
};
use ottla_client::kafka_protocol::protocol::StrBytes;

use super::cluster::bootstrap;
use crate::Tool;
use crate::cluster::{self, block_on};
use crate::errors::Failure;
use crate::options::{Options, Parsed, Subcommands};
use crate::stop::Stop;
use crate::talk::print_line;

pub(super) const TOOL: Tool = Tool {
    name: "features",
    classes: &[
        "kafka.admin.FeatureCommand",
        "org.apache.kafka.tools.FeatureCommand",
    ],
    run,
};

/// How long the broker may take.
const TIMEOUT_MS: i32 = 30_000;
/// The feature whose levels have names.
const METADATA_VERSION: &str = "metadata.version";
/// Their names, from level 7 on.
const METADATA_VERSIONS: [&str; 24] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];
const FIRST_METADATA_VERSION: usize = 7;

fn tool() -> Subcommands {
    let update = |options: Options| {
        options
            .value("feature", "name=level", "The feature; may be repeated.")
            .flag("dry-run", "Say what would happen, and change nothing.")
    };
    let downgrade =
        move |options: Options| update(options).flag("unsafe", "Even if metadata is lost by it.");
    Subcommands::new(
        "kafka-features",
        "This tool shows and changes a cluster's features.",
    )
    .common(|options| {
        options
            .value(
                "bootstrap-server",
                "host:port,...",
                "Where the brokers are.",
            )
            .value(
                "bootstrap-controller",
                "host:port,...",
                "Where controllers are; there are none to connect to, use --bootstrap-server.",
            )
            .value("command-config", "file", "Properties of the client.")
    })
    .command("describe", "Show the features.", |options| {
        options.value("node-id", "id", "The broker to ask; any if left out.")
    })
    .command("upgrade", "Raise features to a level.", update)
    .command("downgrade", "Lower features to a level.", downgrade)
    .command(
        "disable",
        "Lower features to level 0; --feature is a name.",
        downgrade,
    )
}

fn run(args: &[String]) -> Result<(), Stop> {
    let tool = tool();
    let (common, command, parsed) = tool.parse(args)?;
    let bootstrap = bootstrap(&common).map_err(|stop| tool.command_error(command, stop))?;
    let properties = cluster::read_properties(common.value("command-config")?)?;
    let node: Option<i32> = match command {
        "describe" => parsed.number("node-id")?,
        _ => None,
    };
    let update = match command {
        "describe" => None,
        _ => Some(Update::of(command, &parsed).map_err(Stop::Failed)?),
    };
    block_on(async {
        let client = &mut cluster::connect(bootstrap, &properties, "describeFeatures").await?;
        match update {
            None => describe(client, node).await,
            Some(update) => update.carry_out(client).await,
        }
    })
    .map_err(|failure: Failure| Stop::Failed(failure.as_cause()))
}

async fn describe(client: &mut Client, node: Option<i32>) -> Result<(), Failure> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("ottla"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let answer = client
        .retry(async |client| {
            client.controller().await?;
            let node = match node {
                Some(id) => client.node(id).await?,
                None => client.any().await?,
            };
            node.call(&request).await
        })
        .await?;
    Failure::of_code(answer.error_code, None)?;
    for line in lines(&answer) {
        print_line!("{line}");
    }
    Ok(())
}

fn lines(answer: &ApiVersionsResponse) -> Vec<String> {
    let finalized: BTreeMap<&str, i16> = answer
        .finalized_features
        .iter()
        .map(|feature| (feature.name.as_str(), feature.max_version_level))
        .collect();
    let epoch = match answer.finalized_features_epoch {
        ..0 => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    let supported: BTreeMap<&str, (i16, i16)> = answer
        .supported_features
        .iter()
        .map(|feature| {
            (
                feature.name.as_str(),
                (feature.min_version, feature.max_version),
            )
        })
        .collect();
    let line = |(name, (min, max)): (&str, (i16, i16))| {
        let level = finalized.get(name).copied().unwrap_or(0);
        format!(
            "Feature: {name:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  Epoch: {epoch}",
            show(name, min),
            show(name, max),
            show(name, level)
        )
    };
    supported.into_iter().map(line).collect()
}

fn show(feature: &str, level: i16) -> String {
    if feature != METADATA_VERSION {
        return level.to_string();
    }
    let known = usize::try_from(level)
        .ok()
        .and_then(|level| level.checked_sub(FIRST_METADATA_VERSION))
        .and_then(|index| METADATA_VERSIONS.get(index));
    match known {
        Some(name) => (*name).to_owned(),
        None => format!("UNKNOWN {level}"),
    }
}

/// A change of levels.
#[derive(Debug, PartialEq, Eq)]
struct Update {
    command: &'static str,
    levels: BTreeMap<String, i16>,
    /// 1 up, 2 down, 3 down even if metadata is lost.
    upgrade_type: i8,
    dry_run: bool,
}

impl Update {
    /// Takes it from the options; the error is a message.
    fn of(command: &'static str, parsed: &Parsed) -> Result<Update, String> {
        let mut levels = BTreeMap::new();
        for feature in parsed.values("feature") {
            let (name, level) = match command {
                "disable" => (feature.as_str(), 0),
                _ => name_and_level(feature)?,
            };
            if levels.insert(name.to_owned(), level).is_some() {
                return Err(format!("Feature {name} was specified more than once."));
            }
        }
        if levels.is_empty() {
            return Err(format!(
                "You must specify at least one feature to {command}"
            ));
        }
        Ok(Update {
            command,
            levels,
            upgrade_type: match command {
                "upgrade" => 1,
                _ if parsed.has("unsafe") => 3,
                _ => 2,
            },
            dry_run: parsed.has("dry-run"),
        })
    }

    async fn carry_out(&self, client: &mut Client) -> Result<(), Failure> {
        let features = self.levels.iter().map(|(name, level)| {
            FeatureUpdateKey::default()
                .with_feature(StrBytes::from_string(name.clone()))
                .with_max_version_level(*level)
                .with_upgrade_type(self.upgrade_type)
        });
        let request = UpdateFeaturesRequest::default()
            .with_timeout_ms(TIMEOUT_MS)
            .with_feature_updates(features.collect())
            .with_validate_only(self.dry_run);
        let answer = client
            .retry(async |client| client.controller().await?.call(&request).await)
            .await?;
        // What is wrong with one feature is told of all of them since version 2.
        let all = Failure::of_code(answer.error_code, answer.error_message.as_deref());
        let mut failures = 0;
        for (name, level) in &self.levels {
            let own = answer
                .results
                .iter()
                .find(|result| result.feature.as_str() == name);
            let result = match own {
                Some(own) if all.is_ok() => {
                    Failure::of_code(own.error_code, own.error_message.as_deref())
                }
                _ => all.clone(),
            };
            failures += usize::from(result.is_err());
            print_line!("{}", self.line(name, *level, &result));
        }
        if failures == 0 {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{failures} out of {} operation(s) failed.",
            self.levels.len()
        )))
    }

    fn line(&self, name: &str, level: i16, result: &Result<(), Failure>) -> String {
        let command = self.command;
        let disable = command == "disable";
        match result {
            Ok(()) => {
                let verb = if self.dry_run { "can be" } else { "was" };
                if disable {
                    format!("{name} {verb} disabled.")
                } else {
                    format!("{name} {verb} {command}d to {level}.")
                }
            }
            Err(failure) => {
                let verb = if self.dry_run { "Can not" } else { "Could not" };
                let what = if disable {
                    format!("disable {name}")
                } else {
                    format!("{command} {name} to {level}")
                };
                format!("{verb} {what}. {failure}")
            }
        }
    }
}

fn name_and_level(feature: &str) -> Result<(&str, i16), String> {
    let (name, level) = feature.split_once('=').ok_or_else(|| {
        format!("Can't parse feature=level string {feature}: equals sign not found.")
    })?;
    let level = level.trim();
    let parsed = level.parse().map_err(|_| {
        format!("Can't parse feature=level string {feature}: unable to parse {level} as a short.")
    })?;
    Ok((name.trim(), parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_metadata_have_names_and_others_are_numbers() {
        for (feature, level, shown) in [
            (METADATA_VERSION, 7, "3.3-IV3"),
            (METADATA_VERSION, 25, "4.0-IV3"),
            (METADATA_VERSION, 30, "4.3-IV0"),
            (METADATA_VERSION, 31, "UNKNOWN 31"),
            (METADATA_VERSION, -1, "UNKNOWN -1"),
            ("group.version", 1, "1"),
        ] {
            assert_eq!(show(feature, level), shown);
        }
    }

    #[test]
    fn an_update_needs_features_once_each_with_levels() {
        let update = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            let (_, command, parsed) = tool().parse(&args).unwrap();
            Update::of(command, &parsed)
        };
        let down = update(&["downgrade", "--unsafe", "--feature", "a=1", "--feature=b=0"]).unwrap();
        assert_eq!(down.upgrade_type, 3);
        assert_eq!(down.levels.len(), 2);
        let off = update(&["disable", "--feature", "a"]).unwrap();
        assert_eq!(off.line("a", 0, &Ok(())), "a was disabled.");
        for wrong in [
            &["upgrade"][..],
            &["upgrade", "--feature", "a"],
            &["upgrade", "--feature", "a=x"],
            &["upgrade", "--feature", "a=1", "--feature", "a=2"],
        ] {
            assert!(update(wrong).is_err(), "{wrong:?}");
        }
    }
}
