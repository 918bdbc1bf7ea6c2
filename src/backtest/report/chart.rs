//! Draws one stretch of a series: value and band above, alerts and labels between, the score below.
//!
//! Lines are SVG, stretched to the width that there is; names on axes are HTML, so that they stay readable when
//! a phone squeezes the lines.

use std::fmt::Write;

use super::alerts::{ANOMALY, Span};
use super::axis::{Scale, Tick, Time};
use super::columns::{Column, columns};
use super::numbers::{exact, short};
use super::page::escape;
use super::{LabelledWindow, Point};
use crate::backtest::Moment;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chart<'a> {
    /// All samples of the series.
    pub(super) points: &'a [Point],
    pub(super) spans: &'a [Span],
    pub(super) windows: &'a [LabelledWindow],
    /// The stretch that is drawn.
    pub(super) time: Time,
    /// Samples farther apart than this are not joined by a line.
    pub(super) gap_ms: i64,
    /// Columns of pixels.
    pub(super) width: usize,
}

/// Spans of alerts that are drawn as one.
struct Bar {
    /// Left end and width, in columns.
    place: (f64, f64),
    spans: usize,
    /// The sample with the highest score, by index.
    worst: usize,
}

/// Units of height that an SVG has; its real height is the style sheet's.
pub(super) const HEIGHT: f64 = 100.0;
/// Names nearer to the top than this share of the height are left out.
const TOP: f64 = 0.04;
/// Alerts and labels are at least so many columns wide, or nobody would see them.
const LEAST: f64 = 2.0;

// === impl Chart ===

