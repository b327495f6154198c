//! `ottla kafka TOOL`, and the binary itself when it is called by the name of one of Kafka's tools (`kafka-topics.sh`).

mod server_start;
mod server_stop;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::talk::say;

/// What starts and ends brokers, which the tools themselves know nothing of.
const SERVER: [&str; 2] = ["server-start", "server-stop"];
/// The class that `kafka-server-start` runs.
const SERVER_CLASS: &str = "kafka.Kafka";

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct KafkaArgs {
    /// The tool and its own arguments; none for a list of the tools
    #[arg(
        value_name = "TOOL [ARGS]",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    args: Vec<String>,
}

pub fn run(args: &KafkaArgs) -> ExitCode {
    match args.args.split_first() {
        Some((tool, args)) if !tool.starts_with('-') => run_tool(tool, args),
        _ => {
            say!("Usage: ottla kafka TOOL [ARGS]\n{}", list());
            ExitCode::from(2)
        }
    }
}

/// Runs the tool whose name the binary was called by, if it was. Only names that Kafka's scripts have are taken.
pub fn run_if_called_as_a_tool() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let called = args.next()?;
    let name = Path::new(&called).file_name()?.to_str()?;
    if !name.starts_with("kafka-") && !name.starts_with("zookeeper-") {
        return None;
    }
    // As Java does: what is no UTF-8 becomes something that no option and no name is.
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    Some(run_tool(name, &args))
}

fn run_tool(name: &str, args: &[String]) -> ExitCode {
    let short = name.strip_suffix(".sh").unwrap_or(name);
    let short = short.strip_prefix("kafka-").unwrap_or(short);
    match (short, ottla_tools::class_and_args(args)) {
        ("server-start", _) => return server_start::run(args),
        ("server-stop", _) => return server_stop::run(args),
        ("run-class", Some((SERVER_CLASS, behind))) => {
            // `-daemon` stands before the class.
            let before = &args[..args.len() - behind.len() - 1];
            let daemon = before.iter().filter(|arg| *arg == "-daemon");
            let args: Vec<String> = daemon.chain(behind).cloned().collect();
            return server_start::run(&args);
        }
        _ => {}
    }
    match ottla_tools::find(name) {
        Some(tool) => ExitCode::from(tool.run(args)),
        None => {
            say!("ottla: there is no tool {name} here\n{}", list());
            ExitCode::from(2)
        }
    }
}

fn list() -> String {
    format!("The tools: {}", names().join(", "))
}

fn names() -> Vec<&'static str> {
    let tools = ottla_tools::all().iter().map(|tool| tool.name);
    let mut names: Vec<&str> = tools.chain(SERVER).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE=1` writes the list.
    #[test]
    fn the_image_has_the_name_of_each_tool() {
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/tools");
        let script = |name: &str| match name.starts_with("zookeeper-") {
            true => format!("{name}\n"),
            false => format!("kafka-{name}\n"),
        };
        let expected: String = names().into_iter().map(script).collect();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&list, &expected).unwrap();
        }
        let told = "write image/tools anew with UPDATE=1";
        assert_eq!(std::fs::read_to_string(&list).unwrap(), expected, "{told}");
    }
}
