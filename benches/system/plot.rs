//! Plots as PNG files: panels in two columns, lines with points, axes with names, ticks at round numbers. The letters
//! are those of a bitmap font in a crate: no font of the machine is needed, and none is shipped.

use std::{convert::Infallible, fs::File, io::BufWriter, path::Path};

use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_8X13, ascii::FONT_8X13_BOLD, ascii::FONT_10X20},
    pixelcolor::Rgb888,
    prelude::*,
    primitives::{Circle, Line, PrimitiveStyle, Rectangle},
    text::{Alignment, Text},
};

use crate::Result;

/// One figure against what is varied.
pub struct Panel {
    pub y: &'static str,
    pub series: Vec<Series>,
}

pub struct Series {
    /// Empty when there is only one.
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const PANEL: Size = Size::new(560, 340);
const HEAD: u32 = 40;
/// From a panel's edges to its axes: left, top, right, bottom.
const MARGINS: (i32, i32, i32, i32) = (78, 34, 30, 52);
const COLUMNS: usize = 2;
const INK: Rgb888 = Rgb888::new(40, 40, 40);
const GRID: Rgb888 = Rgb888::new(224, 224, 224);
const COLOURS: [Rgb888; 3] = [Rgb888::new(31, 97, 170), Rgb888::new(200, 84, 26), Rgb888::new(46, 130, 70)];

struct Image {
    size: Size,
    bytes: Vec<u8>,
}

impl OriginDimensions for Image {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Image {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else { continue };
            if x < self.size.width && y < self.size.height {
                let from = ((y * self.size.width + x) * 3) as usize;
                self.bytes[from..from + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

/// Draws all panels, and writes the file.
pub fn write(path: &Path, title: &str, x: &str, x_log: bool, panels: &[Panel]) -> Result<()> {
    let rows = panels.len().div_ceil(COLUMNS) as u32;
    let size = Size::new(PANEL.width * COLUMNS as u32, HEAD + rows * PANEL.height);
    let mut image = Image { size, bytes: vec![255; (size.width * size.height * 3) as usize] };
    let style = MonoTextStyle::new(&FONT_10X20, INK);
    let middle = Point::new(size.width as i32 / 2, 28);
    Text::with_alignment(title, middle, style, Alignment::Center).draw(&mut image)?;
    for (n, panel) in panels.iter().enumerate() {
        let corner = Point::new(
            (n % COLUMNS) as i32 * PANEL.width as i32,
            HEAD as i32 + (n / COLUMNS) as i32 * PANEL.height as i32,
        );
        draw(&mut image, corner, x, x_log, panel)?;
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&image.bytes)?;
    Ok(())
}

/// From a value to its place on an axis, from 0 to 1, and the values that are marked.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Begins at nought, and ends at a round number above the greatest value.
    fn linear(greatest: f64) -> Self {
        let rough = (greatest.max(1e-9) / 5.0).log10();
        let unit = 10f64.powf(rough.floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|s| s * unit).find(|s| s * 5.0 >= greatest);
        let step = step.unwrap_or(unit * 10.0);
        let count = (greatest / step).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|n| f64::from(n) * step).collect();
        Self { from: 0.0, to: count * step, log: false, ticks }
    }

    /// Marked at powers of ten, or of two where it spans less than two tens.
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

fn draw(image: &mut Image, corner: Point, x_name: &str, x_log: bool, panel: &Panel) -> Result<()> {
    let (left, top, right, bottom) = MARGINS;
    let (width, height) = (PANEL.width as i32 - left - right, PANEL.height as i32 - top - bottom);
    let origin = corner + Point::new(left, top + height);
    let all: Vec<(f64, f64)> = panel.series.iter().flat_map(|s| s.points.iter().copied()).collect();
    let greatest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let xs: Vec<f64> = all.iter().map(|p| p.0).collect();
    let ys: Vec<f64> = all.iter().map(|p| p.1).collect();
    let x = if x_log { Axis::logarithmic(&xs) } else { Axis::linear(greatest(&xs)) };
    let y = Axis::linear(greatest(&ys));
    let at = |(px, py): (f64, f64)| {
        origin
            + Point::new((x.place(px) * f64::from(width)) as i32, -(y.place(py) * f64::from(height)) as i32)
    };
    let (small, bold) = (MonoTextStyle::new(&FONT_8X13, INK), MonoTextStyle::new(&FONT_8X13_BOLD, INK));
    for tick in &y.ticks {
        let from = at((x.from, *tick));
        Line::new(from, from + Point::new(width, 0))
            .into_styled(PrimitiveStyle::with_stroke(GRID, 1))
            .draw(image)?;
        let place = from + Point::new(-8, 4);
        Text::with_alignment(&number(*tick), place, small, Alignment::Right).draw(image)?;
    }
    for tick in &x.ticks {
        let from = at((*tick, 0.0));
        Line::new(from, from - Point::new(0, height))
            .into_styled(PrimitiveStyle::with_stroke(GRID, 1))
            .draw(image)?;
        let place = from + Point::new(0, 18);
        Text::with_alignment(&number(*tick), place, small, Alignment::Center).draw(image)?;
    }
    let frame = PrimitiveStyle::with_stroke(INK, 1);
    Line::new(origin, origin + Point::new(width, 0)).into_styled(frame).draw(image)?;
    Line::new(origin, origin - Point::new(0, height)).into_styled(frame).draw(image)?;
    let scale = if x_log { ", logarithmic" } else { "" };
    let below = origin + Point::new(width / 2, 38);
    Text::with_alignment(&format!("{x_name}{scale}"), below, small, Alignment::Center).draw(image)?;
    Text::new(panel.y, corner + Point::new(16, 20), bold).draw(image)?;
    for (n, series) in panel.series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let stroke = PrimitiveStyle::with_stroke(colour, 2);
        for pair in series.points.windows(2) {
            Line::new(at(pair[0]), at(pair[1])).into_styled(stroke).draw(image)?;
        }
        for point in &series.points {
            Circle::with_center(at(*point), 9).into_styled(PrimitiveStyle::with_fill(colour)).draw(image)?;
        }
        if !series.name.is_empty() {
            let place = corner + Point::new(PANEL.width as i32 - right - 80, 10 + 16 * n as i32);
            let key = Rectangle::new(place, Size::new(12, 10));
            key.into_styled(PrimitiveStyle::with_fill(colour)).draw(image)?;
            Text::new(series.name, place + Point::new(18, 10), small).draw(image)?;
        }
    }
    Ok(())
}

/// A tick, short: `1,000` and `1 M`.
fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 && v % 1e3 == 0.0 => format!("{},000", v / 1e3),
        v if v >= 1e3 => format!("{},{:03}", (v / 1e3).floor(), v % 1e3),
        v if v.fract() == 0.0 => v.to_string(),
        v => format!("{v:.2}").trim_end_matches('0').to_owned(),
    }
}

/// A figure of the table, with three digits that mean something.
pub fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
