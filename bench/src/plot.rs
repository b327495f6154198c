//! The ratios as a picture: one bar a row, on a logarithmic scale.

use crate::report::{Report, short};
use crate::target::Target;

const ROW: usize = 18;
const LABELS: usize = 430;
const BARS: usize = 460;
const TOP: usize = 50;

/// An SVG of how many times better than `other` Ottla is, row by row. Bars to the right of the line are better.
pub fn svg(report: &Report, other: Target) -> String {
    let rows: Vec<_> = report
        .rows
        .iter()
        .filter_map(|row| Some((row, row.times_better(other).filter(|t| *t > 0.0)?)))
        .collect();
    // Symmetric around 1, at least a factor of ten either way.
    let reach = rows
        .iter()
        .map(|(_, times)| times.log10().abs())
        .fold(1.0, f64::max);
    let x = |times: f64| {
        let share = (times.log10() / reach + 1.0) / 2.0;
        LABELS as f64 + share * BARS as f64
    };
    let (width, height) = (LABELS + BARS + 70, TOP + rows.len() * ROW + 20);
    let middle = x(1.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"14\">Ottla against {}: how many times better (logarithmic)</text>\n\
         <line x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#444444\"/>\n\
         <text x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">the same</text>\n",
        other.title(),
        TOP - 6,
        height - 14,
        TOP - 10,
    );
    for (at, (row, times)) in rows.iter().enumerate() {
        let y = TOP + at * ROW;
        let end = x(*times);
        let (left, right) = (end.min(middle), end.max(middle));
        let colour = if *times >= 1.0 { "#2b7a5d" } else { "#b5482f" };
        out += &format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}: {} ({})</text>\n\
             <rect x=\"{left:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{}</text>\n",
            LABELS - 8,
            y + 11,
            row.measurement,
            row.metric,
            row.unit,
            right - left,
            ROW - 5,
            right + 4.0,
            y + 11,
            short(*times),
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lower;

    #[test]
    fn each_row_that_both_have_gets_a_bar() {
        let mut report = Report::default();
        for (target, value) in [(Target::Ottla, 1.0), (Target::Kafka, 30.0)] {
            report.add("life", target, vec![lower("start", "ms", value)]);
        }
        report.add("life", Target::Ottla, vec![lower("stop", "ms", 1.0)]);
        let svg = svg(&report, Target::Kafka);
        assert_eq!(svg.matches("<rect x=").count(), 1);
        assert!(svg.contains("life: start (ms)") && svg.contains(">30.0<"));
    }
}
