//! Plots as SVG files: panels in two columns, lines with points, axes with names, ticks at round
//! numbers. The text uses the reader's own fonts; nothing is rendered here.

use std::{fmt::Write as _, fs, path::Path};

use crate::Result;

/// One figure, drawn against the varied quantity.
pub struct Panel {
    pub y: String,
    pub series: Vec<Series>,
}

/// A line with its points.
pub struct Series {
    /// The name in the legend; empty when the panel has one line only.
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Width and height of a panel, in pixels.
const PANEL: (f64, f64) = (560.0, 340.0);
/// Height of the title, in pixels.
const HEAD: f64 = 40.0;
/// From a panel's edges to its axes, in pixels: left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (78.0, 34.0, 30.0, 52.0);
const COLUMNS: usize = 2;
const COLOURS: [&str; 3] = ["#1f61aa", "#c8541a", "#2e8246"];
const STYLE: &str = "text{font:13px sans-serif;fill:#282828}.title{font-size:19px}.y{font-weight:bold}\
                     .grid{stroke:#e0e0e0}.axis{stroke:#282828}polyline{fill:none;stroke-width:2}";

/// Draws all panels into a file.
pub fn write(path: &Path, title: &str, x: &str, x_log: bool, panels: &[Panel]) -> Result<()> {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64, HEAD + rows as f64 * PANEL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, (width / 2.0, 28.0), "middle", "title", title)?;
    for (n, panel) in panels.iter().enumerate() {
        let corner = ((n % COLUMNS) as f64 * PANEL.0, HEAD + (n / COLUMNS) as f64 * PANEL.1);
        draw(&mut svg, corner, x, x_log, panel)?;
    }
    svg.push_str("</svg>\n");
    fs::write(path, svg)?;
    Ok(())
}

/// An axis: maps a value to its place from 0 to 1, and knows which values to mark.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Starts at zero and ends at a round number above the greatest value.
    fn linear(greatest: f64) -> Self {
        let rough = (greatest.max(1e-9) / 5.0).log10();
        let unit = 10f64.powf(rough.floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * unit).find(|s| s * 5.0 >= greatest);
        let step = step.unwrap_or(unit * 10.0);
        let count = (greatest / step).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|n| f64::from(n) * step).collect();
        Self { from: 0.0, to: count * step, log: false, ticks }
    }

    /// Marks powers of ten, or of two when it spans less than two decades.
    fn logarithmic(values: &[f64]) -> Self {
        let from = values.iter().copied().fold(f64::INFINITY, f64::min).max(1e-9);
        let to = values.iter().copied().fold(from, f64::max).max(from * 2.0);
        let base: f64 = if to / from < 100.0 { 2.0 } else { 10.0 };
        let first = if base < 10.0 { from } else { base.powf(from.log10().ceil()) };
        let ticks = (0..40).map(|n| first * base.powi(n)).take_while(|t| *t <= to * 1.001).collect();
        Self { from, to, log: true, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }
}

fn draw(svg: &mut String, corner: (f64, f64), x_name: &str, x_log: bool, panel: &Panel) -> Result<()> {
    let (left, top, right, bottom) = MARGINS;
    let (width, height) = (PANEL.0 - left - right, PANEL.1 - top - bottom);
    let (x0, y0) = (corner.0 + left, corner.1 + top + height);
    let values = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        panel.series.iter().flat_map(|s| s.points.iter().map(of)).collect()
    };
    let (xs, ys) = (values(|p| p.0), values(|p| p.1));
    let greatest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let x = if x_log { Axis::logarithmic(&xs) } else { Axis::linear(greatest(&xs)) };
    let y = Axis::linear(greatest(&ys));
    let at = |(px, py): (f64, f64)| (x0 + x.place(px) * width, y0 - y.place(py) * height);
    for tick in &y.ticks {
        let (_, py) = at((x.from, *tick));
        line(svg, "grid", (x0, py), (x0 + width, py))?;
        text(svg, (x0 - 8.0, py + 4.0), "end", "", &number(*tick))?;
    }
    for tick in &x.ticks {
        let (px, _) = at((*tick, 0.0));
        line(svg, "grid", (px, y0), (px, y0 - height))?;
        text(svg, (px, y0 + 18.0), "middle", "", &number(*tick))?;
    }
    line(svg, "axis", (x0, y0), (x0 + width, y0))?;
    line(svg, "axis", (x0, y0), (x0, y0 - height))?;
    let scale = if x_log { ", logarithmic" } else { "" };
    text(svg, (x0 + width / 2.0, y0 + 38.0), "middle", "", &format!("{x_name}{scale}"))?;
    text(svg, (corner.0 + 16.0, corner.1 + 20.0), "start", "y", &panel.y)?;
    for (n, series) in panel.series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let places: Vec<(f64, f64)> = series.points.iter().map(|point| at(*point)).collect();
        let path: Vec<String> = places.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
        writeln!(svg, "<polyline stroke=\"{colour}\" points=\"{}\"/>", path.join(" "))?;
        for (px, py) in places {
            writeln!(svg, "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"4\" fill=\"{colour}\"/>")?;
        }
        if !series.name.is_empty() {
            let (kx, ky) = (corner.0 + PANEL.0 - right - 80.0, corner.1 + 10.0 + 16.0 * n as f64);
            writeln!(svg, "<rect x=\"{kx}\" y=\"{ky}\" width=\"12\" height=\"10\" fill=\"{colour}\"/>")?;
            text(svg, (kx + 18.0, ky + 10.0), "start", "", &series.name)?;
        }
    }
    Ok(())
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) -> Result<()> {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")?;
    Ok(())
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, class: &str, words: &str) -> Result<()> {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let (x, y) = at;
    writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    )?;
    Ok(())
}

/// Formats a tick in short form: `1,000`, `1 M`.
fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 && v % 1e3 == 0.0 => format!("{},000", v / 1e3),
        v if v >= 1e3 => format!("{},{:03}", (v / 1e3).floor(), v % 1e3),
        v if v.fract() == 0.0 => v.to_string(),
        v => format!("{v:.2}").trim_end_matches('0').to_owned(),
    }
}

/// Formats a figure of a table with three significant digits.
pub fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
