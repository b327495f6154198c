//! The levels of the log, as a process has one: read at the start, changed by clients while it runs (KIP-412). A change ends with
//! the process, as in Kafka.
//!
//! A logger is a target of `tracing`: a crate or a module of ours, `ottla_broker::groups`. Clients call it `ottla_broker.groups`, since
//! `kafka-configs` takes no colon in a name. What is set for it holds for all whose names begin with its
//! name, unless they have a level of their own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;

/// The logger above all others, as Kafka calls it.
pub(crate) const ROOT: &str = "root";

/// Where requests are logged, each at level DEBUG.
pub(crate) const REQUESTS: &str = "ottla_broker::request";

/// The crates whose loggers can be set, and the modules that are shown without having been set.
const CRATES: [&str; 2] = ["ottla_broker", "ottla_storage"];
const SHOWN: &[&str] = &[
    "ottla_broker",
    "ottla_broker::accept",
    "ottla_broker::client_telemetry",
    "ottla_broker::dead_letters",
    "ottla_broker::groups",
    "ottla_broker::handlers",
    "ottla_broker::http",
    REQUESTS,
    "ottla_broker::server",
    "ottla_broker::settings",
    "ottla_storage",
    "ottla_storage::checkpoint",
    "ottla_storage::recovery",
    "ottla_storage::writer",
];

/// The levels that Kafka knows, in the order of its messages.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// Puts directives in force, in the form of `RUST_LOG`.
type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

static LOG: OnceLock<LogLevels> = OnceLock::new();

/// Hands the log of this process over. `directives` is what is in force, in the form of `RUST_LOG`; `apply` puts others in force.
/// Of several calls the first one counts.
pub fn install(
    directives: &str,
    apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
) {
    // Whoever comes second embeds a broker beside another one.
    let _ = LOG.set(LogLevels::new(directives, Box::new(apply)));
}

/// The log of this process, if it was handed over.
pub(crate) fn get() -> Option<&'static LogLevels> {
    LOG.get()
}

/// Why a level cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum LevelError {
    #[error(
        "Logger {0} does not exist! There are root, those of this broker's modules, as in ottla_broker.groups, and what DescribeConfigs lists"
    )]
    NoSuchLogger(String),
    #[error(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
    )]
    NoSuchLevel { logger: String, level: String },
    #[error("Removing the log level of the root logger is not allowed")]
    RootRemoved,
    #[error("the levels cannot be put in force: {0}")]
    NotApplied(String),
}

/// What is to become of one logger's level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Set(String),
    Remove,
}

/// The levels of one process.
pub(crate) struct LogLevels {
    levels: Mutex<BTreeMap<String, String>>,
    /// Directives of `RUST_LOG` that are no level of a target, as of a span.
    others: Vec<String>,
    apply: Apply,
}

impl LogLevels {
    fn new(directives: &str, apply: Apply) -> LogLevels {
        let mut levels = BTreeMap::from([(ROOT.to_owned(), "OFF".to_owned())]);
        let mut others = Vec::new();
        for directive in directives
            .split(',')
            .map(str::trim)
            .filter(|d| !d.is_empty())
        {
            let (target, level) = directive.split_once('=').unwrap_or((ROOT, directive));
            match level.parse::<LevelFilter>() {
                Ok(level) if !target.contains(['[', '{']) => {
                    levels.insert(target.to_owned(), level.to_string().to_uppercase());
                }
                _ => others.push(directive.to_owned()),
            }
        }
        LogLevels {
            levels: Mutex::new(levels),
            others,
            apply,
        }
    }

    /// The loggers, each with the level in force for it, by name.
    pub fn all(&self) -> BTreeMap<String, String> {
        let levels = self.levels.lock();
        let named = levels.keys().map(String::as_str);
        named
            .chain(SHOWN.iter().copied())
            .map(|logger| {
                (
                    logger.replace("::", "."),
                    in_force(&levels, logger).to_owned(),
                )
            })
            .collect()
    }

    /// Checks all changes, and puts them in force together unless they are only to be checked.
    pub fn alter(
        &self,
        changes: &[(String, Change)],
        validate_only: bool,
    ) -> Result<(), LevelError> {
        let mut levels = self.levels.lock();
        let mut changed = levels.clone();
        for (name, change) in changes {
            let logger = &name.replace('.', "::");
            if !exists(&levels, logger) {
                return Err(LevelError::NoSuchLogger(name.clone()));
            }
            match change {
                Change::Set(level) if !LEVELS.contains(&level.as_str()) => {
                    return Err(LevelError::NoSuchLevel {
                        logger: name.clone(),
                        level: level.clone(),
                    });
                }
                Change::Set(level) => _ = changed.insert(logger.clone(), level.clone()),
                Change::Remove if logger == ROOT => return Err(LevelError::RootRemoved),
                Change::Remove => _ = changed.remove(logger),
            }
        }
        if !validate_only {
            (self.apply)(&self.directives(&changed)).map_err(LevelError::NotApplied)?;
            *levels = changed;
        }
        Ok(())
    }

