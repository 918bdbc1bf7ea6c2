//! The page of forecasts: for each series fans at some moments, and for each horizon what was forecast beside what came.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::axis::{Scale, Time};
use super::chart::{Chart, HEIGHT};
use super::columns::columns;
use super::numbers::short;
use super::page::{STYLE, escape};
use super::{Point, Said};
use crate::backtest::hindsight::{Foreseen, Hindsight};
use crate::detect::{Foretold, Horizon};

/// All that was forecast.
#[derive(Clone, Debug, Default)]
pub struct AheadPage {
    /// What the page is about.
    pub title: String,
    /// How it was forecast, in a few words.
    pub judge: String,
    /// The series, in any order.
    pub records: Vec<Foreseen>,
}

/// Series that are drawn.
const MOST_SERIES: usize = 50;
/// Moments at which a fan is drawn, the last of them at the end.
const FANS: usize = 6;
/// Columns of a chart.
const WIDTH: usize = 1_160;
/// Lines join samples that are no more than so many steps apart.
const GAP: i64 = 3;
/// How far beyond the values a chart reaches for what was forecast, as a share of their range: bands are endless at first.
const BEYOND: f64 = 0.75;

const KEY: &str = "<p class=\"key\"><span><i style=\"background:var(--value)\"></i>value, lowest to highest in each \
column</span><span><i style=\"background:var(--expected)\"></i>forecast</span><span><i \
style=\"background:var(--band)\"></i>its band</span><span>All times are UTC. MASE is the mean absolute error over that of a \
forecast that repeats the day, or the week: below 1 is better than that.</span></p>";

// === impl AheadPage ===

impl AheadPage {
    /// Writes the page.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses to take.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let title = escape(&self.title);
        writeln!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}</p>",
            escape(&self.judge)
        )?;
        let drawn: Vec<_> = self.records.iter().filter(|record| record.samples.len() > 1).collect();
        if drawn.is_empty() {
            writeln!(out, "<p>There is no series to draw.</p>")?;
        }
        for record in drawn.iter().take(MOST_SERIES) {
            if drawn.len() > 1 {
                writeln!(out, "<h2>{}</h2>", escape(&record.series.to_string()))?;
            }
            write_record(out, record)?;
        }
        if drawn.len() > MOST_SERIES {
            writeln!(out, "<p>{} series more are not drawn.</p>", drawn.len() - MOST_SERIES)?;
        }
        writeln!(out, "{KEY}\n</body></html>")
    }
}

fn write_record(out: &mut dyn Write, record: &Foreseen) -> io::Result<()> {
    let results = record.hindsight();
    write_results(out, &results)?;
    let (first_ms, last_ms) = (record.samples[0].0, record.samples[record.samples.len() - 1].0);
    let sheet = Sheet::of(record, Time { from_ms: first_ms, to_ms: last_ms });
    let ahead_ms = record.foretold.iter().map(|told| told.horizon.millis()).max().unwrap_or(0);
    // What lies ahead of the last sample takes no more than half of the chart.
    let whole = Time { from_ms: first_ms, to_ms: last_ms + ahead_ms.min(last_ms - first_ms) };
    out.write_all(sheet.over(whole).fans(&fans(record)).as_bytes())?;
    for horizon in horizons(record) {
        writeln!(out, "<h3>As it was forecast {horizon} before</h3>")?;
        out.write_all(sheet.of_horizon(record, horizon).as_bytes())?;
    }
    Ok(())
}

fn write_results(out: &mut dyn Write, results: &[Hindsight]) -> io::Result<()> {
    writeln!(
        out,
        "<div class=\"wide\"><table><tr><th>horizon<th>forecasts<th>held by the band<th>mean error<th>mean width<th>MASE, \
         day<th>MASE, week</tr>"
    )?;
    for told in results {
        let mase = |beside: &Option<crate::backtest::hindsight::Beside>| {
            beside.and_then(|beside| beside.mase).map_or_else(String::new, |mase| format!("{mase:.2}"))
        };
        writeln!(
            out,
            "<tr><td>{}<td>{}<td>{:.1} %<td>{}<td>{}<td>{}<td>{}</tr>",
            told.horizon,
            told.judged,
            told.coverage * 100.0,
            short(told.error),
            short(told.width),
            mase(&told.day),
            mase(&told.week)
        )?;
    }
    writeln!(out, "</table></div>")
}

