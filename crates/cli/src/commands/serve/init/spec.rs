//! How topics are written: `name[:partitions[:config=value...]]`.

use anyhow::{Context, anyhow, bail};
use ottla_broker::FirstTopic;

const FORM: &str =
    "name[:partitions[:config=value...]], as in orders:3 or events:6:cleanup.policy=compact";

/// A list of topics, between commas; between semicolons and line ends if there are any, so that values may hold commas.
pub(super) fn list(text: &str, source: &str) -> anyhow::Result<Vec<FirstTopic>> {
    let wide = |c: char| c == ';' || c == '\n';
    let separated = |c: char| match text.trim().contains(wide) {
        true => wide(c),
        false => c == ',',
    };
    parts(text, separated)
        .map(|part| one(part, source))
        .collect()
}

/// One topic. A part without `=` belongs to the value before it, so that values may hold colons.
pub(super) fn one(text: &str, source: &str) -> anyhow::Result<FirstTopic> {
    let refuse = |why: String| anyhow!("{source}: {text:?} is not a topic: {why}; expected {FORM}");
    let mut parts = text.trim().split(':');
    let name = parts.next().unwrap_or_default().trim();
    let mut topic = named(name).map_err(|error| refuse(error.to_string()))?;
    if let Some(count) = parts.next().map(str::trim).filter(|c| !c.is_empty()) {
        topic.partitions = Some(partitions(count).map_err(|error| refuse(error.to_string()))?);
    }
    let mut last: Option<String> = None;
    for part in parts {
        match (part.split_once('='), &last) {
            (Some((name, value)), _) => {
                let name = name.trim().to_owned();
                if name.is_empty() {
                    return Err(refuse(format!("{part:?} has no name")));
                }
                if topic
                    .configs
                    .insert(name.clone(), value.to_owned())
                    .is_some()
                {
                    return Err(refuse(format!("{name} is given twice")));
                }
                last = Some(name);
            }
            (None, Some(name)) => {
                let value = topic
                    .configs
                    .get_mut(name)
                    .expect("it was put there before");
                value.push(':');
                value.push_str(part);
            }
            (None, None) => {
                return Err(refuse(format!("{part:?} is not config=value")));
            }
        }
    }
    for value in topic.configs.values_mut() {
        *value = value.trim().to_owned();
    }
    Ok(topic)
}

/// Topics in the form of wurstmeister's image: `name:partitions:replicas[:cleanup.policy]`. The separators are the characters of
/// its variable, as its shell takes them.
pub(super) fn with_replicas(
    text: &str,
    separator: Option<&str>,
) -> anyhow::Result<Vec<FirstTopic>> {
    let separator = separator.unwrap_or(",").replace("\\n", "\n");
    parts(text, |c| separator.contains(c))
        .map(|part| {
            let of = || {
                format!("KAFKA_CREATE_TOPICS: {part:?} is not name:partitions:replicas[:policy]")
            };
            one_with_replicas(part).with_context(of)
        })
        .collect()
}

fn one_with_replicas(text: &str) -> anyhow::Result<FirstTopic> {
    let mut parts = text.split(':').map(str::trim);
    let mut topic = named(parts.next().unwrap_or_default())?;
    if let Some(count) = parts.next() {
        topic.partitions = Some(partitions(count)?);
    }
    if let Some(replicas) = parts.next() {
        let count = replicas.parse::<i16>().ok().filter(|count| *count > 0);
        let count = count.with_context(|| format!("{replicas:?} is not a number of replicas"))?;
        topic.replication_factor = Some(count);
    }
    if let Some(policy) = parts.next().filter(|policy| !policy.is_empty()) {
        topic
            .configs
            .insert("cleanup.policy".to_owned(), policy.to_owned());
    }
    if let Some(more) = parts.next() {
        bail!("there is {more:?} after the policy");
    }
    Ok(topic)
}

fn named(name: &str) -> anyhow::Result<FirstTopic> {
    if name.is_empty() {
        bail!("it has no name");
    }
    Ok(FirstTopic {
        name: name.to_owned(),
        ..FirstTopic::default()
    })
}