    fn directives(&self, levels: &BTreeMap<String, String>) -> String {
        let levels = levels.iter().map(|(logger, level)| {
            // Nothing here is fatal without ending the process.
            let level = if level == "FATAL" { "off" } else { level };
            match logger.as_str() {
                ROOT => level.to_lowercase(),
                target => format!("{target}={}", level.to_lowercase()),
            }
        });
        let all: Vec<String> = levels.chain(self.others.iter().cloned()).collect();
        all.join(",")
    }
}

fn exists(levels: &BTreeMap<String, String>, logger: &str) -> bool {
    let is_ours = CRATES.iter().any(|name| {
        logger.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix("::").is_some_and(is_module_path)
        })
    });
    is_ours || levels.contains_key(logger)
}

/// Also keeps out what has a meaning in directives.
fn is_module_path(path: &str) -> bool {
    let is_module = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    path.len() < 200 && path.split("::").all(is_module)
}

/// The level of the longest name that `logger` begins with.
fn in_force<'a>(levels: &'a BTreeMap<String, String>, logger: &str) -> &'a str {
    levels
        .iter()
        .filter(|(name, _)| logger.starts_with(name.as_str()))
        .max_by_key(|(name, _)| name.len())
        .or_else(|| levels.get_key_value(ROOT))
        .map_or("OFF", |(_, level)| level)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn log(directives: &str) -> (LogLevels, Arc<Mutex<String>>) {
        let applied = Arc::new(Mutex::new(String::new()));
        let seen = applied.clone();
        let apply = move |text: &str| {
            *seen.lock() = text.to_owned();
            Ok(())
        };
        (LogLevels::new(directives, Box::new(apply)), applied)
    }

    fn set(logger: &str, level: &str) -> (String, Change) {
        (logger.to_owned(), Change::Set(level.to_owned()))
    }

    #[test]
    fn what_rust_log_says_is_shown_and_inherited() {
        let (log, _) = log("warn,ottla_broker=debug,ottla_storage::writer=trace,[span{x=1}]=info");
        let all = log.all();
        for (logger, level) in [
            ("root", "WARN"),
            ("ottla_broker", "DEBUG"),
            ("ottla_broker.groups", "DEBUG"),
            ("ottla_storage", "WARN"),
            ("ottla_storage.writer", "TRACE"),
        ] {
            assert_eq!(all[logger], level, "{logger}");
        }
        // What kafka-configs takes as the name of a setting.
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        assert!(all.keys().all(|name| name.chars().all(is_name)), "{all:?}");
    }

    #[test]
    fn changes_are_put_in_force_together_or_not_at_all() {
        let (log, applied) = log("info,[span{x=1}]=info");
        let good = [set("root", "WARN"), set("ottla_broker.groups", "TRACE")];
        assert_eq!(log.alter(&good, true), Ok(()));
        assert_eq!(*applied.lock(), "");
        assert_eq!(log.alter(&good, false), Ok(()));
        assert_eq!(
            *applied.lock(),
            "ottla_broker::groups=trace,warn,[span{x=1}]=info"
        );
        let both = [set("ottla_broker", "DEBUG"), set("no.such", "DEBUG")];
        assert!(matches!(
            log.alter(&both, false),
            Err(LevelError::NoSuchLogger(_))
        ));
        assert_eq!(log.all()["ottla_broker"], "WARN");
        let fatal = [
            set("root", "FATAL"),
            ("ottla_broker.groups".to_owned(), Change::Remove),
        ];
        assert_eq!(log.alter(&fatal, false), Ok(()));
        assert_eq!(log.all()["ottla_broker.groups"], "FATAL");
        assert_eq!(*applied.lock(), "off,[span{x=1}]=info");
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        let (log, applied) = log("info");
        for (change, expected) in [
            (set("ottla_broker", "debug"), "not a supported log level"),
            (set("ottla_broker", ""), "not a supported log level"),
            (set("", "INFO"), "does not exist"),
            (set("ottla_broker_x", "INFO"), "does not exist"),
            (set("ottla_broker.a=b,c", "INFO"), "does not exist"),
            (set("kafka.server.KafkaApis", "INFO"), "does not exist"),
            ((ROOT.to_owned(), Change::Remove), "not allowed"),
        ] {
            let error = log
                .alter(std::slice::from_ref(&change), false)
                .map_err(|e| e.to_string());
            assert!(
                error.as_ref().is_err_and(|e| e.contains(expected)),
                "{change:?}: {error:?}"
            );
        }
        assert_eq!(*applied.lock(), "");
    }

    #[test]
    fn every_logger_that_is_shown_is_a_crate_or_a_module() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for logger in SHOWN.iter().filter(|logger| **logger != REQUESTS) {
            let mut parts = logger.split("::");
            let name = parts.next().and_then(|name| name.strip_prefix("ottla_"));
            let module = parts.fold(crates.join(name.unwrap_or_default()).join("src"), |p, m| {
                p.join(m)
            });
            assert!(
                module.is_dir() || module.with_extension("rs").is_file(),
                "{logger}"
            );
        }
    }
}
