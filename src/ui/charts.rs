//! Charts of a channel's counts over time as SVG: small ones without axes for the overview, larger
//! ones with axes, and the same numbers as a table.

use std::fmt::Write as _;

use actors::view::series::SeriesView;
use maud::{Markup, html};
use message::Timestamp;

use super::parts::{count, table, time};

/// The number of steps of a small chart.
const SPARK_STEPS: usize = 96;
/// Size of a small chart, in units of its own.
const SPARK: (f64, f64) = (192.0, 32.0);
/// Size of a large chart, in units of its own; about as many pixels on a phone.
const LARGE: (f64, f64) = (360.0, 170.0);
/// Room around the curve of a large chart: left, top, right, bottom.
const ROOM: (f64, f64, f64, f64) = (44.0, 10.0, 10.0, 24.0);
/// Marks on the time axis.
const MARKS: u32 = 4;

/// One count over time.
pub(super) struct Curve {
    name: &'static str,
    class: &'static str,
    unit: Unit,
    /// One value for each step; `None` where nothing was measured.
    values: Vec<Option<f64>>,
    /// The number beside the small chart.
    figure: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Messages,
    Seconds,
}

/// The counts of a channel in steps of equal length.
pub(super) struct Curves {
    from: Timestamp,
    step_ms: u64,
    curves: [Curve; 6],
}

impl Curves {
    /// Sums up the minutes of a channel into `steps` steps. `waiting` is the present number.
    pub(super) fn of(series: &SeriesView, steps: usize, waiting: u64) -> Self {
        let per = series.sent.len().div_ceil(steps.max(1)).max(1);
        let sums = |values: &[u64]| -> Vec<Option<f64>> {
            values.chunks(per).map(|chunk| Some(chunk.iter().sum::<u64>() as f64)).collect()
        };
        let summed = |name, class, values: &[u64]| Curve {
            name,
            class,
            unit: Unit::Messages,
            values: sums(values),
            figure: count(values.iter().sum()),
        };
        let most = |chunk: &[u64]| chunk.iter().max().map(|most| *most as f64);
        let mean = |chunk: &[Option<f64>]| {
            let known: Vec<f64> = chunk.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let newest = series.receipt_seconds.iter().flatten().next_back();
        let curves = [
            summed("Sent", "sent", &series.sent),
            summed("Delivered", "delivered", &series.delivered),
            summed("Failed", "failed", &series.failed),
            summed("Received", "received", &series.received),
            Curve {
                name: "Waiting",
                class: "waiting",
                unit: Unit::Messages,
                values: series.waiting.chunks(per).map(most).collect(),
                figure: count(waiting),
            },
            Curve {
                name: "Time to receipt",
                class: "receipt",
                unit: Unit::Seconds,
                values: series.receipt_seconds.chunks(per).map(mean).collect(),
                figure: newest.map_or_else(|| "none".to_owned(), |seconds| number(*seconds, Unit::Seconds)),
            },
        ];
        let step_ms = u64::from(series.step_seconds) * 1_000 * per as u64;
        Self { from: series.from, step_ms, curves }
    }

    /// Returns the small charts, as one link to the large ones.
    pub(super) fn sparks(series: &SeriesView, waiting: u64, href: &str, channel: &str) -> Markup {
        let all = Self::of(series, SPARK_STEPS, waiting);
        html! {
            a.sparks href=(href) {
                span.visually-hidden { "Charts of " (channel) ", last 24 hours:" }
                @for curve in &all.curves {
                    span.spark {
                        span.name { (curve.name) " " }
                        span.value { (curve.figure) " " }
                        (small(curve))
                    }
                }
            }
        }
    }

    /// Returns the large charts, and their numbers as a table, newest first.
    pub(super) fn large(&self) -> Markup {
        html! {
            div.charts {
                @for curve in &self.curves {
                    figure {
                        figcaption { b { (curve.name) } " " span.quiet { (self.unit_of(curve)) } }
                        (self.chart(curve))
                    }
                }
            }
            details #numbers {
                summary { "The same as a table" }
                (self.numbers())
            }
        }
    }

    fn unit_of(&self, curve: &Curve) -> String {
        let step = match self.step_ms / 60_000 {
            1 => "minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        match (curve.unit, curve.class) {
            (Unit::Seconds, _) => format!("seconds, mean of {step}"),
            (_, "waiting") => format!("messages, most within {step}"),
            _ => format!("messages in {step}"),
        }
    }

    fn numbers(&self) -> Markup {
        let names = self.curves.each_ref().map(|curve| curve.name);
        let [a, b, c, d, e, f] = names.map(|name| (name, "num"));
        let steps = self.curves.first().map_or(0, |curve| curve.values.len());
        let rows = (0..steps).rev().map(|step| {
            let [a, b, c, d, e, f] = self.curves.each_ref().map(|curve| {
                let value = curve.values.get(step).copied().flatten();
                html! { (value.map_or_else(|| "-".to_owned(), |value| number(value, curve.unit))) }
            });
            [time(self.from.plus_ms(self.step_ms * step as u64)), a, b, c, d, e, f]
        });
        table("Counts by time, newest first", [("From", ""), a, b, c, d, e, f], rows)
    }

