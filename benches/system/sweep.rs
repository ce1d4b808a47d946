//! Sweeps: one parameter varies, the others are fixed. Each sweep writes a table (Markdown and CSV)
//! and a plot into `docs/sweeps`, and ends within minutes.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use crate::{
    Plan, Result,
    plot::{self, Panel, Series},
    table::Row,
    work::{self, Work},
};

pub const NAMES: [&str; 6] = ["load", "channels", "binds", "sessions", "length", "receipts"];
/// The folder of the results, in the repository.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sweeps");
/// The number of messages of a run at full speed; the rate and the number in a paced run.
const MESSAGES: u64 = 60_000;
const PACED_PER_S: f64 = 1_000.0;
const PACED_MESSAGES: u64 = 15_000;

/// The column that distinguishes the lines of a sweep, where there are several.
const LINE: &str = "alphabet";

/// One value of the varied parameter.
struct Point {
    x: f64,
    /// The name of the line this point belongs to.
    line: &'static str,
    work: Work,
}

struct Sweep {
    name: &'static str,
    title: &'static str,
    /// The varied parameter, and whether its axis is logarithmic.
    x: &'static str,
    x_log: bool,
    points: Vec<Point>,
    /// The figures that are drawn.
    figures: &'static [Figure],
}

/// A figure: the name of its axis, and how to read it from a run.
type Figure = (&'static str, fn(&Row, &Work) -> f64);

const CPU: Figure = ("processor time, us a message", |row, _| row.cpu_us);
const CPU_PART: Figure = ("processor time, us a part", |row, work| row.cpu_us / work.parts as f64);
const E2E: Figure = ("called back, messages a second", |row, _| row.e2e_per_s);
const SUBMITTED: Figure = ("submitted, parts a second", |row, work| row.submitted_per_s * work.parts as f64);
const P50: Figure = ("acceptance p50, ms", |row, _| ms(row.p50));
const P99: Figure = ("acceptance p99, ms", |row, _| ms(row.p99));
const E2E_P99: Figure = ("request to callback p99, ms", |row, _| ms(row.e2e_p99));
const RSS: Figure = ("memory, MB", |row, _| row.rss_bytes as f64 / 1e6);
const DISK: Figure = ("disk, bytes a message", |row, _| row.disk_bytes);

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Runs the sweeps of the plan, or all.
pub fn run(plan: &Plan) -> Result<()> {
    for name in NAMES {
        if !plan.sweeps.is_empty() && !plan.sweeps.iter().any(|wanted| wanted == name) {
            continue;
        }
        let sweep = of(name, plan);
        let mut rows = Vec::new();
        for point in &sweep.points {
            let row = work::run(plan, &point.work, name)?;
            let (x, line) = (point.x, point.line);
            eprintln!(
                "{name} {x} {line}: {:.0} e2e/s, {:.1} us, {:.2} ms",
                row.e2e_per_s,
                row.cpu_us,
                ms(row.p50)
            );
            rows.push(row);
        }
        write(&sweep, &rows)?;
    }
    Ok(())
}

fn of(name: &'static str, plan: &Plan) -> Sweep {
    let full = Work { messages: MESSAGES, ..Work::of(plan) };
    let paced = Work { messages: PACED_MESSAGES, pace: Some(PACED_PER_S), ..full.clone() };
    let points = |values: &[u64], work: &dyn Fn(u64) -> Work| {
        values.iter().map(|v| Point { x: *v as f64, line: "", work: work(*v) }).collect()
    };
    match name {
        "load" => Sweep {
            name,
            title: "Single requests at a steady rate",
            x: "requests a second",
            x_log: true,
            points: points(&[250, 500, 1_000, 2_000, 4_000, 8_000], &|rate| Work {
                messages: rate * 8,
                pace: Some(rate as f64),
                ..full.clone()
            }),
            figures: &[CPU, P50, P99, E2E_P99],
        },
        "channels" => Sweep {
            name,
            title: "SMPP channels, 1,000 messages a second in all",
            x: "channels, one bind each",
            x_log: true,
            points: points(&[1, 3, 10, 30, 100, 300, 1_000], &|channels| Work { channels, ..paced.clone() }),
            figures: &[CPU, P99, E2E_P99, RSS],
        },
        "binds" => Sweep {
            name,
            title: "Binds of one SMPP channel, as fast as it goes",
            x: "binds",
            x_log: true,
            points: points(&[1, 2, 4, 8, 16, 32, 64], &|binds| Work { binds, ..full.clone() }),
            figures: &[CPU, E2E, P99, RSS],
        },
        "sessions" => Sweep {
            name,
            title: "Customers, each with an open session; 100 messages a request",
            x: "customers",
            x_log: true,
            points: points(&[1_000, 10_000, 100_000, 300_000, 1_000_000], &|customers| Work {
                customers,
                batch: plan.batch,
                messages: customers.max(100_000),
                ..full.clone()
            }),
            figures: &[CPU, E2E, DISK, RSS],
        },
        "receipts" => Sweep {
            name,
            title: "Share of messages whose receipt comes",
            x: "receipts, %",
            x_log: false,
            points: points(&[0, 25, 50, 75, 100], &|receipts_percent| Work {
                receipts_percent,
                ..full.clone()
            }),
            figures: &[CPU, SUBMITTED, P99, DISK],
        },
        _ => Sweep {
            name,
            title: "Length of a message, in parts",
            x: "parts",
            x_log: false,
            points: lengths(&full),
            figures: &[CPU, CPU_PART, SUBMITTED, DISK],
        },
    }
}

/// Returns messages of one to ten parts, in either alphabet.
fn lengths(full: &Work) -> Vec<Point> {
    let alphabets = [("GSM-7", "a", 160, 153), ("UCS-2", "ж", 70, 67)];
    let of = |(line, letter, whole, piece): (&'static str, &str, u64, u64)| {
        [1, 2, 3, 5, 7, 10].map(|parts| {
            let characters = if parts == 1 { whole } else { piece * parts };
            let text = letter.repeat(characters as usize).into();
            let work = Work { text, parts, messages: full.messages / parts.max(2), ..full.clone() };
            Point { x: parts as f64, line, work }
        })
    };
    alphabets.into_iter().flat_map(of).collect()
}

fn write(sweep: &Sweep, rows: &[Row]) -> Result<()> {
    fs::create_dir_all(FOLDER)?;
    let at = |ending: &str| Path::new(FOLDER).join(format!("{}.{ending}", sweep.name));
    let runs: Vec<(&Point, &Row)> = sweep.points.iter().zip(rows).collect();
    let (mut csv, mut table) = (String::new(), String::new());
    let names = [sweep.x, LINE].into_iter().chain(sweep.figures.iter().map(|(name, _)| *name));
    let names: Vec<&str> = names.filter(|name| *name != LINE || lines(sweep).len() > 1).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    writeln!(csv, "{}", quoted.join(","))?;
    writeln!(table, "| {} |\n|{}", names.join(" | "), "---|".repeat(names.len()))?;
    for (point, row) in &runs {
        let mut cells = vec![point.x.to_string()];
        cells.extend((!point.line.is_empty()).then(|| point.line.to_owned()));
        cells.extend(sweep.figures.iter().map(|(_, of)| plot::figure(of(row, &point.work))));
        writeln!(csv, "{}", cells.join(","))?;
        writeln!(table, "| {} |", cells.join(" | "))?;
    }
    let Sweep { name, title, .. } = sweep;
    let page = format!(
        "# {title}\n\n`cargo bench --bench system -- sweep {name}`\n\n![{title}]({name}.svg)\n\n{table}"
    );
    fs::write(at("csv"), csv)?;
    fs::write(at("md"), page)?;
    draw(sweep)
}

/// Draws the plots anew from the tables in `docs/sweeps`, without measuring.
pub fn redraw(plan: &Plan) -> Result<()> {
    NAMES.iter().try_for_each(|name| draw(&of(name, plan)))
}

/// Draws a sweep's table as a plot.
fn draw(sweep: &Sweep) -> Result<()> {
    let at = |ending: &str| Path::new(FOLDER).join(format!("{}.{ending}", sweep.name));
    let csv = fs::read_to_string(at("csv"))?;
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let named = lines(sweep);
    let first_figure = if named.len() > 1 { 2 } else { 1 };
    let value = |row: &[&str], column: usize| -> Result<f64> {
        Ok(row.get(column).ok_or("a line of the table is too short")?.parse()?)
    };
    let mut panels = Vec::new();
    for (at, (y, _)) in sweep.figures.iter().enumerate() {
        let mut series = Vec::new();
        for name in &named {
            let mine = rows.iter().filter(|row| named.len() == 1 || row.get(1) == Some(name));
            let points = mine.map(|row| Ok((value(row, 0)?, value(row, first_figure + at)?)));
            series.push(Series { name: (*name).into(), points: points.collect::<Result<_>>()? });
        }
        panels.push(Panel { y: (*y).into(), series });
    }
    plot::write(&at("svg"), sweep.title, sweep.x, sweep.x_log, &panels)
}

fn lines(sweep: &Sweep) -> Vec<&'static str> {
    let mut lines: Vec<&str> = sweep.points.iter().map(|point| point.line).collect();
    lines.dedup();
    lines
}
