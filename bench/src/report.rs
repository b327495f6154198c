//! Samples of all rounds, and what is printed and written from them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::{Better, Sample};
use crate::stats::Summary;
use crate::target::Target;

/// One line of the table: a metric of a measurement, by target.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The measurement's name.
    pub measurement: String,
    /// The metric.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which direction is good.
    pub better: Better,
    /// Every value, in the order of the rounds.
    pub values: BTreeMap<Target, Vec<f64>>,
}

impl Row {
    /// Median, smallest and largest of a target's rounds.
    pub fn summary(&self, target: Target) -> Option<Summary> {
        Summary::of(self.values.get(&target)?)
    }

    /// How many times better than `other` Ottla is; above 1 is better.
    pub fn times_better(&self, other: Target) -> Option<f64> {
        let ours = self.summary(Target::Ottla)?.median;
        let theirs = self.summary(other)?.median;
        let ratio = match self.better {
            Better::Higher => ours / theirs,
            Better::Lower => theirs / ours,
        };
        ratio.is_finite().then_some(ratio)
    }
}

/// All rows, in the order in which they were first measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What the machine is and when it was measured, for whoever reads the file later.
    pub machine: BTreeMap<&'static str, String>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Report {
    /// Takes what one run of a measurement found.
    pub fn add(&mut self, measurement: &str, target: Target, samples: Vec<Sample>) {
        for sample in samples {
            let known = self.rows.iter_mut().find(|row| {
                row.measurement == measurement
                    && row.metric == sample.metric
                    && row.unit == sample.unit
            });
            let row = match known {
                Some(row) => row,
                None => {
                    self.rows.push(Row {
                        measurement: measurement.into(),
                        metric: sample.metric,
                        unit: sample.unit,
                        better: sample.better,
                        values: BTreeMap::new(),
                    });
                    self.rows.last_mut().expect("pushed just above")
                }
            };
            row.values.entry(target).or_default().push(sample.value);
        }
    }

    /// A table in Markdown: medians with smallest and largest, and how many times better Ottla is.
    pub fn table(&self, targets: &[Target]) -> String {
        let others: Vec<_> = targets.iter().filter(|t| **t != Target::Ottla).collect();
        let mut out = String::from("| what | unit |");
        for target in targets {
            out += &format!(" {} |", target.title());
        }
        for other in &others {
            out += &format!(" Ottla against {} |", other.title());
        }
        out += "\n|---|---|";
        out += &"---|".repeat(targets.len() + others.len());
        for row in &self.rows {
            out += &format!("\n| {}: {} | {} |", row.measurement, row.metric, row.unit);
            for target in targets {
                out += &match row.summary(*target) {
                    Some(Summary { median, min, max }) if min == max => {
                        format!(" {} |", short(median))
                    }
                    Some(Summary { median, min, max }) => {
                        format!(" {} ({} to {}) |", short(median), short(min), short(max))
                    }
                    None => " not measured |".into(),
                };
            }
            for other in &others {
                out += &match row.times_better(**other) {
                    Some(times) if times < 1.0 => format!(" {} times worse |", short(1.0 / times)),
                    Some(times) => format!(" {} times better |", short(times)),
                    None => " |".into(),
                };
            }
        }
        out + "\n"
    }
}

/// Three digits that matter.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{higher, lower};

    #[test]
    fn rounds_become_medians_and_ratios_say_how_many_times_better() {
        let mut report = Report::default();
        for (ours, theirs) in [(10.0, 20.0), (12.0, 24.0), (11.0, 22.0)] {
            report.add(
                "x",
                Target::Ottla,
                vec![lower("cpu", "s", ours), higher("rate", "/s", ours)],
            );
            report.add(
                "x",
                Target::Kafka,
                vec![lower("cpu", "s", theirs), higher("rate", "/s", theirs)],
            );
        }
        let table = report.table(&[Target::Ottla, Target::Kafka]);
        assert!(
            table.contains(
                "| x: cpu | s | 11.0 (10.0 to 12.0) | 22.0 (20.0 to 24.0) | 2.00 times better |"
            ),
            "{table}"
        );
        assert!(table.contains("2.00 times worse"), "{table}");
    }
}
