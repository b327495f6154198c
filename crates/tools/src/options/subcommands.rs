//! Tools that have commands of their own (`kafka-storage format ...`), which take options as argparse4j does: abbreviations
//! are allowed, `--help` is no error.

use super::{Argument, Options, Parsed};
use crate::stop::Stop;
use crate::talk::{print_line, say};

/// A tool with commands.
#[derive(Debug)]
pub(crate) struct Subcommands {
    program: &'static str,
    about: &'static str,
    /// Options before the command.
    common: Options,
    commands: Vec<(&'static str, &'static str, Options)>,
}

impl Subcommands {
    pub fn new(program: &'static str, about: &'static str) -> Subcommands {
        Subcommands {
            program,
            about,
            common: bare(),
            commands: Vec::new(),
        }
    }

    /// The options before the command.
    pub fn common(mut self, add: impl Fn(Options) -> Options) -> Subcommands {
        self.common = add(self.common);
        self
    }

    pub fn command(
        mut self,
        name: &'static str,
        about: &'static str,
        add: impl Fn(Options) -> Options,
    ) -> Subcommands {
        self.commands.push((name, about, add(bare())));
        self
    }

    /// The options before the command, the command, and its own options.
    pub fn parse(&self, args: &[String]) -> Result<(Parsed, &'static str, Parsed), Stop> {
        let at = self
            .common
            .position_of_first_rest(args)
            .map_err(|stop| self.argument_error(stop))?;
        let (before, behind) = args.split_at(at);
        let common = self
            .common
            .parse(before)
            .map_err(|stop| self.argument_error(stop))?;
        if common.has("help") {
            self.help();
            return Err(Stop::Exit(0));
        }
        let Some((name, rest)) = behind.split_first() else {
            return Err(self.error("too few arguments"));
        };
        let Some((name, about, options)) = self.commands.iter().find(|(known, ..)| known == name)
        else {
            let names: Vec<String> = self.names().map(|known| format!("'{known}'")).collect();
            return Err(self.error(&format!(
                "invalid choice: '{name}' (choose from {})",
                names.join(", ")
            )));
        };
        let parsed = options
            .parse(rest)
            .map_err(|stop| self.command_error(name, stop))?;
        if parsed.has("help") {
            print_line!("usage: {} {name} [OPTIONS]\n\n{about}\n", self.program);
            print_line!("{}", super::usage::render(&options.specs).trim_end());
            return Err(Stop::Exit(0));
        }
        if let Some(unknown) = parsed.rest.first() {
            let message = format!("unrecognized arguments: '{unknown}'");
            return Err(self.command_error(name, Stop::Failed(message)));
        }
        Ok((common, name, parsed))
    }

    /// The stop for a command whose options do not fit together.
    pub fn command_error(&self, command: &str, stop: Stop) -> Stop {
        let message = match stop {
            Stop::Failed(message) | Stop::Usage { message, .. } => message,
            exit @ Stop::Exit(_) => return exit,
        };
        say!("usage: {} {command} [-h] [OPTIONS]", self.program);
        say!("{}: error: {message}", self.program);
        Stop::Exit(1)
    }

    fn argument_error(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Failed(message) => self.error(&message),
            other => other,
        }
    }

    fn error(&self, message: &str) -> Stop {
        say!("{}", self.usage());
        say!("{}: error: {message}", self.program);
        Stop::Exit(1)
    }

    fn usage(&self) -> String {
        let names: Vec<&str> = self.names().collect();
        format!("usage: {} [-h] {{{}}} ...", self.program, names.join(","))
    }

    fn help(&self) {
        print_line!("{}\n\n{}\n", self.usage(), self.about);
        for (name, about, _) in &self.commands {
            print_line!("  {name:<20} {about}");
        }
        print_line!("\n{}", super::usage::render(&self.common.specs).trim_end());
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.commands.iter().map(|(name, ..)| *name)
    }
}

/// `--help` alone.
fn bare() -> Options {
    Options {
        specs: Vec::new(),
        abbreviations: true,
    }
    .add(&["help", "h"], Argument::None, "Show this help.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Subcommands {
        Subcommands::new("kafka-x", "About.")
            .common(|options| options.value("bootstrap-server", "host:port", ""))
            .command("describe", "", |options| options.flag("status", ""))
            .command("format", "", |options| {
                options.aliases(&["cluster-id", "t"], "id", "")
            })
    }

    fn parse(args: &[&str]) -> Result<(Parsed, &'static str, Parsed), Stop> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        tool().parse(&args)
    }

    #[test]
    fn options_stand_before_the_command_and_behind_it() {
        let (common, command, options) =
            parse(&["--bootstrap-server", "h:1", "describe", "--stat"]).unwrap();
        assert_eq!(common.value("bootstrap-server"), Ok(Some("h:1")));
        assert_eq!(command, "describe");
        assert!(options.has("status"));
        let (_, command, options) = parse(&["format", "-t", "abc"]).unwrap();
        assert_eq!(command, "format");
        assert_eq!(options.value("cluster-id"), Ok(Some("abc")));
    }

    #[test]
    fn help_succeeds_and_what_is_wrong_does_not() {
        assert_eq!(parse(&["-h"]).unwrap_err(), Stop::Exit(0));
        assert_eq!(parse(&["format", "--help"]).unwrap_err(), Stop::Exit(0));
        for args in [
            &[][..],
            &["nix"],
            &["format", "more"],
            &["format", "--nix"],
            &["--nix"],
            &["format", "-t"],
        ] {
            assert_eq!(parse(args).unwrap_err(), Stop::Exit(1), "{args:?}");
        }
    }
}
