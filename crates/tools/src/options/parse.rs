//! From arguments to options.

use super::{Argument, Found, Options, Parsed, Spec};
use crate::stop::Stop;

impl Options {
    /// Parses arguments; an error is a message as jopt-simple words it.
    pub fn parse(&self, args: &[String]) -> Result<Parsed, Stop> {
        let mut parsed = self.nothing(args.is_empty());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                parsed.rest.extend(args.cloned());
                break;
            }
            self.parse_one(arg, &mut args, &mut parsed)?;
        }
        Ok(parsed)
    }

    fn nothing(&self, none_given: bool) -> Parsed {
        Parsed {
            options: self.clone(),
            found: vec![Found::default(); self.specs.len()],
            rest: Vec::new(),
            none_given,
        }
    }

    /// Takes one argument, and its value from those behind it.
    fn parse_one(
        &self,
        arg: &str,
        args: &mut std::slice::Iter<'_, String>,
        parsed: &mut Parsed,
    ) -> Result<(), Stop> {
        if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = split(long);
            let index = self.recognise(name).ok_or_else(|| unrecognized(name))?;
            self.take(index, value, args, parsed)
        } else if let Some(short) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let (name, value) = split(short);
            match self.recognise(name) {
                Some(index) => self.take(index, value, args, parsed),
                None => self.cluster(short, args, parsed),
            }
        } else {
            parsed.rest.push(arg.to_owned());
            Ok(())
        }
    }

    /// Where the first argument is that is neither an option nor an option's value.
    pub(super) fn position_of_first_rest(&self, args: &[String]) -> Result<usize, Stop> {
        let mut parsed = self.nothing(args.is_empty());
        let mut behind = args.iter();
        loop {
            let at = args.len() - behind.len();
            let Some(arg) = behind.next() else {
                return Ok(at);
            };
            self.parse_one(arg, &mut behind, &mut parsed)?;
            if !parsed.rest.is_empty() {
                return Ok(at);
            }
        }
    }

    /// `-abc`: options of one letter, of which one that takes a value takes the letters behind it.
    fn cluster(
        &self,
        letters: &str,
        args: &mut std::slice::Iter<'_, String>,
        parsed: &mut Parsed,
    ) -> Result<(), Stop> {
        for (at, letter) in letters.char_indices() {
            let name = &letters[at..at + letter.len_utf8()];
            let index = self.recognise(name).ok_or_else(|| unrecognized(name))?;
            let behind = &letters[at + letter.len_utf8()..];
            if self.specs[index].argument == Argument::None {
                self.take(index, None, args, parsed)?;
            } else {
                let value = (!behind.is_empty()).then_some(behind);
                return self.take(index, value, args, parsed);
            }
        }
        Ok(())
    }

    fn take(
        &self,
        index: usize,
        value: Option<&str>,
        args: &mut std::slice::Iter<'_, String>,
        parsed: &mut Parsed,
    ) -> Result<(), Stop> {
        let spec = &self.specs[index];
        let value = match (&spec.argument, value) {
            (Argument::None, Some(_)) => {
                return Err(Stop::Failed(format!(
                    "Option {} takes no argument",
                    shown(spec)
                )));
            }
            (Argument::None, None) => None,
            (_, Some(value)) => Some(value.to_owned()),
            // Whatever it looks like.
            (Argument::Required(_), None) => Some(args.next().cloned().ok_or_else(|| {
                Stop::Failed(format!("Option {} requires an argument", shown(spec)))
            })?),
            (Argument::Optional(_), None) => match args.as_slice().first() {
                Some(next) if !next.starts_with('-') => args.next().cloned(),
                _ => None,
            },
        };
        parsed.found[index].given = true;
        parsed.found[index].values.extend(value);
        Ok(())
    }

    fn recognise(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        let exact = self.specs.iter().position(|s| s.names.contains(&name));
        if exact.is_some() || !self.abbreviations {
            return exact;
        }
        let mut short_for = self
            .specs
            .iter()
            .enumerate()
            .filter(|(_, spec)| spec.names.iter().any(|full| full.starts_with(name)));
        match (short_for.next(), short_for.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }
}

