//! `kafka-storage`: prepares the data directory that a file of properties names, and shows what is in it.

use std::path::{Path, PathBuf};

use ottla_storage::format;
use uuid::Uuid;

use crate::Tool;
use crate::cluster;
use crate::java::show_uuid;
use crate::options::{Options, Parsed, Subcommands};
use crate::stop::Stop;
use crate::talk::{print_line, say};

pub(super) const TOOL: Tool = Tool {
    name: "storage",
    classes: &["kafka.tools.StorageTool"],
    run,
};

/// Where a broker keeps its data if the properties do not say.
const DEFAULT_DIR: &str = "./data";
/// The version of Kafka's metadata that a broker claims.
const METADATA_VERSION: &str = "4.3-IV0";
/// What Kafka's features are at in that version.
const FEATURES: &str = "\
metadata.version=30 (4.3-IV0)
kraft.version=1
transaction.version=2
group.version=1
eligible.leader.replicas.version=1
share.version=1
streams.version=1";

fn tool() -> Subcommands {
    let config = |options: Options| {
        options.aliases(
            &["config", "c"],
            "file",
            "REQUIRED. The broker's properties, of which log.dirs counts here.",
        )
    };
    Subcommands::new("kafka-storage", "This tool prepares data directories.")
        .command("info", "Show what is in the data directory.", config)
        .command("format", "Prepare the data directory.", |options| {
            config(options)
                .aliases(&["cluster-id", "t"], "id", "REQUIRED. The cluster's id, any text.")
                .flag_aliases(
                    &["ignore-formatted", "g"],
                    "Let a directory that is prepared be no error; it keeps the cluster id that it has.",
                )
                .aliases(&["release-version", "r"], "version", "Ignored: there is one.")
                .aliases(&["feature", "f"], "name=level", "Ignored: there is one level.")
                .flag_aliases(&["standalone", "s"], "Ignored: there is one node.")
                .flag_aliases(&["no-initial-controllers", "N"], "Ignored: there is one node.")
                .aliases(&["initial-controllers", "I"], "list", "Ignored: there is one node.")
                .aliases(
                    &["add-scram", "S"],
                    "credential",
                    "Refused: the broker has no SCRAM credentials.",
                )
        })
        .command(
            "version-mapping",
            "Show the features of the one version that there is.",
            |options| options.aliases(&["release-version", "r"], "version", "That version."),
        )
        .command("random-uuid", "Print a random UUID.", |options| options)
}

fn run(args: &[String]) -> Result<(), Stop> {
    let tool = tool();
    let (_, command, parsed) = tool.parse(args)?;
    match command {
        "random-uuid" => {
            print_line!("{}", show_uuid(random_uuid()));
            Ok(())
        }
        "version-mapping" => version_mapping(&parsed),
        _ => {
            let mut required = vec![("config", "--config/-c")];
            if command == "format" {
                required.push(("cluster-id", "--cluster-id/-t"));
            }
            for (name, shown) in required {
                if !parsed.has(name) {
                    let message = format!("argument {shown} is required");
                    return Err(tool.command_error(command, Stop::Failed(message)));
                }
            }
            let dir = data_dir(&parsed)?;
            match command {
                "format" => prepare(&dir, &parsed),
                _ => info(&dir),
            }
        }
    }
}

/// A UUID that no option parser takes for an option.
fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !show_uuid(id).starts_with('-') {
            return id;
        }
    }
}

fn version_mapping(parsed: &Parsed) -> Result<(), Stop> {
    match parsed.value("release-version")? {
        None | Some(METADATA_VERSION | "4.3") => {
            print_line!("{FEATURES}");
            Ok(())
        }
        Some(other) => Err(Stop::Failed(format!(
            "Unknown metadata.version '{other}'. Supported metadata.version are: {METADATA_VERSION}"
        ))),
    }
}

/// The directory that a broker with these properties would use.
fn data_dir(parsed: &Parsed) -> Result<PathBuf, Stop> {
    let properties = cluster::read_properties(parsed.value("config")?)?;
    let dirs: Vec<&str> = ["log.dirs", "log.dir"]
        .into_iter()
        .filter_map(|name| properties.get(name))
        .flat_map(|dirs| dirs.split(','))
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
        .collect();
    Ok(PathBuf::from(dirs.first().copied().unwrap_or(DEFAULT_DIR)))
}