impl Chart<'_> {
    /// The chart as HTML.
    pub(super) fn draw(&self) -> String {
        let columns = columns(self.points, self.time, self.width);
        let mut out = String::from("<div class=\"chart\">");
        self.draw_values(&mut out, &columns);
        self.draw_strips(&mut out);
        self.draw_scores(&mut out, &columns);
        self.draw_times(&mut out);
        out.push_str("</div>\n");
        out
    }

    /// The names below the axis of time.
    pub(super) fn draw_times(&self, out: &mut String) {
        out.push_str("<div class=\"times\">");
        for Tick { at, name } in &self.time.ticks() {
            let _infallible = write!(out, "<span style=\"left:{:.2}%\">{name}</span>", at * 100.0);
        }
        out.push_str("</div>");
    }

    fn draw_values(&self, out: &mut String, columns: &[Column]) {
        let scale = Scale::around(columns.iter().flat_map(|column| column.value));
        self.open_plot(out, "values", &scale.ticks());
        self.draw_windows(out);
        let runs = || self.runs(columns);
        self.draw_areas(out, "band", scale, runs(), |column| column.band);
        self.draw_areas(out, "expected", scale, runs(), |column| column.expected);
        self.draw_areas(out, "value", scale, runs(), |column| Some(column.value));
        draw_alerts(out, columns, |column| column.value.map(|value| HEIGHT * scale.top(value)));
        out.push_str("</svg></div>");
    }

    fn draw_scores(&self, out: &mut String, columns: &[Column]) {
        let highest = columns.iter().map(|column| column.score).fold(0.0, f64::max);
        let scale = Scale::of_scores(highest);
        self.open_plot(out, "scores", &scale.ticks());
        self.draw_windows(out);
        self.draw_areas(out, "score", scale, self.runs(columns), |column| Some([0.0, column.score]));
        let one = HEIGHT * scale.top(ANOMALY);
        let _infallible = write!(out, "<path class=\"one\" d=\"M0 {one:.2}H{}\"/>", self.width);
        draw_alerts(out, columns, |column| [one, HEIGHT * scale.top(column.score)]);
        out.push_str("</svg></div>");
    }

    /// Two rows of bars: when it was anomalous, and when something is known to have been wrong.
    fn draw_strips(&self, out: &mut String) {
        self.open_strip(out, "alerts");
        for bar in self.bars() {
            let title = self.title(&bar);
            draw_bar(out, "alert", bar.place, &title);
        }
        out.push_str("</svg></div>");
        if self.windows.is_empty() {
            return;
        }
        self.open_strip(out, "labels");
        for window in self.windows {
            let (first, last) = (window.start_ms, window.end_ms);
            let title = format!("{} to {} {}", Moment(first), Moment(last), window.kind);
            if let Some(place) = self.place((first, last)) {
                draw_bar(out, "label", place, title.trim_end());
            }
        }
        out.push_str("</svg></div>");
    }

    /// Begins a plot, with its names and its grid.
    pub(super) fn open_plot(&self, out: &mut String, class: &str, ticks: &[Tick]) {
        let _infallible = write!(out, "<div class=\"plot {class}\">");
        // A name at the very top would stand in what is above.
        for Tick { at, name } in ticks.iter().filter(|tick| tick.at > TOP) {
            let _infallible =
                write!(out, "<span class=\"tick\" style=\"top:{:.2}%\">{name}</span>", at * 100.0);
        }
        self.open_svg(out, HEIGHT);
        for tick in ticks {
            let y = HEIGHT * tick.at;
            let _infallible = write!(out, "<path class=\"grid\" d=\"M0 {y:.2}H{}\"/>", self.width);
        }
        for tick in self.time.ticks() {
            let x = self.width as f64 * tick.at;
            let _infallible = write!(out, "<path class=\"grid\" d=\"M{x:.1} 0V{HEIGHT}\"/>");
        }
    }

    fn open_strip(&self, out: &mut String, name: &str) {
        let _infallible =
            write!(out, "<div class=\"plot strip\"><span class=\"tick\" style=\"top:50%\">{name}</span>");
        self.open_svg(out, 1.0);
    }

    fn open_svg(&self, out: &mut String, height: f64) {
        let _infallible =
            write!(out, "<svg viewBox=\"0 0 {} {height}\" preserveAspectRatio=\"none\">", self.width);
    }

    fn draw_windows(&self, out: &mut String) {
        for window in self.windows {
            if let Some((x, width)) = self.place((window.start_ms, window.end_ms)) {
                let _infallible = write!(
                    out,
                    "<rect class=\"window\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\"/>"
                );
            }
        }
    }

    /// The spans as they are drawn: those that would cover one another are one bar.
    fn bars(&self) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for span in self.spans {
            let ends = (self.points[span.first].at_ms, self.points[span.last].at_ms);
            let Some((left, width)) = self.place(ends) else { continue };
            match bars.last_mut() {
                Some(bar) if left <= bar.place.0 + bar.place.1 => {
                    bar.place.1 = bar.place.1.max(left + width - bar.place.0);
                    bar.spans += 1;
                    if self.points[span.worst].said.score > self.points[bar.worst].said.score {
                        bar.worst = span.worst;
                    }
                }
                _ => bars.push(Bar { place: (left, width), spans: 1, worst: span.worst }),
            }
        }
        bars
    }

    fn title(&self, bar: &Bar) -> String {
        let Point { at_ms, said } = &self.points[bar.worst];
        let many =
            if bar.spans == 1 { String::new() } else { format!("{} anomalies, the worst: ", bar.spans) };
        format!("{many}score {} at {}, value {}", short(said.score), Moment(*at_ms), exact(said.judged))
    }

    /// Where a stretch of time lies, and how wide it is drawn; nothing where it lies outside.
    fn place(&self, (first_ms, last_ms): (i64, i64)) -> Option<(f64, f64)> {
        if last_ms < self.time.from_ms || first_ms > self.time.to_ms {
            return None;
        }
        let width = self.width as f64;
        let x = |at_ms: i64| self.time.left(at_ms).clamp(0.0, 1.0) * width;
        let (left, right) = (x(first_ms), x(last_ms));
        let wide = (right - left).max(LEAST);
        Some((left.min(width - wide), wide))
    }

    /// The columns between one gap and the next.
    pub(super) fn runs<'c>(&self, columns: &'c [Column]) -> impl Iterator<Item = &'c [Column]> {
        let gap_ms = self.gap_ms;
        columns.chunk_by(move |a, b| b.first_ms - a.last_ms <= gap_ms)
    }

    /// Draws for each run what lies between the two numbers that `of` makes of a column.
    pub(super) fn draw_areas<'c>(
        &self,
        out: &mut String,
        class: &str,
        scale: Scale,
        runs: impl Iterator<Item = &'c [Column]>,
        of: impl Fn(&Column) -> Option<[f64; 2]>,
    ) {
        let mut path = String::new();
        for run in runs {
            for known in run.chunk_by(|a, b| of(a).is_some() == of(b).is_some()) {
                let ends: Vec<_> = known.iter().filter_map(|c| of(c).map(|ends| (c.x, ends))).collect();
                write_area(&mut path, scale, &ends);
            }
        }
        let _infallible = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

/// Draws a bar of a strip, which tells its title to who points at it.
fn draw_bar(out: &mut String, class: &str, (x, width): (f64, f64), title: &str) {
    let title = escape(title);
    let _infallible = write!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"1\"><title>{title}</title></rect>"
    );
}

/// Draws a line in each column that has an anomaly, between the heights that `ends` gives.
fn draw_alerts(out: &mut String, columns: &[Column], ends: impl Fn(&Column) -> [f64; 2]) {
    let mut path = String::new();
    for column in columns.iter().filter(|column| column.score >= ANOMALY) {
        let [from, to] = ends(column);
        let _infallible = write!(path, "M{:.1} {from:.1}V{to:.1}", column.x);
    }
    let _infallible = write!(out, "<path class=\"alert\" d=\"{path}\"/>");
}

/// The outline of an area: along the high ends and back along the low ones.
fn write_area(path: &mut String, scale: Scale, ends: &[(f64, [f64; 2])]) {
    let there = ends.iter().map(|(x, [_, high])| (*x, *high));
    let back = ends.iter().rev().map(|(x, [low, _])| (*x, *low));
    let mut letter = 'M';
    for (x, number) in there.chain(back) {
        let _infallible = write!(path, "{letter}{x:.1} {:.1}", HEIGHT * scale.top(number));
        letter = 'L';
    }
    if let Some((first, _)) = ends.first().filter(|_| ends.len() == 1) {
        // A sample alone is a dot: a line of no length with round ends.
        let _infallible = write!(path, "L{:.1} {:.2}", first + 0.01, HEIGHT * scale.top(ends[0].1[0]));
    }
    if !ends.is_empty() {
        path.push('Z');
    }
}
