//! What came of a run: the verdict, as text, as JSON and as curves.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::samples::{COLUMNS, Sample};
use super::shared::Shared;
use super::verdict::{Trend, judge};
use super::{Plan, picture};

/// What came of a run.
pub struct Report {
    /// What was done.
    pub counts: BTreeMap<&'static str, u64>,
    /// What did not hold.
    pub failures: Vec<String>,
    /// What each figure did.
    pub trends: Vec<Trend>,
    /// Restarts of the broker.
    pub restarts: usize,
    samples: Vec<Sample>,
}

impl Report {
    /// Of a load that ended then.
    pub(super) fn new(
        ended: Duration,
        shared: &Shared,
        restarts: usize,
        samples: Vec<Sample>,
    ) -> Report {
        // What came after the load is another state.
        let of_load: Vec<Sample> = samples
            .iter()
            .filter(|sample| sample.at <= ended.as_secs_f64())
            .copied()
            .collect();
        Report {
            counts: shared.counts.all(),
            failures: shared.failures(),
            trends: judge(&of_load),
            restarts,
            samples,
        }
    }

    /// Whether everything held and nothing grew.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.trends.iter().all(|trend| trend.flat)
    }

    pub(super) fn write(&self, plan: &Plan, log: &str) -> Result<()> {
        let columns: BTreeMap<&str, Vec<f64>> = COLUMNS
            .iter()
            .map(|column| {
                let values = self.samples.iter().map(|sample| sample.value(column));
                (*column, values.collect())
            })
            .collect();
        let all = json!({
            "minutes": plan.time.as_secs_f64() / 60.0,
            "load": plan.load,
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "good": self.is_good(),
            "restarts": self.restarts,
            "counts": self.counts,
            "failures": self.failures,
            "trends": self.trends,
            "seconds": self.samples.iter().map(|s| s.at).collect::<Vec<_>>(),
            "lives": self.samples.iter().map(|s| s.life).collect::<Vec<_>>(),
            "samples": columns,
        });
        fs::write(plan.output.join("results.json"), format!("{all}\n"))?;
        fs::write(plan.output.join("curves.svg"), picture::svg(&self.samples))?;
        fs::write(plan.output.join("broker.log"), log)?;
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} restarts", self.restarts)?;
        for (name, count) in &self.counts {
            writeln!(f, "{count:>14} {name}")?;
        }
        for trend in &self.trends {
            let verdict = if trend.flat { "flat" } else { "GROWS" };
            writeln!(
                f,
                "{verdict}: {} ({}, {} points): level {:.0}, grew by {:.0}, {:.0} allowed",
                trend.figure, trend.over, trend.points, trend.level, trend.growth, trend.allowed
            )?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}
