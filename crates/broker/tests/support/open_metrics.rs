//! Holds a page of metrics against the format, and reads values from it.

use std::collections::{BTreeMap, BTreeSet};

/// Series with their values: `name{label="value"}`.
#[derive(Debug)]
pub struct Page(pub BTreeMap<String, f64>);

impl Page {
    /// The value of a series.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }
}

struct Family {
    name: String,
    kind: String,
}

/// Reads a page. What Prometheus or `promtool check metrics` would refuse is a panic.
pub fn parse(page: &str) -> Page {
    let body = page
        .strip_suffix("# EOF\n")
        .expect("the page ends with # EOF");
    let (mut families, mut series) = (BTreeSet::new(), BTreeMap::new());
    let mut family: Option<Family> = None;
    let mut help = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(!text.is_empty(), "{line}");
            help = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert_eq!(name, help, "the help comes before the type");
            assert!(is_name(name), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            family = Some(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
            });
        } else {
            let family = family
                .as_ref()
                .unwrap_or_else(|| panic!("no family: {line}"));
            let (id, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            check_sample(family, id);
            let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(
                series.insert(id.to_owned(), value).is_none(),
                "{id} comes twice"
            );
        }
    }
    check_histograms(&series);
    Page(series)
}

fn check_sample(family: &Family, id: &str) {
    let (name, labels) = match id.split_once('{') {
        Some((name, labels)) => (
            name,
            labels.strip_suffix('}').unwrap_or_else(|| panic!("{id}")),
        ),
        None => (id, ""),
    };
    let suffix = name.strip_prefix(family.name.as_str());
    let allowed: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    assert!(
        suffix.is_some_and(|s| allowed.contains(&s)),
        "{id} in {}",
        family.name
    );
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{id}"));
        assert!(is_name(label), "{id}");
        // Up to the quote that is not escaped.
        let mut escaped = false;
        let end = after
            .find(|c: char| {
                let ends = c == '"' && !escaped;
                assert_ne!(c, '\n', "{id}");
                escaped = c == '\\' && !escaped;
                ends
            })
            .unwrap_or_else(|| panic!("{id}"));
        rest = after[end + 1..].trim_start_matches(',');
    }
}

fn check_histograms(series: &BTreeMap<String, f64>) {
    // By labels without `le`: the bounds and counts, in the order of their bounds.
    let mut histograms: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (id, value) in series.iter().filter(|(id, _)| id.contains("_bucket{")) {
        let (before, bound) = id.split_once("le=\"").unwrap_or_else(|| panic!("{id}"));
        let (bound, after) = bound.split_once('"').unwrap();
        let bound = bound.parse().unwrap_or_else(|e| panic!("{id}: {e}"));
        let rest = format!("{before}{}", after.trim_start_matches(','));
        histograms.entry(rest).or_default().push((bound, *value));
    }
    for (id, mut buckets) in histograms {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{id}: {buckets:?}");
        let (last, all) = *buckets.last().unwrap();
        assert!(last.is_infinite(), "{id} has no +Inf");
        let count = id.replace("_bucket", "_count").replace(",}", "}");
        assert_eq!(series.get(&count), Some(&all), "{count}");
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
