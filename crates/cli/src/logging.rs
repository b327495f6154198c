//! The log: on stderr, in colours where that is a terminal. `RUST_LOG` says what is logged.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, reload};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts the log. `default` is what is logged where `RUST_LOG` does not say it, as in `info`.
pub fn start(default: &str, format: LogFormat) {
    let (directives, filter) = from_environment(default);
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && !colours_are_unwanted())
        .with_writer(io::stderr);
    // Clients of a broker can change its levels while it runs.
    match format {
        LogFormat::Text => {
            let logs = logs.with_filter_reloading();
            hand_over(&directives, logs.reload_handle());
            logs.init();
        }
        LogFormat::Json => {
            let logs = logs.json().with_filter_reloading();
            hand_over(&directives, logs.reload_handle());
            logs.init();
        }
    }
}

fn from_environment(default: &str) -> (String, EnvFilter) {
    if let Ok(directives) = std::env::var(EnvFilter::DEFAULT_ENV)
        && let Ok(filter) = EnvFilter::try_new(&directives)
    {
        return (directives, filter);
    }
    (default.to_owned(), EnvFilter::new(default))
}

fn hand_over<S: 'static>(directives: &str, handle: reload::Handle<EnvFilter, S>) {
    ottla_broker::log_levels::install(directives, move |directives| {
        let filter = EnvFilter::try_new(directives).map_err(|e| e.to_string())?;
        handle.reload(filter).map_err(|e| e.to_string())
    });
}

/// <https://no-color.org>
fn colours_are_unwanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
