//! `ottla kafka TOOL`, and the binary itself when it is called by the name of one of Kafka's tools (`kafka-topics.sh`).

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::talk::say;

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
        Some((tool, args)) if !tool.starts_with('-') => run_tool(tool, args).unwrap_or_else(|| {
            say!(
                "ottla: no tool of Kafka's is named {tool:?} here\n{}",
                list()
            );
            ExitCode::from(2)
        }),
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
    run_tool(name, &args)
}

fn run_tool(name: &str, args: &[String]) -> Option<ExitCode> {
    let tool = ottla_tools::find(name)?;
    Some(ExitCode::from(tool.run(args)))
}

fn list() -> String {
    let mut names: Vec<&str> = ottla_tools::all().iter().map(|tool| tool.name).collect();
    names.sort_unstable();
    format!("The tools: {}", names.join(", "))
}