    /// Returns a chart with axes.
    fn chart(&self, curve: &Curve) -> Markup {
        let (left, top, right, bottom) = ROOM;
        let (width, height) = (LARGE.0 - left - right, LARGE.1 - top - bottom);
        let top_value = ceiling(most(&curve.values), curve.unit);
        let line = path(&curve.values, top_value, (width, height));
        let span_ms = self.step_ms * (curve.values.len() as u64).saturating_sub(1);
        let said = format!(
            "{}, {}: now {}, at most {}",
            curve.name,
            self.unit_of(curve),
            curve.figure,
            number(most(&curve.values), curve.unit)
        );
        html! {
            svg.chart.(curve.class) viewBox={"0 0 " (LARGE.0) " " (LARGE.1)} role="img" aria-label=(said) {
                g transform={"translate(" (left) " " (top) ")"} {
                    @for (share, value) in [(0.0, top_value), (0.5, top_value / 2.0), (1.0, 0.0)] {
                        path.rule d=(format!("M0 {:.1}h{width:.1}", height * share)) {}
                        text x="-6" y=(format!("{:.1}", height * share + 4.0)) text-anchor="end" {
                            (compact(value))
                        }
                    }
                    @for mark in 0..=MARKS {
                        @let at = self.from.plus_ms(span_ms / u64::from(MARKS) * u64::from(mark));
                        @let anchor = match mark { 0 => "start", MARKS => "end", _ => "middle" };
                        text.tick x=(format!("{:.1}", width / f64::from(MARKS) * f64::from(mark)))
                            y=(format!("{:.1}", height + 17.0)) text-anchor=(anchor) data-ms=(at.0) {
                            (clock(at))
                        }
                    }
                    path.curve d=(line) {}
                }
            }
        }
    }
}

fn small(curve: &Curve) -> Markup {
    let line = path(&curve.values, most(&curve.values), (SPARK.0, SPARK.1 - 4.0));
    html! {
        svg.line.(curve.class) viewBox={"0 0 " (SPARK.0) " " (SPARK.1)} preserveAspectRatio="none" aria-hidden="true" {
            g transform="translate(0 2)" { path.curve d=(line) vector-effect="non-scaling-stroke" {} }
        }
    }
}

fn most(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

/// Returns the line through the values; a gap where a value is missing, a dash where a value stands
/// alone.
fn path(values: &[Option<f64>], top: f64, (width, height): (f64, f64)) -> String {
    let last = values.len().saturating_sub(1).max(1) as f64;
    let (mut line, mut is_down) = (String::new(), false);
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_down = false;
            continue;
        };
        let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        let (x, y) = (at as f64 / last * width, height - share * height);
        let to = if is_down { "L" } else { "M" };
        // Writing to a text cannot fail.
        let _ = write!(line, "{to}{x:.1} {y:.1}{}", if is_down { "" } else { "m-1.5 0h3" });
        is_down = true;
    }
    line
}

/// Returns a round number that is at least this large, for the end of an axis.
fn ceiling(value: f64, unit: Unit) -> f64 {
    let least = if unit == Unit::Messages { 2.0 } else { 0.01 };
    let value = value.max(least);
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().map(|step| step * power).find(|step| *step >= value * 0.999_999);
    fits.unwrap_or(10.0 * power)
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Messages => count(value as u64),
        Unit::Seconds if value < 10.0 => format!("{value:.2} s"),
        Unit::Seconds => format!("{value:.0} s"),
    }
}

/// Returns a number in few characters, for an axis.
fn compact(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value >= 1e6 => format!("{} M", trimmed(value / 1e6)),
        value if value >= 1e4 => format!("{} k", trimmed(value / 1e3)),
        value => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns the time of day in UTC; the script shows it in the reader's time zone.
fn clock(at: Timestamp) -> String {
    let minutes = at.0 / 60_000 % 1_440;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_follows_the_values_and_leaves_gaps() {
        let values = [Some(0.0), Some(5.0), None, Some(10.0)];
        assert_eq!(path(&values, 10.0, (30.0, 20.0)), "M0.0 20.0m-1.5 0h3L10.0 10.0M30.0 0.0m-1.5 0h3");
        assert_eq!(path(&[], 0.0, (30.0, 20.0)), "");
        assert_eq!(path(&[Some(0.0)], 0.0, (30.0, 20.0)), "M0.0 20.0m-1.5 0h3");
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (most, end) in [(0.0, 2.0), (2.0, 2.0), (3.0, 4.0), (97.0, 100.0), (1_201.0, 2_000.0)] {
            assert_eq!(ceiling(most, Unit::Messages), end, "{most}");
        }
        let labels = [0.0, 0.02, 1.5, 250.0, 40_000.0, 2.5e6].map(compact);
        assert_eq!(labels, ["0", "0.02", "1.5", "250", "40 k", "2.5 M"]);
        assert_eq!(clock(Timestamp(86_400_000 + 3_660_000)), "01:01");
    }

    #[test]
    fn minutes_are_summed_up() {
        let mut series = SeriesView {
            from: Timestamp(0),
            step_seconds: 60,
            sent: vec![1; 1_440],
            delivered: vec![0; 1_440],
            failed: vec![0; 1_440],
            received: vec![0; 1_440],
            waiting: vec![0; 1_440],
            receipt_seconds: vec![None; 1_440],
        };
        if let Some(slot) = series.waiting.get_mut(20) {
            *slot = 7;
        }
        if let Some(slot) = series.receipt_seconds.get_mut(20) {
            *slot = Some(1.5);
        }
        let all = Curves::of(&series, 96, 3);
        let at = |curve: usize, step: usize| all.curves.get(curve).and_then(|c| c.values.get(step).copied());
        assert_eq!(
            (at(0, 95), at(4, 1), at(5, 1), at(5, 2)),
            (Some(Some(15.0)), Some(Some(7.0)), Some(Some(1.5)), Some(None))
        );
        assert_eq!(all.step_ms, 900_000);
        assert_eq!(
            all.curves.each_ref().map(|curve| curve.figure.as_str()),
            ["1\u{202f}440", "0", "0", "0", "3", "1.50 s"]
        );
    }
}
