//! The `ottla` command: a broker, and a client for this and any other broker of the Kafka protocol.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod http;
mod logging;
mod output;
mod rpk;
mod signals;
mod talk;
mod time;

use std::process::ExitCode;

use args::{Cli, Command};

/// A broker's buffers are made by one thread and freed by another, which this allocator takes no lock for.
#[global_allocator]
static ALLOCATOR: ottla_memory::Allocator = ottla_memory::Allocator;

fn main() -> ExitCode {
    if let Some(code) = commands::kafka::run_if_called_as_a_tool() {
        return code;
    }
    if let Some(code) = rpk::run_if_called_as_rpk() {
        return code;
    }
    failure::exit_code(run(Cli::of_process().command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // The one command that lasts and has work for several threads.
        Command::Serve(args) => commands::serve::run(args),
        Command::Kafka(args) => Ok(commands::kafka::run(&args)),
        Command::Config(command) => commands::config::run(&command),
        Command::Check(args) => commands::check::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Topic(command) => client(commands::topic::run(command)),
        Command::Produce(args) => client(commands::produce::run(args)),
        Command::Consume(args) => client(commands::consume::run(args)),
        Command::Group(command) => client(commands::group::run(command)),
        Command::Dlq(command) => client(commands::dlq::run(command)),
        Command::Doctor(args) => client_with_code(commands::doctor::run(args)),
        Command::Wait(args) => client_with_code(commands::wait::run(args)),
        Command::Snapshot(command) => client(commands::snapshot::run(command)),
        Command::Reset(args) => client(commands::reset::run(args)),
    }
}

/// Warnings go to stderr; `RUST_LOG` shows more.
fn start_client_logging() {
    logging::start("warn", logging::LogFormat::Text);
}

/// Runs a client command: one thread is enough.
fn client(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    client_with_code(async { command.await.map(|()| ExitCode::SUCCESS) })
}

/// The same for a command whose answer is in its exit code, too.
fn client_with_code(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    start_client_logging();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A read of stdin cannot be cancelled; do not wait for it.
    runtime.shutdown_background();
    result
}
