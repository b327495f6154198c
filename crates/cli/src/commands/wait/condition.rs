//! What is waited for, and how it is written.

use std::fmt;
use std::str::FromStr;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub what: What,
    /// As it was written.
    text: String,
}

/// What is to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A broker answers.
    Ready,
    /// A topic is there.
    Topic {
        name: String,
        partitions: Option<usize>,
    },
    /// A group is there.
    Group {
        name: String,
        /// At most so many records behind, in all partitions together.
        lag: Option<u64>,
        state: Option<String>,
        members: Option<usize>,
    },
    /// So many dead letters of a topic.
    DeadLetters { topic: String, records: u64 },
    /// `/readyz`, of the broker or of another address.
    Http { address: Option<String> },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let what = match text.split_once('=') {
            None if text == "ready" => What::Ready,
            None if text == "http" => What::Http { address: None },
            Some(("http", address)) if address.contains(':') => What::Http {
                address: Some(address.to_owned()),
            },
            Some(("topic", rest)) => topic(rest)?,
            Some(("group", rest)) => group(rest)?,
            Some(("dlq", rest)) => dead_letters(rest)?,
            _ => {
                return Err(
                    "expected ready, topic=NAME, group=NAME, dlq=TOPIC, http or http=HOST:PORT"
                        .to_owned(),
                );
            }
        };
        Ok(Condition {
            what,
            text: text.to_owned(),
        })
    }
}

fn topic(text: &str) -> Result<What, String> {
    let (name, options) = split(text, &["partitions"])?;
    let mut partitions = None;
    for (option, value) in options {
        partitions = Some(number(option, value)?);
    }
    Ok(What::Topic { name, partitions })
}

fn group(text: &str) -> Result<What, String> {
    let (name, options) = split(text, &["lag", "state", "members"])?;
    let (mut lag, mut state, mut members) = (None, None, None);
    for (option, value) in options {
        match option {
            "lag" => lag = Some(number(option, value)?),
            "members" => members = Some(number(option, value)?),
            _ => state = Some(value.to_owned()),
        }
    }
    Ok(What::Group {
        name,
        lag,
        state,
        members,
    })
}

fn dead_letters(text: &str) -> Result<What, String> {
    let (topic, options) = split(text, &["records"])?;
    let mut records = 0;
    for (option, value) in options {
        records = number(option, value)?;
    }
    Ok(What::DeadLetters { topic, records })
}

/// Names and values.
type Options<'a> = Vec<(&'a str, &'a str)>;

/// `NAME[:option=value...]`. A group's name may hold colons: what ends in known options is taken for those, from the end.
fn split<'a>(text: &'a str, known: &[&str]) -> Result<(String, Options<'a>), String> {
    let mut options = Vec::new();
    let mut rest = text;
    while let Some((before, option)) = rest.rsplit_once(':') {
        let Some((name, value)) = option.split_once('=') else {
            break;
        };
        if !known.contains(&name) {
            return Err(format!(
                "there is no {name}=: there are {}",
                known.join(", ")
            ));
        }
        options.push((name, value));
        rest = before;
    }
    if rest.is_empty() {
        return Err("a name is missing".to_owned());
    }
    Ok((rest.to_owned(), options))
}

fn number<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{option}={value} is not a number from 0 on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_read() {
        let group = |lag, state: Option<&str>, members| What::Group {
            name: "g:1".to_owned(),
            lag,
            state: state.map(str::to_owned),
            members,
        };
        for (text, expected) in [
            ("ready", What::Ready),
            (
                "topic=a",
                What::Topic {
                    name: "a".to_owned(),
                    partitions: None,
                },
            ),
            (
                "topic=a:partitions=3",
                What::Topic {
                    name: "a".to_owned(),
                    partitions: Some(3),
                },
            ),
            ("group=g:1", group(None, None, None)),
            ("group=g:1:lag=0", group(Some(0), None, None)),
            (
                "group=g:1:state=Stable:members=2",
                group(None, Some("Stable"), Some(2)),
            ),
            (
                "dlq=t",
                What::DeadLetters {
                    topic: "t".to_owned(),
                    records: 0,
                },
            ),
            (
                "dlq=t:records=4",
                What::DeadLetters {
                    topic: "t".to_owned(),
                    records: 4,
                },
            ),
            ("http", What::Http { address: None }),
            (
                "http=h:1",
                What::Http {
                    address: Some("h:1".to_owned()),
                },
            ),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.what, expected);
            assert_eq!(condition.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_condition_is_told() {
        for (text, words) in [
            ("", "expected ready"),
            ("redy", "expected ready"),
            ("topic", "expected ready"),
            ("topic=", "name is missing"),
            ("topic=a:partitions=x", "partitions=x is not a number"),
            ("topic=a:partitions=-1", "partitions=-1 is not a number"),
            ("topic=a:lag=0", "there is no lag=: there are partitions"),
            ("group=:lag=0", "name is missing"),
            ("http=here", "expected ready"),
        ] {
            let refused = text.parse::<Condition>().unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
