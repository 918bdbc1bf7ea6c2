//! The pages that a synthetic exporter answers a scrape with.

use std::fmt::{self, Write};

use crate::wire::exposition as wire;

use super::synth::{Event, Family, Fleet, MetricType};

/// The two text formats of the exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// A fleet and what its pages are made of.
#[derive(Debug)]
pub struct Exporter {
    fleet: Fleet,
    /// Each series up to its value, `name{labels} `, in the order of the fleet.
    heads: Vec<String>,
    values: Vec<f64>,
    with_truth: bool,
}

// === impl Format ===

impl Format {
    /// The one of the two that an `Accept` header weighs higher; text where it names neither.
    pub fn of_accept(accept: Option<&str>) -> Self {
        let ours = accept.unwrap_or_default().split(',').filter(|choice| !choice.contains("protobuf"));
        match wire::preferred(ours).map(|format| format.syntax) {
            Some(wire::Syntax::OpenMetrics) => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The `Content-Type` of a page in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

// === impl Exporter ===

impl Exporter {
    /// An exporter of `fleet`. `with_truth` appends the series that tell which anomalies are under way.
    pub fn new(fleet: Fleet, with_truth: bool) -> Self {
        let heads = fleet.series().iter().map(|series| format!("{series} ")).collect();
        Self { fleet, heads, values: Vec::new(), with_truth }
    }

    /// The fleet behind the pages.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Which series of the fleet stand on the last page, in its order.
    pub fn exported(&self) -> impl Iterator<Item = usize> {
        self.values.iter().enumerate().filter(|(_, value)| !value.is_nan()).map(|(at, _)| at)
    }

    /// Goes on to `at_ms` without making a page.
    pub fn advance_to(&mut self, at_ms: i64) {
        self.fleet.advance_to(at_ms);
    }

    /// Writes the page of `at_ms` (Unix milliseconds of stream time) into `page`, which is emptied first.
    pub fn page_at(&mut self, at_ms: i64, format: Format, page: &mut String) -> fmt::Result {
        self.fleet.advance_to(at_ms);
        self.fleet.read(&mut self.values);
        page.clear();
        let mut family = None;
        for ((series, head), value) in self.fleet.series().iter().zip(&self.heads).zip(&self.values) {
            if value.is_nan() {
                continue;
            }
            if family != Some(series.family) {
                family = Some(series.family);
                describe(series.family, format, page)?;
            }
            writeln!(page, "{head}{value}")?;
        }
        if self.with_truth {
            self.write_truth(page)?;
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        Ok(())
    }

    fn write_truth(&self, page: &mut String) -> fmt::Result {
        page.push_str("# HELP synth_anomaly_active Whether an injected anomaly is under way.\n");
        page.push_str("# TYPE synth_anomaly_active gauge\n");
        let active: Vec<_> = self.fleet.active().collect();
        for &kind in self.fleet.options().plan.kinds {
            for &channel in kind.channels() {
                for instance in 0..self.fleet.options().instances {
                    let target = channel.target(instance);
                    let is_it = |e: &Event| (e.kind, e.channel) == (kind, channel) && e.strikes(instance);
                    let is_active = active.iter().any(|event| is_it(event));
                    let (kind, channel) = (kind.name(), channel.name());
                    writeln!(
                        page,
                        "synth_anomaly_active{{kind=\"{kind}\",channel=\"{channel}\",target=\"{target}\"}} {}",
                        u8::from(is_active)
                    )?;
                }
            }
        }
        page.push_str("# HELP synth_stream_time_seconds Where the synthetic stream is, in Unix time.\n");
        page.push_str("# TYPE synth_stream_time_seconds gauge\n");
        writeln!(page, "synth_stream_time_seconds {}", self.fleet.now_ms() as f64 / 1000.0)
    }
}

fn describe(family: Family, format: Format, page: &mut String) -> fmt::Result {
    let info = family.info();
    // Text 0.0.4 names a counter's family as its series are named, OpenMetrics without the `_total`.
    let total = info.metric_type == MetricType::Counter && format == Format::Text;
    let (base, suffix) = (info.base, if total { "_total" } else { "" });
    writeln!(page, "# HELP {base}{suffix} {}", info.help)?;
    writeln!(page, "# TYPE {base}{suffix} {}", info.metric_type.name())
}

#[cfg(test)]
mod tests {
    use super::super::synth::{FAMILIES, FleetOptions, Kind, MONDAY_MS, Plan};
    use super::*;

    fn exporter() -> Exporter {
        let plan = Plan { quiet_ms: 0, every_ms: 1_800_000, kinds: Kind::OF_SERIES };
        let options = FleetOptions { seed: 1, instances: 2, start_ms: MONDAY_MS, plan };
        Exporter::new(Fleet::new(options), true)
    }

    fn page(format: Format) -> String {
        let mut page = String::new();
        exporter().page_at(MONDAY_MS + 7_200_000, format, &mut page).unwrap();
        page
    }

    #[test]
    fn accept_headers_choose_the_format() {
        let check =
            |accept: Option<&str>, want: Format| assert_eq!(Format::of_accept(accept), want, "{accept:?}");
        check(None, Format::Text);
        check(Some("*/*"), Format::Text);
        check(Some("text/plain"), Format::Text);
        check(Some("application/openmetrics-text"), Format::OpenMetrics);
        check(Some("application/openmetrics-text;q=0"), Format::Text);
        check(
            Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"),
            Format::OpenMetrics,
        );
        check(Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), Format::Text);
        check(
            Some("application/vnd.google.protobuf;q=0.9,application/openmetrics-text;q=0.8,text/plain;q=0.7"),
            Format::OpenMetrics,
        );
    }

    #[test]
    fn every_line_of_a_page_is_read_back_by_prometheus_parse() {
        let page = page(Format::Text);
        let read = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let exporter = exporter();
        // It folds the buckets of a histogram into one sample.
        let buckets = exporter.fleet().series().iter().filter(|s| s.suffix == "_bucket").count();
        let truth = page.lines().filter(|line| line.starts_with("synth_")).count();
        assert_eq!(read.samples.len(), exporter.fleet().series().len() - buckets + 2 + truth);
        let idle = read.samples.iter().find(|s| s.metric == "node_cpu_seconds_total").unwrap();
        assert!(matches!(idle.value, prometheus_parse::Value::Counter(_)));
        assert_eq!(idle.labels.get("instance"), Some("node-0:9100"));
    }

    #[test]
    fn openmetrics_names_families_without_total_and_ends() {
        let page = page(Format::OpenMetrics);
        assert!(page.contains("# TYPE node_cpu_seconds counter\n"));
        assert!(page.ends_with("# EOF\n"));
        assert_eq!(page.matches("# EOF").count(), 1);
    }

    #[test]
    fn families_stand_together_and_no_series_twice() {
        let page = page(Format::Text);
        let mut heads: Vec<&str> = page
            .lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(|l| l.rsplit_once(' '))
            .map(|l| l.0)
            .collect();
        let all = heads.len();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), all);
        assert_eq!(page.matches("# TYPE ").count(), FAMILIES.len() + 2);
    }

    #[test]
    fn an_active_anomaly_is_told() {
        let mut exporter = exporter();
        let event = exporter.fleet.plan_to(MONDAY_MS + 7_200_000)[0].clone();
        let mut page = String::new();
        let on = |page: &str| {
            page.lines().filter(|l| l.starts_with("synth_anomaly_active") && l.ends_with(" 1")).count()
        };
        exporter.page_at(event.start_ms - 1, Format::Text, &mut page).unwrap();
        assert_eq!(on(&page), 0);
        exporter.page_at(event.start_ms, Format::Text, &mut page).unwrap();
        assert_eq!(on(&page), 1);
    }
}