fn horizons(record: &Foreseen) -> Vec<Horizon> {
    let mut horizons: Vec<_> = record.foretold.iter().map(|told| told.horizon).collect();
    horizons.sort_unstable();
    horizons.dedup();
    horizons
}

/// What was forecast at some moments, each moment's forecasts by their horizon: the last of each, and those before it in
/// even distances.
fn fans(record: &Foreseen) -> Vec<(i64, Vec<Foretold>)> {
    let (Some(first), Some(last)) = (record.foretold.first(), record.foretold.last()) else {
        return Vec::new();
    };
    let every_ms = ((last.made_ms - first.made_ms) / FANS as i64).max(1);
    let moments = (1..=FANS as i64).map(|at| first.made_ms + at * every_ms);
    let horizons = horizons(record);
    let fan = |moment_ms: i64| {
        let newest = |horizon: &Horizon| {
            let before = |told: &&Foretold| told.horizon == *horizon && told.made_ms <= moment_ms;
            record.foretold.iter().rev().find(before).copied()
        };
        (moment_ms, horizons.iter().filter_map(newest).collect::<Vec<_>>())
    };
    moments.map(fan).filter(|(_, told)| !told.is_empty()).collect()
}

/// A series that is drawn.
struct Sheet {
    points: Vec<Point>,
    scale: Scale,
    time: Time,
    gap_ms: i64,
}

// === impl Sheet ===

impl Sheet {
    fn of(record: &Foreseen, time: Time) -> Self {
        let value =
            |(at_ms, value): &(i64, f64)| Point { at_ms: *at_ms, said: Said { judged: *value, ..NOTHING } };
        let values = || record.samples.iter().map(|(_, value)| *value);
        let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let room = BEYOND * (high - low);
        let expected = record.foretold.iter().map(|told| told.expected.clamp(low - room, high + room));
        let steps = record.samples.windows(2).map(|two| two[1].0 - two[0].0);
        let mut steps: Vec<i64> = steps.collect();
        steps.sort_unstable();
        Self {
            points: record.samples.iter().map(value).collect(),
            scale: Scale::around(values().chain(expected)),
            time,
            gap_ms: GAP * steps.get(steps.len() / 2).copied().unwrap_or(1).max(1),
        }
    }

    fn over(&self, time: Time) -> Self {
        Self { points: self.points.clone(), time, ..*self }
    }

