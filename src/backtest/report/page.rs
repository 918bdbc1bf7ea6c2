//! The page: a summary, a chart and tables for each series, in one file that needs nothing else.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::alerts::{ANOMALY, Finding, JOINED, Span, Summary, findings};
use super::axis::Time;
use super::chart::Chart;
use super::numbers::{duration, exact, short};
use super::{Point, Record};
use crate::backtest::Moment;

/// All that was replayed.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What the page is about.
    pub title: String,
    /// How it was judged, in a few words.
    pub judge: String,
    /// The series, in any order.
    pub records: Vec<Record>,
}

/// A series with its summary.
struct Section<'a> {
    record: &'a Record,
    summary: Summary,
}

pub(crate) const STYLE: &str = include_str!("style.css");
/// Series that are drawn; of more, those with the highest scores.
const MOST_SERIES: usize = 50;
/// Spans that a table lists, and that are drawn enlarged.
const MOST_SPANS: usize = 20;
const ENLARGED: usize = 4;
/// Columns of a chart over the whole width, and of an enlarged one.
const WIDE: usize = 1_160;
const NARROW: usize = 560;
/// Samples that are drawn before and after an enlarged span, at least.
const AROUND: i64 = 60;
/// Lines join samples that are no more than so many steps apart.
const GAP: i64 = 3;

// === impl Page ===

impl Page {
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
        let sections = self.sections();
        if sections.is_empty() {
            writeln!(out, "<p>There is no sample to draw.</p>")?;
        }
        if sections.len() > 1 {
            write_contents(out, &sections)?;
        }
        for (at, section) in sections.iter().take(MOST_SERIES).enumerate() {
            section.write(out, at, sections.len() > 1)?;
        }
        writeln!(out, "{KEY}\n</body></html>")
    }

    /// The series that have samples, the one with the highest score first.
    fn sections(&self) -> Vec<Section<'_>> {
        let section = |record| Section::of(record);
        let mut sections: Vec<_> = self.records.iter().filter_map(section).collect();
        sections.sort_by(|a, b| b.worst().said.score.total_cmp(&a.worst().said.score));
        sections
    }
}

const KEY: &str = "<p class=\"key\"><span><i style=\"background:var(--value)\"></i>value, lowest to highest in each \
column</span><span><i style=\"background:var(--band)\"></i>expected band</span><span><i \
style=\"background:var(--expected)\"></i>expected value</span><span><i style=\"background:var(--alert)\"></i>anomaly: \
score of at least 1</span><span><i style=\"background:var(--window)\"></i>labelled</span><span>All times are UTC. \
Scores are drawn on a scale of ln(1 + score).</span></p>";

