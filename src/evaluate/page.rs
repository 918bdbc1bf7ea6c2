//! An evaluation as a page, in one file that needs nothing else.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::text::{number, rows};
use super::{Day, Evaluation, Family, Outcome, Sides, Verdict, Working};
use crate::backtest::Moment;
use crate::backtest::report::{STYLE, escape};

/// What this page has besides.
const MORE_STYLE: &str = "\
.verdict{display:inline-block;padding:6px 14px;border-radius:8px;color:#fff;font-weight:600}.promote{background:#1a7f37}.refuse{background:#c8102e}\
.curve{max-width:680px}.curve svg{width:100%;height:auto;display:block}.curve text{font-size:11px;fill:var(--faint)}.curve .champion{stroke:var(--score);stroke-width:2}\
.curve .challenger{stroke:var(--value);stroke-width:2}.curve circle.champion{fill:var(--score)}.curve circle.challenger{fill:var(--value)}.curve line{stroke:var(--line)}";

/// The picture, in its own units.
const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 44.0;
const BELOW: f64 = 36.0;
/// False alerts a series-week at the left and the right edge; the scale is logarithmic.
const FEWEST: f64 = 0.01;
const MOST: f64 = 100.0;

impl Evaluation {
    /// Writes the page.
    ///
    /// # Errors
    ///
    /// Whatever `out` refuses to take.
    pub fn write_page(&self, out: &mut dyn Write) -> io::Result<()> {
        let Sides { champion, challenger } = self.models.map(|party| escape(&party.name));
        let span =
            self.data.judged_ms.map(|[first, last]| format!("{} to {} UTC", Moment(first), Moment(last)));
        let class = match self.verdict {
            Verdict::Promote => "promote",
            Verdict::Refuse => "refuse",
        };
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>Evaluation: {class}</title>\n<style>\n{STYLE}{MORE_STYLE}</style></head><body>\n\
             <h1>{challenger} beside {champion}</h1>\n<p class=\"verdict {class}\">verdict: {class}</p>\n\
             <p>{} series, {} samples, {} of {}</p>\n",
            self.data.series,
            self.data.samples,
            span.unwrap_or_default(),
            escape(&self.data.source)
        )?;
        self.write_checks(out)?;
        self.write_measures(out)?;
        self.write_curves(out)?;
        self.write_days(out)?;
        self.write_families(out)?;
        self.write_incidents(out)?;
        writeln!(out, "</body></html>")
    }

    fn write_checks(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>The gate</h2>\n<div class=\"wide\"><table><tr><th>question<th><th>found<th>wanted</tr>"
        )?;
        for check in &self.checks {
            let class = if check.passed { "" } else { " class=\"missed\"" };
            let answer = if check.passed { "ok" } else { "no" };
            let (name, found, wanted) = (check.name, escape(&check.found), escape(&check.wanted));
            writeln!(out, "<tr><td>{name}<td{class}>{answer}<td{class}>{found}<td>{wanted}</tr>")?;
        }
        writeln!(out, "</table></div>")
    }

    fn write_measures(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>How well each did</h2>\n<div class=\"wide\"><table><tr><th><th>champion<th>challenger</tr>"
        )?;
        for (name, [champion, challenger]) in rows(&self.measures) {
            writeln!(out, "<tr><td>{name}<td>{champion}<td>{challenger}</tr>")?;
        }
        let Sides { champion, challenger } = self.time_ns;
        writeln!(out, "<tr><td>time a sample<td>{champion:.0} ns<td>{challenger:.0} ns</tr>\n</table></div>")
    }

    /// What one gets who alerts at another score.
    fn write_curves(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.workings.champion.is_empty() {
            return Ok(());
        }
        let (right, base) = (WIDTH - 10.0, HEIGHT - BELOW);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        for decade in [0.01, 0.1, 1.0, 10.0, 100.0] {
            let x = x_of(decade);
            let _infallible = write!(
                svg,
                "<line x1=\"{x}\" y1=\"10\" x2=\"{x}\" y2=\"{base}\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{decade}</text>",
                base + 14.0
            );
        }
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let y = y_of(share);
            let _infallible = write!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{share}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let _infallible = write!(
            svg,
            "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">false alerts a series-week</text>",
            HEIGHT - 4.0
        );
        draw(&mut svg, &self.workings.champion, "champion");
        draw(&mut svg, &self.workings.challenger, "challenger");
        writeln!(
            out,
            "<h2>At other thresholds</h2>\n<div class=\"curve\">{svg}</svg></div>\n<p class=\"key\"><span><i style=\"background:var(--score)\"></i>champion</span><span><i style=\"background:var(--value)\"></i>challenger</span><span>Recall against false alerts; the dot is the score 1. Further up and left is better.</span></p>"
        )
    }

    fn write_days(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>Day by day</h2>\n<div class=\"wide\"><table><tr><th>from<th>incidents<th>recall, champion<th>challenger<th>alerts, champion<th>challenger<th>false, champion<th>challenger</tr>"
        )?;
        for Day { from_ms, measures: Sides { champion, challenger } } in &self.days {
            writeln!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                Moment(*from_ms),
                champion.events,
                number(champion.recall),
                number(challenger.recall),
                champion.alerts,
                challenger.alerts,
                champion.false_alerts,
                challenger.false_alerts
            )?;
        }
        writeln!(out, "</table></div>")
    }

    fn write_families(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>Families, the one that loses most first</h2>\n<div class=\"wide\"><table><tr><th>family<th>series<th>incidents<th>recall, champion<th>challenger<th>false alerts, champion<th>challenger<th>VUS-PR, champion<th>challenger<th>rank correlation</tr>"
        )?;
        for Family { name, series, measures, rank_correlation } in &self.families {
            let Sides { champion, challenger } = measures;
            writeln!(
                out,
                "<tr><td>{}<td>{series}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                escape(name),
                champion.events,
                number(champion.recall),
                number(challenger.recall),
                champion.false_alerts,
                challenger.false_alerts,
                number(champion.vus_pr),
                number(challenger.vus_pr),
                number(*rank_correlation)
            )?;
        }
        writeln!(out, "</table></div>")
    }

    fn write_incidents(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>Incidents</h2>\n<div class=\"wide\"><table><tr><th>incident<th>series<th>found by champion<th>by challenger</tr>"
        )?;
        for Outcome { name, series, found: Sides { champion, challenger } } in &self.incidents {
            let class = if challenger < champion { " class=\"missed\"" } else { "" };
            writeln!(out, "<tr><td>{}<td>{series}<td>{champion}<td{class}>{challenger}</tr>", escape(name))?;
        }
        writeln!(out, "</table></div>")
    }
}

fn draw(svg: &mut String, curve: &[Working], side: &str) {
    let place = |working: &Working| (x_of(working.false_a_series_week), y_of(working.recall));
    let points: Vec<String> = curve.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _infallible =
        write!(svg, "<polyline class=\"{side}\" fill=\"none\" points=\"{}\"/>", points.join(" "));
    let at_one = curve.iter().min_by(|a, b| (a.threshold - 1.0).abs().total_cmp(&(b.threshold - 1.0).abs()));
    if let Some((x, y)) = at_one.map(place) {
        let _infallible = write!(svg, "<circle class=\"{side}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
    }
}

fn x_of(false_a_week: f64) -> f64 {
    let share = (false_a_week.clamp(FEWEST, MOST) / FEWEST).log10() / (MOST / FEWEST).log10();
    LEFT + share * (WIDTH - 10.0 - LEFT)
}

fn y_of(recall: f64) -> f64 {
    let base = HEIGHT - BELOW;
    base - recall * (base - 10.0)
}
