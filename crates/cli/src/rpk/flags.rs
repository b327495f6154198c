//! The flags of `rpk redpanda start`. It hands on what it does not know, so here any flag is accepted.

use std::collections::BTreeMap;

use anyhow::bail;

/// Flags and their values; the last of a name wins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    values: BTreeMap<String, String>,
    /// `--set redpanda.NAME=VALUE`, without `redpanda.`.
    pub set: Vec<(String, String)>,
}

impl Flags {
    /// Errors: a word that belongs to no flag; a `--set` that is no `NAME=VALUE`.
    pub(super) fn parse(args: &[String]) -> anyhow::Result<Flags> {
        let mut flags = Flags::default();
        let mut args = args.iter().peekable();
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix('-') else {
                bail!("rpk redpanda start: {arg:?} is no flag and no flag's value");
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            // Lists of words in compose files have a flag and its value in one word: `- --kafka-addr internal://0.0.0.0:9092`.
            let (name, value) = match flag.split_once(['=', ' ']) {
                Some((name, value)) => (name, value.to_owned()),
                // A flag without a value is followed by the next flag, or by nothing.
                None => (
                    flag,
                    args.next_if(|next| !next.starts_with('-'))
                        .cloned()
                        .unwrap_or_default(),
                ),
            };
            match name {
                "set" => flags.set.push(setting(&value)?),
                _ => {
                    flags.values.insert(name.to_owned(), value);
                }
            }
        }
        Ok(flags)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

fn setting(text: &str) -> anyhow::Result<(String, String)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("--set {text}: expected NAME=VALUE");
    };
    let name = name.strip_prefix("redpanda.").unwrap_or(name);
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> anyhow::Result<Flags> {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        Flags::parse(&args)
    }

    #[test]
    fn a_flag_and_its_value_may_be_one_word() {
        let words = [
            "--kafka-addr in://:1,out://:2",
            "--smp=1",
            "--set redpanda.a=b c",
        ];
        let flags = Flags::parse(&words.map(str::to_owned)).unwrap();
        assert_eq!(flags.get("kafka-addr"), Some("in://:1,out://:2"));
        assert_eq!(flags.get("smp"), Some("1"));
        assert_eq!(flags.set, [("a".to_owned(), "b c".to_owned())]);
    }

    #[test]
    fn a_flag_has_its_value_behind_a_sign_or_a_space_or_none() {
        let flags = parse(
            "--smp 1 --memory=1G --overprovisioned --check=false --set redpanda.a=b --set c=d=e -v",
        )
        .unwrap();
        assert_eq!(flags.get("smp"), Some("1"));
        assert_eq!(flags.get("memory"), Some("1G"));
        assert_eq!(flags.get("overprovisioned"), Some(""));
        assert_eq!(flags.get("check"), Some("false"));
        assert_eq!(flags.get("v"), Some(""));
        assert_eq!(flags.get("kafka-addr"), None);
        let set = [("a", "b"), ("c", "d=e")];
        assert_eq!(flags.set, set.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_no_flag_is_refused_by_its_name() {
        for (args, told) in [
            ("start --smp 1", "start"),
            ("--smp 1 2", "\"2\""),
            ("--set a", "a"),
        ] {
            let error = parse(args).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