fn write_contents(out: &mut dyn Write, sections: &[Section<'_>]) -> io::Result<()> {
    writeln!(
        out,
        "<div class=\"wide\"><table><tr><th>series<th>samples<th>anomalies<th>longest<th>highest score<th>at</tr>"
    )?;
    for (at, section) in sections.iter().enumerate() {
        let (name, worst) = (escape(&section.record.series.to_string()), section.worst());
        let name = if at < MOST_SERIES { format!("<a href=\"#s{at}\">{name}</a>") } else { name };
        let longest = section.longest().map_or_else(String::new, duration);
        writeln!(
            out,
            "<tr><td>{name}<td>{}<td>{}<td>{longest}<td>{}<td>{}</tr>",
            section.summary.samples,
            section.summary.spans.len(),
            short(worst.said.score),
            Moment(worst.at_ms)
        )?;
    }
    writeln!(out, "</table></div>")?;
    let undrawn = sections.len().saturating_sub(MOST_SERIES);
    if undrawn > 0 {
        writeln!(
            out,
            "<p>The {MOST_SERIES} series with the highest scores are drawn, {undrawn} are not.</p>"
        )?;
    }
    Ok(())
}

// === impl Section ===

impl<'a> Section<'a> {
    fn of(record: &'a Record) -> Option<Self> {
        Summary::of(&record.points).map(|summary| Self { record, summary })
    }

    fn worst(&self) -> &Point {
        &self.record.points[self.summary.worst]
    }

    fn longest(&self) -> Option<i64> {
        self.summary.longest(&self.record.points).map(|span| span.lasts_ms(&self.record.points))
    }

    fn write(&self, out: &mut dyn Write, at: usize, named: bool) -> io::Result<()> {
        if named {
            writeln!(out, "<h2 id=\"s{at}\">{}</h2>", escape(&self.record.series.to_string()))?;
        }
        let findings = findings(&self.record.points, &self.record.windows);
        writeln!(out, "{}", self.facts(&findings))?;
        let whole = Time { from_ms: self.summary.from_ms, to_ms: self.summary.to_ms };
        out.write_all(self.chart(whole, WIDE).as_bytes())?;
        self.write_spans(out)?;
        write_findings(out, &findings, &self.record.points)
    }

    fn chart(&self, time: Time, width: usize) -> String {
        let Record { points, windows, .. } = self.record;
        let gap_ms = GAP * self.summary.step_ms.max(1);
        Chart { points, spans: &self.summary.spans, windows, time, gap_ms, width }.draw()
    }

    /// The summary: a name and a number each.
    fn facts(&self, findings: &[Finding<'_>]) -> String {
        let (summary, points, worst) = (&self.summary, &self.record.points, self.worst());
        let mut out = String::from("<dl>");
        let mut fact = |name: &str, number: String, more: String| {
            let _infallible = write!(out, "<div><dt>{name}</dt><dd>{number}<small>{more}</small></dd></div>");
        };
        fact("samples", summary.samples.to_string(), format!("one every {}", duration(summary.step_ms)));
        let ends = format!("{} to {}", Moment(summary.from_ms), Moment(summary.to_ms));
        fact("span", duration(summary.to_ms - summary.from_ms), ends);
        let anomalous = points.iter().filter(|point| point.said.score >= ANOMALY).count();
        fact("anomalies", summary.spans.len().to_string(), format!("{anomalous} samples of score 1 or more"));
        if let Some(span) = summary.longest(points) {
            let since = Moment(points[span.first].at_ms).to_string();
            fact("longest", duration(span.lasts_ms(points)), format!("since {since}"));
        }
        fact("highest score", short(worst.said.score), format!("at {}", Moment(worst.at_ms)));
        if !findings.is_empty() {
            let found = findings.iter().filter(|finding| finding.first.is_some()).count();
            let others = summary.unexplained(points, &self.record.windows);
            let more = format!("{others} anomalies outside");
            fact("labels found", format!("{found} of {}", findings.len()), more);
        }
        out.push_str("</dl>");
        out
    }

    /// The worst spans, enlarged and in a table with exact numbers.
    fn write_spans(&self, out: &mut dyn Write) -> io::Result<()> {
        let points = &self.record.points;
        let spans = self.summary.by_score(points);
        if spans.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h3>The worst moments</h3>\n<div class=\"close\">")?;
        for span in self.enlarged(&spans) {
            let since = Moment(points[span.first].at_ms);
            writeln!(out, "<div><p>{since}, score {}</p>", short(points[span.worst].said.score))?;
            out.write_all(self.chart(self.around(span), NARROW).as_bytes())?;
            writeln!(out, "</div>")?;
        }
        writeln!(
            out,
            "</div>\n<div class=\"wide\"><table><tr><th>since<th>lasted<th>highest score<th>at<th>value<th>expected\
             <th>band</tr>"
        )?;
        for span in spans.iter().take(MOST_SPANS) {
            let Point { at_ms, said } = &points[span.worst];
            writeln!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{} to {}</tr>",
                Moment(points[span.first].at_ms),
                duration(span.lasts_ms(points)),
                exact(said.score),
                Moment(*at_ms),
                exact(said.judged),
                exact(said.expected),
                exact(said.lower),
                exact(said.upper)
            )?;
        }
        writeln!(out, "</table></div>")?;
        let unlisted = spans.len().saturating_sub(MOST_SPANS);
        let more = if unlisted == 0 { String::new() } else { format!(" {unlisted} more are not listed.") };
        writeln!(
            out,
            "<p>Anomalous samples with fewer than {JOINED} ordinary ones between them are one anomaly.{more}</p>"
        )
    }

    /// The first few of `spans` that are not beside one another.
    fn enlarged<'s>(&self, spans: &'s [Span]) -> Vec<&'s Span> {
        let points = &self.record.points;
        let mut chosen: Vec<&Span> = Vec::new();
        for span in spans {
            let is_near = |other: &&Span| {
                let Time { from_ms, to_ms } = self.around(other);
                (from_ms..=to_ms).contains(&points[span.worst].at_ms)
            };
            if chosen.len() < ENLARGED && !chosen.iter().any(is_near) {
                chosen.push(span);
            }
        }
        chosen
    }

    /// A span with what came before and after it.
    fn around(&self, span: &Span) -> Time {
        let points = &self.record.points;
        let around = (AROUND * self.summary.step_ms.max(1)).max(span.lasts_ms(points));
        let (first, last) = (points[span.first].at_ms, points[span.last].at_ms);
        Time {
            from_ms: (first - around).max(self.summary.from_ms),
            to_ms: (last + around).min(self.summary.to_ms),
        }
    }
}