fn prepare(dir: &Path, parsed: &Parsed) -> Result<(), Stop> {
    let failed = |error: ottla_storage::OpenError| Stop::Failed(error.to_string());
    let asked = parsed.value("cluster-id")?.unwrap_or_default().trim();
    if asked.is_empty() || asked.len() > 255 || asked.contains(char::is_control) {
        return Err(Stop::Failed(format!(
            "Cluster id {asked:?} must be a line of 1 to 255 bytes"
        )));
    }
    if parsed.has("add-scram") {
        return Err(Stop::Failed(
            "--add-scram: the broker has no SCRAM credentials; leave it out".to_owned(),
        ));
    }
    let shown = dir.display();
    let Some(found) = format::cluster_id(dir).map_err(failed)? else {
        print_line!(
            "Formatting metadata directory {shown} with metadata.version {METADATA_VERSION}."
        );
        return format::format(dir, asked).map(drop).map_err(failed);
    };
    if parsed.has("ignore-formatted") {
        // Kafka refuses another id. A container's script that makes one up at each start would end there.
        if found != asked {
            say!("{shown} keeps its cluster.id {found}");
        }
        print_line!("All of the log directories are already formatted.");
        return Ok(());
    }
    Err(Stop::Failed(if found == asked {
        format!(
            "Log directory {shown} is already formatted. Use --ignore-formatted to ignore this directory and format the others."
        )
    } else {
        format!(
            "Invalid cluster.id in: {shown}/meta.properties. Expected {asked}, but read {found}"
        )
    }))
}

fn info(dir: &Path) -> Result<(), Stop> {
    let shown = dir.display();
    let mut problem = None;
    if dir.is_dir() {
        print_line!("Found log directory:\n  {shown}\n");
        match format::cluster_id(dir) {
            Ok(Some(id)) => print_line!("Found metadata: {{cluster.id={id}}}\n"),
            Ok(None) => problem = Some(format!("{shown} is not formatted.")),
            Err(error) => {
                problem = Some(format!("Error loading {shown}/meta.properties: {error}"));
            }
        }
    } else if dir.exists() {
        problem = Some(format!("{shown} is not a directory"));
    } else {
        problem = Some(format!("{shown} does not exist"));
    }
    match problem {
        None => Ok(()),
        Some(problem) => {
            print_line!("Found problem:\n  {problem}\n");
            Err(Stop::Exit(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(args: &[&str], config: &Path) -> Result<(), Stop> {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["-c".to_owned(), config.display().to_string()]);
        run(&args)
    }

    #[test]
    fn a_directory_is_prepared_once_and_keeps_its_cluster_id() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        let config = parent.path().join("server.properties");
        std::fs::write(&config, format!("log.dirs={}\n", dir.display())).unwrap();
        assert_eq!(storage(&["info"], &config), Err(Stop::Exit(1)));
        assert_eq!(storage(&["format", "-t", "test-cluster"], &config), Ok(()));
        assert_eq!(storage(&["info"], &config), Ok(()));
        for (args, part) in [
            (&["format", "-t", "test-cluster"], "already formatted"),
            (&["format", "-t", "another"], "Expected another"),
        ] {
            match storage(args, &config) {
                Err(Stop::Failed(message)) => assert!(message.contains(part), "{message}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(storage(&["format", "-g", "-t", "another"], &config), Ok(()));
        let kept = format::cluster_id(&dir).unwrap();
        assert_eq!(kept.as_deref(), Some("test-cluster"));
    }

    #[test]
    fn an_id_that_is_no_line_is_refused_before_anything_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        let config = parent.path().join("server.properties");
        std::fs::write(&config, format!("log.dirs={}\n", dir.display())).unwrap();
        for id in ["", "a\nb", &"x".repeat(256)] {
            let refused = storage(&["format", "-t", id], &config);
            assert!(matches!(refused, Err(Stop::Failed(_))), "{refused:?}");
        }
        assert!(!dir.exists());
    }

    #[test]
    fn a_random_uuid_is_22_characters_and_no_option() {
        for _ in 0..200 {
            let id = show_uuid(random_uuid());
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'));
        }
    }
}
