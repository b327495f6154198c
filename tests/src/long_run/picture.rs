//! The samples as curves: one panel for each kind of figure, one line for each restart.

use super::samples::Sample;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const PANEL: f64 = 92.0;
const TITLE: f64 = 18.0;
/// Points of a curve: each the largest of its samples.
const POINTS: usize = 240;
const COLOURS: [&str; 2] = ["#2b7a5d", "#b5482f"];

/// A panel: its title, and up to two curves, each with its name, its column, and what a unit of the panel is in the column's.
struct Panel {
    title: &'static str,
    curves: &'static [(&'static str, &'static str, f64)],
    /// Whether the column counts up, and its growth a second is shown.
    rate: bool,
}

const MB: f64 = 1e6;
const PANELS: [Panel; 8] = [
    Panel {
        title: "memory, MB",
        curves: &[
            ("resident", "resident memory, bytes", MB),
            ("anonymous", "anonymous memory, bytes", MB),
        ],
        rate: false,
    },
    Panel {
        title: "open files",
        curves: &[
            ("open files", "open files", 1.0),
            ("connections", "connections", 1.0),
        ],
        rate: false,
    },
    Panel {
        title: "threads",
        curves: &[("threads", "threads", 1.0)],
        rate: false,
    },
    Panel {
        title: "disk, MB",
        curves: &[("disk", "disk, bytes", MB)],
        rate: false,
    },
    Panel {
        title: "topics and partitions",
        curves: &[("partitions", "partitions", 1.0), ("topics", "topics", 1.0)],
        rate: false,
    },
    Panel {
        title: "CPU, share of a core",
        curves: &[("CPU", "CPU seconds", 1.0)],
        rate: true,
    },
    Panel {
        title: "requests a second",
        curves: &[("requests", "requests", 1.0)],
        rate: true,
    },
    Panel {
        title: "from producer to consumer, ms",
        curves: &[
            ("99 of 100", "latency p99, ms", 1.0),
            ("half", "latency p50, ms", 1.0),
        ],
        rate: false,
    },
];

/// An SVG of all samples.
pub fn svg(samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |sample| sample.at.max(1.0));
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
    let height = PANELS.len() as f64 * (PANEL + TITLE) + 26.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for restart in samples.windows(2).filter(|w| w[0].life != w[1].life) {
        let at = x(restart[1].at);
        out += &format!(
            "<line x1=\"{at:.0}\" x2=\"{at:.0}\" y1=\"{TITLE}\" y2=\"{:.0}\" stroke=\"#dddddd\"/>\n",
            height - 26.0
        );
    }
    for (index, panel) in PANELS.iter().enumerate() {
        let top = index as f64 * (PANEL + TITLE) + TITLE;
        let curves: Vec<_> = panel
            .curves
            .iter()
            .map(|(_, column, unit)| thinned(&points(samples, column, *unit, panel.rate)))
            .collect();
        let most = curves
            .iter()
            .flatten()
            .map(|point| point.1)
            .fold(0.0, f64::max);
        let most = round_up(most);
        out += &format!(
            "<text x=\"{LEFT}\" y=\"{:.0}\">{}</text>\n\
             <path d=\"M{LEFT} {top:.0}V{bottom:.0}H{:.0}\" fill=\"none\" stroke=\"#444444\"/>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most}</text>\n\
             <text x=\"{:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\n",
            top - 4.0,
            legend(panel),
            WIDTH - RIGHT,
            LEFT - 6.0,
            top + 9.0,
            LEFT - 6.0,
            bottom = top + PANEL - 8.0,
        );
        for (curve, colour) in curves.iter().zip(COLOURS) {
            let points: Vec<String> = curve
                .iter()
                .map(|(at, value)| {
                    let y = top + (1.0 - value / most) * (PANEL - 8.0);
                    format!("{:.0},{y:.1}", x(*at))
                })
                .collect();
            out += &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>\n",
                points.join(" ")
            );
        }
    }
    for part in 0..=6 {
        let at = end / 6.0 * f64::from(part);
        out += &format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{:.*} min</text>\n",
            x(at).min(WIDTH - 24.0),
            height - 8.0,
            usize::from(end < 360.0),
            at / 60.0
        );
    }
    out + "</svg>\n"
}

fn legend(panel: &Panel) -> String {
    let names = panel.curves.iter().zip(COLOURS);
    let names =
        names.map(|((name, _, _), colour)| format!(" <tspan fill=\"{colour}\">{name}</tspan>"));
    format!("{}:{}", panel.title, names.collect::<String>())
}

/// A column, or its growth a second, in the panel's unit.
fn points(samples: &[Sample], column: &str, unit: f64, rate: bool) -> Vec<(f64, f64)> {
    if !rate {
        let all = samples.iter().map(|s| (s.at, s.value(column) / unit));
        return all.collect();
    }
    samples
        .windows(2)
        .filter(|pair| pair[0].life == pair[1].life)
        .map(|pair| {
            let grown = pair[1].value(column) - pair[0].value(column);
            (pair[1].at, grown / (pair[1].at - pair[0].at) / unit)
        })
        .collect()
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .chunks(points.len().div_ceil(POINTS).max(1))
        .filter_map(|chunk| chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)))
        .collect()
}

/// The next number of one digit and zeros.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let unit = 10f64.powf(value.log10().floor());
    (value / unit).ceil() * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::long_run::samples::COLUMNS;

    #[test]
    fn each_figure_has_a_curve_and_each_restart_a_line() {
        let samples: Vec<Sample> = (0..1000)
            .map(|at| Sample {
                at: f64::from(at),
                life: (at / 400) as usize,
                age: f64::from(at % 400),
                values: [f64::from(at); COLUMNS.len()],
            })
            .collect();
        let svg = svg(&samples);
        let curves: usize = PANELS.iter().map(|panel| panel.curves.len()).sum();
        assert_eq!(svg.matches("<polyline").count(), curves);
        assert_eq!(svg.matches("<line").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.len() < 60_000, "{}", svg.len());
    }

    #[test]
    fn an_axis_ends_on_a_round_number() {
        for (value, end) in [(0.0, 1.0), (0.4, 0.4), (97.0, 100.0), (123.0, 200.0)] {
            assert!((round_up(value) - end).abs() < 1e-9, "{value}");
        }
    }
}
