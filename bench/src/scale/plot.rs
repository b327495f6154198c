//! A curve as a picture: one panel a metric, both axes logarithmic, so that what grows with the size is a slope and what does not is flat.

use super::report::{Curve, Line};
use crate::report::short;
use crate::target::Target;

const COLUMNS: usize = 3;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 150.0;
/// Room around the lines of a panel: left and right, above, below.
const SIDE: f64 = 50.0;
const ABOVE: f64 = 34.0;
const BELOW: f64 = 26.0;

/// An SVG of all metrics of a curve.
pub fn svg(curve: &Curve) -> String {
    let mut panels: Vec<(&str, &str, Vec<&Line>)> = Vec::new();
    for line in &curve.lines {
        match panels.iter_mut().find(|p| p.0 == line.metric) {
            Some(panel) => panel.2.push(line),
            None => panels.push((line.metric, line.unit, vec![line])),
        }
    }
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (COLUMNS as f64 * WIDTH, rows as f64 * HEIGHT + 30.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"14\">{}: green Ottla, red Kafka; both axes logarithmic</text>\n",
        curve.name
    );
    for (at, (metric, unit, lines)) in panels.iter().enumerate() {
        let x = (at % COLUMNS) as f64 * WIDTH;
        let y = (at / COLUMNS) as f64 * HEIGHT + 30.0;
        out += &format!(
            "<text x=\"{:.0}\" y=\"{:.0}\">{metric} ({unit})</text>\n",
            x + 12.0,
            y + 18.0
        );
        out += &panel(x, y, lines);
    }
    out + "</svg>\n"
}

fn panel(x: f64, y: f64, lines: &[&Line]) -> String {
    let points = || lines.iter().flat_map(|l| &l.points);
    let largest = points().map(|p| *p.1).fold(0.0, f64::max);
    // Nothing is lower than a thousandth of the largest: a zero has a place as well.
    let floor = (largest / 1000.0).max(f64::MIN_POSITIVE);
    let level = |value: f64| value.max(floor).log10();
    let (mut low, mut high) = points().fold((f64::MAX, f64::MIN), |(low, high), p| {
        (low.min(level(*p.1)), high.max(level(*p.1)))
    });
    // At least a factor of ten, so that what is flat looks flat.
    let pad = (1.0 - (high - low)).max(0.0) / 2.0;
    (low, high) = (low - pad, high + pad);
    let sizes = points().map(|p| (*p.0).max(1) as f64);
    let (first, last) = sizes.fold((f64::MAX, 1.0), |(a, b): (f64, f64), s| {
        (a.min(s), b.max(s))
    });
    let reach = (last / first).log10().max(1e-9);
    let place = |size: u64, value: f64| {
        let across = (size.max(1) as f64 / first).log10() / reach;
        let up = (level(value) - low) / (high - low);
        let left = x + SIDE + across * (WIDTH - 2.0 * SIDE);
        let top = y + ABOVE + (1.0 - up) * (HEIGHT - ABOVE - BELOW);
        (left, top)
    };
    let mut out = String::new();
    for line in lines {
        let colour = match line.target {
            Target::Ottla => "#2b7a5d",
            _ => "#b5482f",
        };
        let mut path = String::new();
        for (&size, &value) in &line.points {
            let (left, top) = place(size, value);
            path += &format!("{left:.1},{top:.1} ");
            out += &format!(
                "<circle cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"2.5\" fill=\"{colour}\"/>\n\
                 <text x=\"{left:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\" \
                 fill=\"{colour}\">{}</text>\n\
                 <text x=\"{left:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\" \
                 fill=\"#666666\">{size}</text>\n",
                top - 5.0,
                short(value),
                y + HEIGHT - 8.0,
            );
        }
        out += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>\n",
            path.trim_end()
        );
    }
    out
}