/// A table of the labelled windows and what became of them.
fn write_findings(out: &mut dyn Write, findings: &[Finding<'_>], points: &[Point]) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h3>Labelled windows</h3>\n<div class=\"wide\"><table><tr><th>since<th>lasted<th>kind<th>found after<th>highest \
         score</tr>"
    )?;
    for Finding { window, first, worst } in findings {
        let found = match (first, worst) {
            (Some(first), _) => format!("<td>{}", duration(points[*first].at_ms - window.start_ms)),
            (None, Some(_)) => "<td class=\"missed\">missed".to_owned(),
            (None, None) => "<td>no samples".to_owned(),
        };
        writeln!(
            out,
            "<tr><td>{}<td>{}<td>{}{found}<td>{}</tr>",
            Moment(window.start_ms),
            duration(window.end_ms - window.start_ms),
            escape(&window.kind),
            worst.map_or_else(String::new, short)
        )?;
    }
    writeln!(out, "</table></div>")
}

/// `text` as HTML shows it, in content and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::LabelledWindow;
    use super::super::testing::points;
    use super::*;

    fn record(name: &str, score: impl Fn(usize) -> f64) -> Record {
        Record { series: name.parse().unwrap(), points: points(5_000, score), windows: Vec::new() }
    }

    fn written(records: Vec<Record>) -> String {
        let page = Page { title: "a <b> & c".into(), judge: "hybrid".into(), records };
        let mut out = Vec::new();
        page.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_worst_moments_stand_there_with_exact_numbers() {
        let html = written(vec![record("up", |at| if at == 4_000 { 12.345_678_9 } else { 0.1 })]);
        assert!(html.contains("<h1>a &lt;b&gt; &amp; c</h1>"));
        assert!(html.contains("<tr><td>2026-01-07 18:40:00<td>0s<td>12.3456789<td>2026-01-07 18:40:00<td>"));
        assert!(html.contains("<dt>anomalies</dt><dd>1<small>1 samples"));
    }

    #[test]
    fn labels_are_shaded_and_told_found_or_missed() {
        let mut record = record("up", |at| if at == 4_000 { 2.0 } else { 0.1 });
        let at = |at: usize| record.points[at].at_ms;
        let window = |from, to| LabelledWindow { start_ms: at(from), end_ms: at(to), kind: "drift".into() };
        record.windows = vec![window(100, 200), window(3_990, 4_010)];
        let html = written(vec![record]);
        assert!(html.contains("<dt>labels found</dt><dd>1 of 2<small>0 anomalies outside"));
        assert!(html.contains("<td>drift<td class=\"missed\">missed<td>0.1</tr>"), "{html}");
        assert!(html.contains("<td>drift<td>10m<td>2</tr>"));
        assert!(html.contains("class=\"window\""));
    }

    #[test]
    fn of_several_series_the_worst_comes_first() {
        let calm = record("calm", |_| 0.2);
        let html = written(vec![calm.clone(), record("wild", |at| at as f64 / 1_000.0)]);
        let (wild, calm_at) = (html.find("id=\"s0\">wild").unwrap(), html.find("id=\"s1\">calm").unwrap());
        assert!(wild < calm_at);
        let many = written(vec![calm; MOST_SERIES + 2]);
        assert!(many.contains("2 are not."));
    }

    #[test]
    fn the_page_needs_nothing_else_and_is_bounded() {
        let long = Record { points: points(200_000, |at| f64::from(at % 100 == 0)), ..record("up", |_| 0.0) };
        let html = written(vec![long]);
        for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.len() < 400_000, "{}", html.len());
        assert!(written(Vec::new()).contains("no sample"));
    }
}
