//! Options as Kafka's tools take them, which is as jopt-simple does: `--name value`, `--name=value`, a single dash as well,
//! repetition, a value that begins with a dash, `--` before what is no option. Abbreviations only where a tool allows them.

mod parse;
mod subcommands;
mod usage;

use std::str::FromStr;

pub(crate) use subcommands::Subcommands;

use crate::KAFKA_VERSION;
use crate::stop::Stop;
use crate::talk::print_line;

/// The options of a tool.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    specs: Vec<Spec>,
    abbreviations: bool,
}

#[derive(Debug, Clone)]
struct Spec {
    /// Its names; the first one is shown in messages.
    names: Vec<&'static str>,
    argument: Argument,
    description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    None,
    /// With its description.
    Required(&'static str),
    Optional(&'static str),
}

/// Options as they were given.
#[derive(Debug)]
pub(crate) struct Parsed {
    options: Options,
    /// By index of the spec: how often it was given, and its values.
    found: Vec<Found>,
    /// What is no option.
    pub rest: Vec<String>,
    none_given: bool,
}

#[derive(Debug, Default, Clone)]
struct Found {
    given: bool,
    values: Vec<String>,
}

impl Options {
    /// `--help` and `--version`.
    pub fn new() -> Options {
        Options {
            specs: Vec::new(),
            abbreviations: false,
        }
        .flag("help", "Show this help.")
        .flag(
            "version",
            "Show the version of Kafka that this tool stands in for.",
        )
    }

    /// An option without a value.
    pub fn flag(self, name: &'static str, description: &str) -> Options {
        self.add(&[name], Argument::None, description)
    }

    /// An option with a value, which `value` says the meaning of.
    pub fn value(self, name: &'static str, value: &'static str, description: &str) -> Options {
        self.add(&[name], Argument::Required(value), description)
    }

    /// Where the brokers are, for a tool that must be told.
    pub fn bootstrap_server(self) -> Options {
        self.value(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED. Where the brokers are.",
        )
    }

    /// As [`flag`](Options::flag), for an option of several names.
    pub fn flag_aliases(self, names: &[&'static str], description: &str) -> Options {
        self.add(names, Argument::None, description)
    }

    /// As [`value`](Options::value), for an option of several names.
    pub fn aliases(
        self,
        names: &[&'static str],
        value: &'static str,
        description: &str,
    ) -> Options {
        self.add(names, Argument::Required(value), description)
    }

    /// An option whose value may be left out.
    pub fn optional_value(
        self,
        name: &'static str,
        value: &'static str,
        description: &str,
    ) -> Options {
        self.add(&[name], Argument::Optional(value), description)
    }

    fn add(mut self, names: &[&'static str], argument: Argument, description: &str) -> Options {
        self.specs.push(Spec {
            names: names.to_vec(),
            argument,
            description: description.to_owned(),
        });
        self
    }

    /// The stop that tells `message` and the usage.
    pub fn usage(&self, message: impl Into<String>) -> Stop {
        Stop::Usage {
            message: message.into(),
            usage: usage::render(&self.specs),
        }
    }

    fn index(&self, name: &str) -> usize {
        self.specs
            .iter()
            .position(|spec| spec.names.contains(&name))
            .expect("a tool asks for options of its own alone")
    }
}

impl Parsed {
    /// Ends the tool where `--help`, `--version` or nothing at all was given; `about` says what the tool is for.
    pub fn help_or_version(&self, about: &str) -> Result<(), Stop> {
        if self.none_given || self.has("help") {
            return Err(self.usage(about));
        }
        if self.has("version") {
            print_line!("{KAFKA_VERSION}");
            return Err(Stop::Exit(0));
        }
        Ok(())
    }

    /// The stop that tells `message` and the usage.
    pub fn usage(&self, message: impl Into<String>) -> Stop {
        self.options.usage(message)
    }

    /// Whether the option was given.
    pub fn has(&self, name: &str) -> bool {
        self.found[self.options.index(name)].given
    }

    /// Which of these were given.
    pub fn given<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.retain(|name| self.has(name));
        names
    }

    /// The option's values in the order given.
    pub fn values(&self, name: &str) -> &[String] {
        &self.found[self.options.index(name)].values
    }

    /// The option's one value.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Stop> {
        match self.values(name) {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Stop::Failed(format!(
                "Found multiple arguments for option {}, but you asked for only one",
                self.shown(name)
            ))),
        }
    }

    /// The option's one value as a number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Stop> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            Stop::Failed(format!(
                "Cannot parse argument '{value}' of option {}",
                self.shown(name)
            ))
        })
    }

    /// Checks that all of these were given.
    pub fn require(&self, names: &[&str]) -> Result<(), Stop> {
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(self.usage(format!(
                "Missing required argument \"{}\"",
                self.bracketed(name)
            ))),
            None => Ok(()),
        }
    }

    /// Checks that with `used` none of `others` was given.
    pub fn exclude(&self, used: &str, others: &[&str]) -> Result<(), Stop> {
        match others.iter().find(|other| self.has(other)) {
            Some(other) if self.has(used) => Err(self.usage(format!(
                "Option \"{}\" can't be used with option \"{}\"",
                self.bracketed(used),
                self.bracketed(other)
            ))),
            _ => Ok(()),
        }
    }

    /// As exceptions show an option: its name, or its names in brackets.
    fn shown(&self, name: &str) -> String {
        parse::shown(&self.options.specs[self.options.index(name)])
    }

    /// As the checks above show it: always in brackets.
    pub fn bracketed(&self, name: &str) -> String {
        let names = &self.options.specs[self.options.index(name)].names;
        format!("[{}]", names.join(", "))
    }
}
