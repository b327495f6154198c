//! Which topics an argument means: a regular expression, in which a comma separates alternatives.

use regex::Regex;

use crate::errors::Failure;

/// The topics that Kafka keeps its own state in.
const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// Whether Kafka keeps its own state in a topic of this name.
pub(crate) fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

/// Topics by the names that a pattern matches as a whole.
#[derive(Debug)]
pub(crate) struct TopicFilter {
    regex: Regex,
}

impl TopicFilter {
    /// Compiles a pattern as it is given to `--topic`, `--include` and the like.
    pub fn new(pattern: &str) -> Result<TopicFilter, Failure> {
        let pattern = pattern.trim().replace(',', "|").replace(' ', "");
        let pattern = pattern.trim_matches(['"', '\'']);
        Regex::new(&format!("^(?:{pattern})$"))
            .map(|regex| TopicFilter { regex })
            .map_err(|_| Failure::new(format!("{pattern} is an invalid regex.")))
    }

    /// Whether the topic is meant.
    pub fn allows(&self, topic: &str, exclude_internal: bool) -> bool {
        self.regex.is_match(topic) && !(exclude_internal && is_internal(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_and_commas_are_alternatives() {
        for (pattern, topic, expected) in [
            ("orders", "orders", true),
            ("orders", "orders-2", false),
            ("orders.*", "orders-2", true),
            ("a, b", "b", true),
            ("'a|b'", "a", true),
            (r"test\.topic", "test-topic", false),
            ("", "a", false),
        ] {
            let filter = TopicFilter::new(pattern).unwrap();
            assert_eq!(filter.allows(topic, false), expected, "{pattern} {topic}");
        }
        let all = TopicFilter::new(".*").unwrap();
        assert!(all.allows("__consumer_offsets", false));
        assert!(!all.allows("__consumer_offsets", true));
    }

    #[test]
    fn an_invalid_pattern_is_named() {
        let failure = TopicFilter::new("a(").unwrap_err();
        assert_eq!(failure.to_string(), "a( is an invalid regex.");
    }
}