fn split(option: &str) -> (&str, Option<&str>) {
    match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    }
}

fn unrecognized(name: &str) -> Stop {
    Stop::Failed(format!("{name} is not a recognized option"))
}

/// As jopt-simple's exceptions show an option.
pub(super) fn shown(spec: &Spec) -> String {
    match &spec.names[..] {
        [name] => (*name).to_owned(),
        names => format!("[{}]", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new()
            .flag("list", "")
            .value("topic", "name", "")
            .value("config", "name=value", "")
            .aliases(&["partition", "p"], "number", "")
            .optional_value("state", "states", "")
            .flag("v", "")
    }

    fn parse(args: &[&str]) -> Result<Parsed, Stop> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        options().parse(&args)
    }

    fn message(args: &[&str]) -> String {
        match parse(args) {
            Err(Stop::Failed(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_option_takes_its_value_in_each_way() {
        for args in [
            &["--topic", "a"][..],
            &["--topic=a"],
            &["-topic", "a"],
            &["-topic=a"],
            &["--list", "--topic", "a", "--", "--list"],
        ] {
            let parsed = parse(args).unwrap();
            assert_eq!(parsed.value("topic"), Ok(Some("a")), "{args:?}");
        }
        for args in [&["-p", "3"][..], &["-p3"], &["-vp3"], &["--partition=3"]] {
            let parsed = parse(args).unwrap();
            assert_eq!(parsed.number::<i32>("partition"), Ok(Some(3)), "{args:?}");
        }
    }

    #[test]
    fn a_required_value_may_look_like_an_option_and_an_optional_one_may_not() {
        let parsed = parse(&["--topic", "--list"]).unwrap();
        assert_eq!(parsed.value("topic"), Ok(Some("--list")));
        assert!(!parsed.has("list"));
        let parsed = parse(&["--state", "--list"]).unwrap();
        assert!(parsed.has("state") && parsed.has("list"));
        assert_eq!(parsed.value("state"), Ok(None));
        let parsed = parse(&["--state", "Empty", "more"]).unwrap();
        assert_eq!(parsed.value("state"), Ok(Some("Empty")));
        assert_eq!(parsed.rest, ["more"]);
    }

    #[test]
    fn an_option_may_be_repeated_unless_one_value_is_asked_for() {
        let parsed = parse(&["--config", "a=b", "--config=c=d"]).unwrap();
        assert_eq!(parsed.values("config"), ["a=b", "c=d"]);
        assert_eq!(
            parsed.value("config"),
            Err(Stop::Failed(
                "Found multiple arguments for option config, but you asked for only one".to_owned()
            ))
        );
    }

    #[test]
    fn what_cannot_be_parsed_is_named() {
        assert_eq!(message(&["--foo"]), "foo is not a recognized option");
        assert_eq!(message(&["--top", "a"]), "top is not a recognized option");
        assert_eq!(message(&["-xy"]), "x is not a recognized option");
        assert_eq!(message(&["-ü"]), "ü is not a recognized option");
        assert_eq!(message(&["--topic"]), "Option topic requires an argument");
        assert_eq!(
            message(&["--partition"]),
            "Option [partition, p] requires an argument"
        );
        let parsed = parse(&["--partition", "three"]).unwrap();
        assert_eq!(
            parsed.number::<i32>("partition"),
            Err(Stop::Failed(
                "Cannot parse argument 'three' of option [partition, p]".to_owned()
            ))
        );
    }

    #[test]
    fn an_abbreviation_is_taken_where_it_is_allowed_and_unambiguous() {
        let mut options = options().value("topics", "names", "");
        options.abbreviations = true;
        let parse = |arg: &str| options.parse(&[arg.to_owned(), "a".to_owned()]);
        assert!(parse("--conf").unwrap().has("config"));
        assert!(parse("--topic").unwrap().has("topic"));
        assert!(parse("--top").is_err());
    }
}
