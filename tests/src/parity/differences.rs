//! The differences from Apache Kafka that are meant. Each has a reason; docs/COMPATIBILITY.md repeats them.

use super::both::Finding;

/// Where Ottla answers differently on purpose.
#[derive(Debug)]
pub struct Accepted {
    /// The API, `*` for all.
    pub api: &'static str,
    /// The scenario and step (`scenario: step`), with `*` for any text.
    pub step: &'static str,
    /// The field, with `*` for any text.
    pub path: &'static str,
    /// What differs and why, as the documentation says it.
    pub reason: &'static str,
}

/// The table.
pub const ACCEPTED: &[Accepted] = &[];

/// What is compared by nature only up to a name, as the documentation says it.
pub const NOT_COMPARED: &[&str] = &[
    "Random ids: topics, members, producers, fetch sessions, the cluster. The same id in two places must still be the same.",
    "Hosts, ports, the log directory's path and the room on its device, append times.",
    "The wording of error messages and of configs' documentation; whether there is one is compared.",
    "The order of entries in lists of structures.",
];

impl Accepted {
    /// Whether this row explains `finding`.
    pub fn explains(&self, finding: &Finding) -> bool {
        let step = format!("{}: {}", finding.scenario, finding.step);
        matches(self.api, &finding.api)
            && matches(self.step, &step)
            && matches(self.path, &finding.path)
    }
}

/// Whether `text` has the shape of `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.port", "brokers[].port", true),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_documentation_lists_every_accepted_difference() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMPATIBILITY.md");
        let page = std::fs::read_to_string(page).expect("docs/COMPATIBILITY.md can be read");
        let section = page
            .split("## Differences from Apache Kafka")
            .nth(1)
            .expect("the section is there");
        let said = ACCEPTED.iter().map(|row| row.reason);
        for reason in said.chain(NOT_COMPARED.iter().copied()) {
            assert!(section.contains(reason), "not in the page: {reason}");
        }
    }
}