fn partitions(text: &str) -> anyhow::Result<i32> {
    let count = text.parse::<i32>().ok().filter(|count| *count > 0);
    count.with_context(|| format!("{text:?} is not a number of partitions"))
}

fn parts<'a>(
    text: &'a str,
    separated: impl Fn(char) -> bool + 'a,
) -> impl Iterator<Item = &'a str> {
    text.split(separated)
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(topics: &[FirstTopic]) -> Vec<String> {
        let show = |t: &FirstTopic| {
            let configs: Vec<_> = t.configs.iter().map(|(n, v)| format!("{n}={v}")).collect();
            format!(
                "{} {:?} {:?} {}",
                t.name,
                t.partitions,
                t.replication_factor,
                configs.join(" ")
            )
        };
        topics.iter().map(show).collect()
    }

    #[test]
    fn lists_are_between_commas_or_else_between_semicolons_and_lines() {
        let both = [
            "orders Some(3) None ",
            "payments Some(6) None cleanup.policy=compact",
        ];
        for text in [
            "orders:3,payments:6:cleanup.policy=compact",
            " orders:3 , payments:6:cleanup.policy=compact,",
            "orders:3;payments:6:cleanup.policy=compact",
            "orders:3\n  payments:6:cleanup.policy=compact\n",
        ] {
            assert_eq!(shown(&list(text, "OTTLA_TOPICS").unwrap()), both, "{text}");
        }
        assert_eq!(shown(&list("a,b\n", "").unwrap()).len(), 2);
        assert_eq!(shown(&list("", "").unwrap()).len(), 0);
        let text = "a:1:cleanup.policy=compact,delete;b::retention.ms=1:segment.ms=2";
        assert_eq!(
            shown(&list(text, "").unwrap()),
            [
                "a Some(1) None cleanup.policy=compact,delete",
                "b None None retention.ms=1 segment.ms=2"
            ]
        );
    }

    #[test]
    fn a_value_may_hold_colons_and_equals_signs() {
        let topic = one(
            "a:1:leader.replication.throttled.replicas=0:1,1:1:x.y=p=q",
            "",
        )
        .unwrap();
        assert_eq!(
            topic.configs["leader.replication.throttled.replicas"],
            "0:1,1:1"
        );
        assert_eq!(topic.configs["x.y"], "p=q");
    }

    #[test]
    fn what_is_not_a_topic_is_told_with_its_source_and_the_form() {
        for (text, why) in [
            (":3", "no name"),
            ("orders:many", "\"many\" is not a number of partitions"),
            ("orders:0", "\"0\" is not a number of partitions"),
            ("orders:-1", "number of partitions"),
            ("orders:99999999999", "number of partitions"),
            ("orders:3:1", "\"1\" is not config=value"),
            ("orders:3:=x", "has no name"),
            ("orders:3:a=1:a=2", "a is given twice"),
        ] {
            let refused = one(text, "OTTLA_TOPICS").unwrap_err().to_string();
            for part in ["OTTLA_TOPICS", text, why, "orders:3"] {
                assert!(refused.contains(part), "{refused}");
            }
        }
    }

    #[test]
    fn wurstmeisters_form_has_replicas_and_a_policy() {
        let expected = [
            "a Some(1) Some(3) ",
            "b Some(2) Some(1) cleanup.policy=compact",
        ];
        let cases = [
            ("a:1:3,b:2:1:compact", None),
            ("a:1:3\n b:2:1:compact\n", Some("$'\n'")),
            ("a:1:3\n b:2:1:compact\n", Some("\\n")),
            ("a:1:3|b:2:1:compact", Some("|")),
        ];
        for (text, separator) in cases {
            assert_eq!(
                shown(&with_replicas(text, separator).unwrap()),
                expected,
                "{text}"
            );
        }
        for bad in ["a:x:1", "a:1:0", "a:1:1:compact:more", ":1:1"] {
            let refused = format!("{:#}", with_replicas(bad, None).unwrap_err());
            assert!(
                refused.contains("KAFKA_CREATE_TOPICS") && refused.contains(bad),
                "{refused}"
            );
        }
    }
}
