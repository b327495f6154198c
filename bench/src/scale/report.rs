//! The points of all curves, as JSON, Markdown tables and pictures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::plot;
use crate::measure::Sample;
use crate::report::short;
use crate::target::Target;

/// One metric of a curve for one target: value by size.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The metric.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Of which broker.
    pub target: Target,
    /// By size.
    pub points: BTreeMap<u64, f64>,
}

impl Line {
    /// As in tables and pictures.
    pub fn title(&self) -> String {
        let of = match self.target {
            Target::Ottla => "",
            _ => " (Kafka)",
        };
        match self.unit {
            "" => format!("{}{of}", self.metric),
            unit => format!("{}, {unit}{of}", self.metric),
        }
    }
}

/// One curve's lines.
#[derive(Debug, Serialize)]
pub struct Curve {
    /// What grows.
    pub name: &'static str,
    /// In the order in which they were first measured.
    pub lines: Vec<Line>,
}

/// All curves.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: BTreeMap<&'static str, String>,
    curves: Vec<Curve>,
}

impl Report {
    /// Without a point.
    pub fn new(machine: BTreeMap<&'static str, String>) -> Report {
        Report {
            machine,
            curves: Vec::new(),
        }
    }

    /// Takes the points of one size.
    pub fn add(&mut self, curve: &'static str, target: Target, size: u64, samples: Vec<Sample>) {
        if self.curves.last().is_none_or(|c| c.name != curve) {
            self.curves.push(Curve {
                name: curve,
                lines: Vec::new(),
            });
        }
        let Some(curve) = self.curves.last_mut() else {
            return;
        };
        for sample in samples {
            let known = curve
                .lines
                .iter()
                .position(|l| l.metric == sample.metric && l.target == target);
            let at = known.unwrap_or_else(|| {
                curve.lines.push(Line {
                    metric: sample.metric,
                    unit: sample.unit,
                    target,
                    points: BTreeMap::new(),
                });
                curve.lines.len() - 1
            });
            curve.lines[at].points.insert(size, sample.value);
        }
    }

    /// A table a curve.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        for curve in &self.curves {
            let mut sizes: Vec<u64> = curve
                .lines
                .iter()
                .flat_map(|l| l.points.keys())
                .copied()
                .collect();
            sizes.sort_unstable();
            sizes.dedup();
            out += &format!("\n| {} |", curve.name);
            sizes.iter().for_each(|size| out += &format!(" {size} |"));
            out += &format!("\n|---|{}", "---|".repeat(sizes.len()));
            for line in &curve.lines {
                out += &format!("\n| {} |", line.title());
                for size in &sizes {
                    match line.points.get(size) {
                        Some(value) => out += &format!(" {} |", short(*value)),
                        None => out += " |",
                    }
                }
            }
            out.push('\n');
        }
        out
    }

    /// Writes everything to a directory.
    pub fn write(&self, output: &Path) -> Result<()> {
        std::fs::create_dir_all(output)?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(output.join("scale.json"), json + "\n")?;
        std::fs::write(output.join("scale.md"), self.markdown())?;
        for curve in &self.curves {
            let name = curve.name.replace(' ', "-");
            std::fs::write(output.join(format!("scale-{name}.svg")), plot::svg(curve))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lower;

    #[test]
    fn each_size_is_a_column_and_each_metric_a_row_and_a_panel() {
        let mut report = Report::new(BTreeMap::new());
        for (size, value) in [(10, 1.0), (100, 30.0)] {
            report.add(
                "topics",
                Target::Ottla,
                size,
                vec![lower("start", "ms", value)],
            );
        }
        report.add(
            "topics",
            Target::Kafka,
            10,
            vec![lower("start", "ms", 2000.0)],
        );
        let table = report.markdown();
        assert!(table.contains("| topics | 10 | 100 |"), "{table}");
        assert!(table.contains("| start, ms | 1.00 | 30.0 |"), "{table}");
        assert!(table.contains("| start, ms (Kafka) | 2000 | |"), "{table}");
        let svg = plot::svg(&report.curves[0]);
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
    }

    #[test]
    fn a_count_has_no_unit() {
        let mut report = Report::new(BTreeMap::new());
        let files = vec![lower("open files", "", 16.0)];
        report.add("topics", Target::Ottla, 10, files);
        assert!(report.markdown().contains("\n| open files | 16.0 |"));
    }
}