    fn chart<'a>(&self, points: &'a [Point], gap_ms: i64) -> Chart<'a> {
        Chart { points, spans: &[], windows: &[], time: self.time, gap_ms, width: WIDTH }
    }

    /// Values with fans over them.
    fn fans(&self, fans: &[(i64, Vec<Foretold>)]) -> String {
        self.draw(|out| {
            for (moment_ms, told) in fans {
                let value = self.points.iter().rev().find(|point| point.at_ms <= *moment_ms);
                let start = value.map_or(0.0, |point| point.said.judged);
                let x = |at_ms: i64| self.time.left(at_ms) * WIDTH as f64;
                let y = |value: f64| HEIGHT * self.scale.top(value);
                let line = |edge: &dyn Fn(&Foretold) -> f64| -> Vec<(f64, f64)> {
                    let ahead =
                        told.iter().map(|told| (x(told.made_ms + told.horizon.millis()), y(edge(told))));
                    std::iter::once((x(*moment_ms), y(start))).chain(ahead).collect()
                };
                let (low, high) = (line(&|told| told.lower), line(&|told| told.upper));
                let around: Vec<_> = high.into_iter().chain(low.into_iter().rev()).collect();
                write_path(out, "band", &around, "Z");
                write_path(out, "expected line", &line(&|told| told.expected), "");
            }
        })
    }

    /// Values over what was forecast of them a horizon before.
    fn of_horizon(&self, record: &Foreseen, horizon: Horizon) -> String {
        let point = |told: &Foretold| {
            let Foretold { expected, lower, upper, .. } = *told;
            let said = Said { judged: expected, expected, lower, upper, ..NOTHING };
            Point { at_ms: told.made_ms + horizon.millis(), said }
        };
        let of_horizon = record.foretold.iter().filter(|told| told.horizon == horizon);
        let points: Vec<Point> = of_horizon.map(point).collect();
        let ahead = self.chart(&points, horizon.millis() / 2);
        let columns = columns(&points, self.time, WIDTH);
        self.draw(|out| {
            ahead.draw_areas(out, "band", self.scale, ahead.runs(&columns), |column| column.band);
            ahead.draw_areas(out, "expected", self.scale, ahead.runs(&columns), |column| column.expected);
        })
    }

    /// Values, and what `below` draws before them.
    fn draw(&self, below: impl FnOnce(&mut String)) -> String {
        let values = self.chart(&self.points, self.gap_ms);
        let columns = columns(&self.points, self.time, WIDTH);
        let mut out = String::from("<div class=\"chart\">");
        values.open_plot(&mut out, "values", &self.scale.ticks());
        below(&mut out);
        values.draw_areas(&mut out, "value", self.scale, values.runs(&columns), |column| Some(column.value));
        out.push_str("</svg></div>");
        values.draw_times(&mut out);
        out.push_str("</div>\n");
        out
    }
}

fn write_path(out: &mut String, class: &str, points: &[(f64, f64)], end: &str) {
    let _infallible = write!(out, "<path class=\"{class}\" d=\"");
    for (at, (x, y)) in points.iter().enumerate() {
        let _infallible = write!(out, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    let _infallible = write!(out, "{end}\"/>");
}

const NOTHING: Said = Said {
    judged: f64::NAN,
    score: 0.0,
    expected: f64::NAN,
    lower: f64::NAN,
    upper: f64::NAN,
    confidence: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn record(hours: i64) -> Foreseen {
        let told = |hour: i64, ahead: i64| {
            let horizon = Horizon::of_millis((ahead * HOUR_MS) as u64).unwrap();
            Foretold { horizon, made_ms: hour * HOUR_MS, expected: 5.0, lower: -1e9, upper: 1e9 }
        };
        Foreseen {
            series: "up".parse().unwrap(),
            samples: (0..hours).map(|hour| (hour * HOUR_MS, (hour % 7) as f64)).collect(),
            foretold: (24..hours).flat_map(|hour| [told(hour, 1), told(hour, 24)]).collect(),
        }
    }

    fn written(records: Vec<Foreseen>) -> String {
        let mut out = Vec::new();
        AheadPage { title: "a <b>".into(), judge: "by hand".into(), records }.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_horizon_has_its_row_and_its_chart_and_some_moments_their_fan() {
        let html = written(vec![record(240)]);
        assert!(html.contains("<h1>a &lt;b&gt;</h1>"));
        for horizon in ["1h", "1d"] {
            assert!(html.contains(&format!("<tr><td>{horizon}<td>")), "{horizon}");
            assert!(html.contains(&format!("As it was forecast {horizon} before")));
        }
        assert_eq!(html.matches("class=\"expected line\"").count(), FANS);
        assert!(html.contains("<td>100.0 %<td>"), "{html}");
    }

    #[test]
    fn the_page_needs_nothing_else_and_is_bounded() {
        let html = written(vec![record(20_000)]);
        for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.len() < 600_000, "{}", html.len());
        assert!(written(Vec::new()).contains("no series to draw"));
    }
}
