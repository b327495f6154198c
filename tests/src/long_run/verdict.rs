//! Whether a figure stays as it is, or grows.
//!
//! Growth is the slope of Theil and Sen (the median of the slopes between all pairs of points) times the time that was looked at. The
//! points are medians of slices of that time, so that what goes up and down within a slice does not count. It is allowed up to the
//! largest of: an absolute amount, a share of the level, and what the points scatter around that line. What grows beyond any of these
//! is a leak, or not told from one.

use serde::Serialize;

use super::samples::Sample;

/// Slices of the time that is looked at.
const SLICES: usize = 20;
/// Fewer points show no trend.
const LEAST: usize = 5;
/// The part of a life that is warm-up.
const WARM_UP: f64 = 1.0 / 3.0;
/// The share of the level by which it may be larger in the end.
const SHARE: f64 = 0.05;
/// As many times the median distance from the line.
const SCATTER: f64 = 3.0;

/// What must not grow, and by how much it may at least, whatever its level is.
pub const FIGURES: [(&str, f64); 6] = [
    ("resident memory, bytes", 4e6),
    ("anonymous memory, bytes", 4e6),
    ("open files", 10.0),
    ("connections", 10.0),
    ("threads", 2.0),
    ("disk, bytes", 16e6),
];

/// What one figure did.
#[derive(Debug, Clone, Serialize)]
pub struct Trend {
    /// The figure.
    pub figure: &'static str,
    /// Where it was looked at.
    pub over: String,
    /// Points that were compared; too few of them say nothing.
    pub points: usize,
    /// The median.
    pub level: f64,
    /// From the beginning of that time to its end.
    pub growth: f64,
    /// What it may grow.
    pub allowed: f64,
    /// Whether it grew no more.
    pub flat: bool,
}

/// The trends of all figures: in the longest life of the broker, after its first third; and from life to life, of all but the first and
/// the longest.
pub fn judge(samples: &[Sample]) -> Vec<Trend> {
    let longest = longest_life(samples);
    let mut trends = Vec::new();
    for (figure, least) in FIGURES {
        let over = format!("life {longest}, the last two thirds");
        trends.extend(trend(
            figure,
            over,
            least,
            &within(samples, longest, figure),
        ));
        let over = "lives of the same length".to_owned();
        trends.extend(trend(
            figure,
            over,
            least,
            &levels(samples, longest, figure),
        ));
    }
    trends
}

fn longest_life(samples: &[Sample]) -> usize {
    let oldest = samples.iter().max_by(|a, b| a.age.total_cmp(&b.age));
    oldest.map_or(0, |sample| sample.life)
}

fn age_at_end(samples: &[Sample], life: usize) -> f64 {
    let ages = samples.iter().filter(|s| s.life == life).map(|s| s.age);
    ages.fold(0.0, f64::max)
}

/// Medians of slices of one life.
fn within(samples: &[Sample], life: usize, figure: &str) -> Vec<(f64, f64)> {
    let end = age_at_end(samples, life);
    let start = end * WARM_UP;
    let length = (end - start) / SLICES as f64;
    let slice = |number: usize| {
        let from = start + number as f64 * length;
        let of_slice = samples
            .iter()
            .filter(|s| s.life == life && s.age > from && s.age <= from + length);
        let mut values: Vec<f64> = of_slice.map(|s| s.value(figure)).collect();
        Some((from + length / 2.0, median(&mut values)?))
    };
    (0..SLICES).filter_map(slice).collect()
}

/// A level for each life: the median after its warm-up. The last life is cut off by the end of the run, and left out if it is much shorter.
fn levels(samples: &[Sample], longest: usize, figure: &str) -> Vec<(f64, f64)> {
    let last = samples.iter().map(|s| s.life).max().unwrap_or(0);
    let others = (1..=last).filter(|life| *life != longest);
    let mut lengths: Vec<f64> = others
        .clone()
        .map(|life| age_at_end(samples, life))
        .collect();
    let usual = median(&mut lengths).unwrap_or(0.0);
    let level = |life: usize| {
        let of_life = samples
            .iter()
            .filter(|s| s.life == life && s.age > usual * WARM_UP && s.age <= usual);
        let (mut times, mut values): (Vec<f64>, Vec<f64>) =
            of_life.map(|s| (s.at, s.value(figure))).unzip();
        (age_at_end(samples, life) > usual * 0.8)
            .then(|| Some((median(&mut times)?, median(&mut values)?)))?
    };
    others.filter_map(level).collect()
}

/// What points, each a time and a value, do; `None` if they are too few to say.
fn trend(figure: &'static str, over: String, least: f64, points: &[(f64, f64)]) -> Option<Trend> {
    if points.len() < LEAST {
        return None;
    }
    let slope = slope(points)?;
    let time = points.last()?.0 - points.first()?.0;
    let level = median(&mut points.iter().map(|p| p.1).collect::<Vec<_>>())?;
    let heights = points.iter().map(|(at, value)| value - slope * at);
    let middle = median(&mut heights.clone().collect::<Vec<_>>())?;
    let scatter = median(&mut heights.map(|h| (h - middle).abs()).collect::<Vec<_>>())?;
    let growth = slope * time;
    let allowed = least.max(level * SHARE).max(scatter * SCATTER);
    Some(Trend {
        figure,
        over,
        points: points.len(),
        level,
        growth,
        allowed,
        flat: growth <= allowed,
    })
}

/// The slope of Theil and Sen.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (index, (at, value)) in points.iter().enumerate() {
        for (later, other) in &points[index + 1..] {
            slopes.push((other - value) / (later - at));
        }
    }
    median(&mut slopes)
}

fn median(values: &mut [f64]) -> Option<f64> {
    Some(ottla_bench::stats::Summary::of(values)?.median)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::long_run::samples::COLUMNS;

    const HOUR: usize = 3600;

    /// An hour: ten lives of three minutes, one of half an hour. Memory of 60 MB that fills in a life's first minute, with some
    /// noise; disk that goes up and down.
    fn hour(mut more: impl FnMut(usize, f64, &mut dyn FnMut(&str, f64))) -> Vec<Sample> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..HOUR)
            .map(|at| {
                let life = (at / 180).min(10);
                let age = (at - life * 180) as f64;
                let mut sample = Sample {
                    at: at as f64,
                    life,
                    age,
                    values: [0.0; COLUMNS.len()],
                };
                let mut set = |name: &str, by: f64| {
                    let column = COLUMNS.iter().position(|column| *column == name).unwrap();
                    sample.values[column] += by;
                };
                let noise = rng.random_range(-2e6..2e6);
                let filling = 40e6 * (age / 60.0).min(1.0);
                set("resident memory, bytes", 20e6 + filling + noise);
                set("anonymous memory, bytes", 10e6 + filling + noise);
                set("open files", 80.0 + rng.random_range(0.0..20.0));
                set("threads", 6.0);
                set("disk, bytes", 100e6 + (at % 47) as f64 * 1e6);
                more(life, age, &mut set);
                sample
            })
            .collect()
    }

    fn grown(samples: &[Sample]) -> Vec<(&'static str, String)> {
        let trends = judge(samples);
        assert_eq!(trends.len(), 2 * FIGURES.len());
        let grown = trends.into_iter().filter(|trend| !trend.flat);
        grown.map(|trend| (trend.figure, trend.over)).collect()
    }

    #[test]
    fn what_goes_up_and_down_and_fills_once_is_flat() {
        assert_eq!(grown(&hour(|_, _, _| {})), []);
    }

    #[test]
    fn a_slow_leak_in_the_long_life_is_found_in_spite_of_noise() {
        // 5 KB a second.
        let leaky = hour(|_, age, set| set("anonymous memory, bytes", age * 5e3));
        let within = "life 10, the last two thirds".to_owned();
        assert_eq!(grown(&leaky), [("anonymous memory, bytes", within.clone())]);
        let leaky = hour(|_, age, set| set("open files", (age / 60.0).floor()));
        assert_eq!(grown(&leaky), [("open files", within.clone())]);
        let leaky = hour(|_, age, set| set("threads", (age / 300.0).floor()));
        assert_eq!(grown(&leaky), [("threads", within)]);
    }

    #[test]
    fn what_each_restart_leaves_behind_is_found() {
        let leaky = hour(|life, _, set| set("disk, bytes", life as f64 * 5e6));
        let lives = "lives of the same length".to_owned();
        assert_eq!(grown(&leaky), [("disk, bytes", lives)]);
    }

    #[test]
    fn what_grows_all_the_time_is_found_in_both() {
        let mut total = 0.0;
        let leaky = hour(|_, _, set| {
            total += 20e3;
            set("disk, bytes", total);
        });
        assert_eq!(grown(&leaky).len(), 2);
    }

    #[test]
    fn what_shrinks_is_no_leak_and_a_jump_that_stays_is_one() {
        let shrinks = hour(|_, age, set| set("resident memory, bytes", -age * 5e3));
        assert_eq!(grown(&shrinks), []);
        let jumps = hour(|_, age, set| {
            if age > 1200.0 {
                set("resident memory, bytes", 20e6);
            }
        });
        assert_eq!(grown(&jumps).len(), 1);
    }

    #[test]
    fn a_minute_says_something_of_its_one_life_and_nothing_of_others() {
        let samples: Vec<Sample> = hour(|_, age, set| set("open files", age))
            .drain(..60)
            .collect();
        let trends = judge(&samples);
        assert_eq!(trends.len(), FIGURES.len());
        let grown: Vec<_> = trends
            .iter()
            .filter(|t| !t.flat)
            .map(|t| t.figure)
            .collect();
        assert!(grown.contains(&"open files"), "{trends:?}");
    }
}
