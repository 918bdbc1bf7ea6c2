//! `signals`: what is made of several series, and scored like any other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::PromDuration;
use crate::rules::Selector;
use crate::rules::config::{OneOrMany, RawKind};
use crate::signals::{self, Shape, Spec, Specs};

/// Series that are made of others as these pass, and scored like any other: under the rule that selects them by the
/// name given here (`{__name__="http_errors:ratio"}`), else by the defaults of a rule. They are made within one tenant or
/// scrape target. The series that they are made of need no rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signals {
    /// How long, in the time of the samples, a step waits for parts that have not come: at least the longest delay between
    /// two senders of one tenant, and half of the longest scrape interval. A new part counts once it has been there for
    /// as long.
    pub watermark: PromDuration,
    /// Groups of series that are kept, over all entries. Further ones are not made.
    pub max_groups: u32,
    /// Means and rates of classic histograms and summaries.
    pub histograms: Vec<HistogramSignal>,
    /// Means, rates and quantiles of native histograms.
    pub native_histograms: Vec<NativeHistogramSignal>,
    /// Quotients of two sums, such as errors over requests.
    pub ratios: Vec<RatioSignal>,
    /// Sums by labels.
    pub sums: Vec<SumSignal>,
    /// Series that should behave alike, such as the replicas of a Deployment.
    pub peers: Vec<PeersSignal>,
    /// Series that describe one thing, such as a pod, scored together.
    pub entities: Vec<EntitySignal>,
}

/// Means and rates of classic histograms and summaries: `<family>:mean` is `rate(<family>_sum) / rate(<family>_count)`,
/// `<family>:rate` is `rate(<family>_count)`, both with the labels of the histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HistogramSignal {
    /// Selectors of families, without `_sum` and `_count`: `http_request_duration_seconds` or
    /// `{__name__=~"grpc_.*_seconds"}`. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// What is made: `mean`, `rate` or both. Default: both.
    pub give: Vec<HistogramOutput>,
    /// Series that this entry makes at the most.
    pub max_series: u32,
}

/// Means, rates and quantiles of the native histograms that come by remote write, with their labels: of what was observed
/// between two samples, `<family>:mean` is the mean, `<family>:rate` how much it was a second and `<family>:p99` a quantile.
/// A gauge histogram has no rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NativeHistogramSignal {
    /// Selectors of the histograms: `http_request_duration_seconds` or `{__name__=~"grpc_.*_seconds"}`. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// Whether the mean observation is made.
    pub mean: bool,
    /// Whether the observations per second are made.
    pub rate: bool,
    /// The quantile that is made, such as 0.99, which gives `<family>:p99`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Series that this entry makes at the most.
    pub max_series: u32,
}

/// What is made of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistogramOutput {
    /// The mean observation.
    Mean,
    /// Observations per second.
    Rate,
}

/// The quotient `<name>:ratio` of two sums, with the labels of `by`. Counters count by their rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RatioSignal {
    /// What the series is called before `:ratio`. Required.
    pub name: String,
    /// Selectors of the numerator, such as `http_requests_total{code=~"5.."}`. Required.
    pub of: OneOrMany,
    /// Selectors of the denominator, such as `http_requests_total`. Where there are only denominators, the quotient is
    /// 0. Required.
    pub to: OneOrMany,
    /// Labels by whose values quotients are made. Default: one for all.
    pub by: Vec<String>,
    /// Gauges or counters, as in a rule.
    pub kind: RawKind,
    /// Samples whose times fall in one step belong together; the first of each series in it counts. Give the scrape
    /// interval where the parts come from several targets. Default: equal timestamps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<PromDuration>,
    /// Series that this entry makes at the most.
    pub max_series: u32,
}

/// The sum `<name>:sum` of series, with the labels of `by`. Counters count by their rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SumSignal {
    /// What the series is called before `:sum`. Required.
    pub name: String,
    /// Selectors of what is added up. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// Labels by whose values sums are made. Default: one for all.
    pub by: Vec<String>,
    /// Gauges or counters, as in a rule.
    pub kind: RawKind,
    /// As in `ratios`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<PromDuration>,
    /// Series that this entry makes at the most.
    pub max_series: u32,
}

/// Series that are equal but for some labels: of each of five or more, `<metric>:peer` scores how far it is from their
/// median, for two of three steps, in robust standard deviations. It needs no history. `z_threshold` of the rule that
/// selects `<metric>:peer` is what scores 1, 5 without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSignal {
    /// Selectors of the series. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// The labels in which peers differ, such as `[pod, instance]`. Required.
    pub without: Vec<String>,
    /// Gauges or counters, as in a rule.
    pub kind: RawKind,
    /// As in `ratios`; the scrape interval is the right step for peers. Default: 1m.
    pub step: PromDuration,
    /// Series that this entry makes at the most.
    pub max_series: u32,
}

/// Series that describe one thing, looked at together: `anomaly_score{for="<name>"}` with the labels of `by` says how rare it
/// is in the past of the thing that its series are as rare together as they are now. Each counts by its own score, so
/// that it does not matter what it measures, and what a rule says of it counts here too; one that no rule selects is judged
/// by the defaults of a rule, and only for this. `/api/v1/explain` names the series that weighs most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EntitySignal {
    /// What the score is for. Required.
    pub name: String,
    /// Selectors of the series, such as CPU, memory, disk I/O, network and restarts. Not all of them must be there. Required.
    #[serde(rename = "match")]
    pub matches: OneOrMany,
    /// The labels that name the thing, such as `[namespace, pod]` or `[instance]`. Required.
    pub by: Vec<String>,
    /// As in `ratios`; give the scrape interval. Default: 1m.
    pub step: PromDuration,
    /// Series that this entry makes at the most, which is one for each thing.
    pub max_series: u32,
}

const DEFAULT_MAX_SERIES: u32 = 1_000;

// === impl Signals ===

impl Default for Signals {
    fn default() -> Self {
        Self {
            watermark: PromDuration::from_secs(120),
            max_groups: 20_000,
            histograms: Vec::new(),
            native_histograms: Vec::new(),
            ratios: Vec::new(),
            sums: Vec::new(),
            peers: Vec::new(),
            entities: Vec::new(),
        }
    }
}

impl Signals {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        findings.require(!self.watermark.is_zero(), "signals.watermark", SectionError::Zero);
        findings.require(self.max_groups > 0, "signals.max_groups", SectionError::Zero);
        for (entry, path) in numbered(&self.histograms, "histograms") {
            check_selectors(&entry.matches, &format!("{path}.match"), findings);
            findings.require(
                !entry.give.is_empty(),
                format!("{path}.give"),
                SectionError::Nothing("mean or rate"),
            );
            findings.require(entry.max_series > 0, format!("{path}.max_series"), SectionError::Zero);
        }
        for (entry, path) in numbered(&self.native_histograms, "native_histograms") {
            check_selectors(&entry.matches, &format!("{path}.match"), findings);
            if let Some(quantile) = entry.quantile.filter(|quantile| !(0.0..=1.0).contains(quantile)) {
                findings.add(format!("{path}.quantile"), SectionError::Quantile(quantile.to_string()));
            }
            let nothing = SectionError::Nothing("mean, rate or quantile");
            findings.require(entry.mean || entry.rate || entry.quantile.is_some(), &*path, nothing);
            findings.require(entry.max_series > 0, format!("{path}.max_series"), SectionError::Zero);
        }
        for (entry, path) in numbered(&self.ratios, "ratios") {
            check_selectors(&entry.of, &format!("{path}.of"), findings);
            check_selectors(&entry.to, &format!("{path}.to"), findings);
            check_entry(&path, (&entry.name, entry.step, entry.max_series), findings);
        }
        for (entry, path) in numbered(&self.sums, "sums") {
            check_selectors(&entry.matches, &format!("{path}.match"), findings);
            check_entry(&path, (&entry.name, entry.step, entry.max_series), findings);
        }
        for (entry, path) in numbered(&self.peers, "peers") {
            check_selectors(&entry.matches, &format!("{path}.match"), findings);
            let labels = SectionError::Nothing("the labels in which peers differ, such as pod");
            findings.require(!entry.without.is_empty(), format!("{path}.without"), labels);
            findings.require(!entry.step.is_zero(), format!("{path}.step"), SectionError::Zero);
            findings.require(entry.max_series > 0, format!("{path}.max_series"), SectionError::Zero);
        }
        for (entry, path) in numbered(&self.entities, "entities") {
            check_selectors(&entry.matches, &format!("{path}.match"), findings);
            let labels = SectionError::Nothing("the labels that name a thing, such as pod");
            findings.require(!entry.by.is_empty(), format!("{path}.by"), labels);
            check_entry(&path, (&entry.name, Some(entry.step), entry.max_series), findings);
        }
        let ratios = self.ratios.iter().map(|entry| format!("{}:ratio", entry.name));
        let sums = self.sums.iter().map(|entry| format!("{}:sum", entry.name));
        let entities = self.entities.iter().map(|entry| entry.name.clone());
        let names: Vec<_> = ratios.chain(sums).chain(entities).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                findings.add("signals", SectionError::SameName(name.clone()));
            }
        }
    }

    /// What the entries ask for; a selector that cannot be read is left out.
    pub fn specs(&self) -> Specs {
        let histograms = self.histograms.iter().map(HistogramSignal::spec);
        let native = self.native_histograms.iter().map(NativeHistogramSignal::spec);
        let ratios = self.ratios.iter().map(RatioSignal::spec);
        let sums = self.sums.iter().map(SumSignal::spec);
        let peers = self.peers.iter().map(PeersSignal::spec);
        let entities = self.entities.iter().map(EntitySignal::spec);
        let list = histograms.chain(native).chain(ratios).chain(sums).chain(peers).chain(entities).collect();
        Specs::new(list, millis(self.watermark), self.max_groups as usize)
    }
}

// === impl HistogramSignal ===

impl Default for HistogramSignal {
    fn default() -> Self {
        Self {
            matches: OneOrMany::default(),
            give: vec![HistogramOutput::Mean, HistogramOutput::Rate],
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl HistogramSignal {
    fn spec(&self) -> Spec {
        let shape = Shape::Histogram(signals::Histogram {
            selectors: selectors(&self.matches),
            mean: self.give.contains(&HistogramOutput::Mean),
            rate: self.give.contains(&HistogramOutput::Rate),
        });
        let name = self.matches.0.first().cloned().unwrap_or_default();
        Spec::new(name, shape, 0, self.max_series as usize)
    }
}

// === impl NativeHistogramSignal ===

impl Default for NativeHistogramSignal {
    fn default() -> Self {
        Self {
            matches: OneOrMany::default(),
            mean: true,
            rate: true,
            quantile: None,
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl NativeHistogramSignal {
    fn spec(&self) -> Spec {
        let native = signals::Native::new(selectors(&self.matches), self.mean, self.rate, self.quantile);
        let name = self.matches.0.first().cloned().unwrap_or_default();
        Spec::new(name, Shape::Native(native), 0, self.max_series as usize)
    }
}

// === impl RatioSignal ===

impl Default for RatioSignal {
    fn default() -> Self {
        Self {
            name: String::new(),
            of: OneOrMany::default(),
            to: OneOrMany::default(),
            by: Vec::new(),
            kind: RawKind::Auto,
            step: None,
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl RatioSignal {
    fn spec(&self) -> Spec {
        let (of, to, by) = (selectors(&self.of), selectors(&self.to), self.by.clone());
        let shape = Shape::Ratio(signals::Ratio { of, to, by, kind: self.kind.into() });
        Spec::new(self.name.clone(), shape, self.step.map_or(0, millis), self.max_series as usize)
    }
}

// === impl SumSignal ===

impl Default for SumSignal {
    fn default() -> Self {
        Self {
            name: String::new(),
            matches: OneOrMany::default(),
            by: Vec::new(),
            kind: RawKind::Auto,
            step: None,
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl SumSignal {
    fn spec(&self) -> Spec {
        let (selectors, by) = (selectors(&self.matches), self.by.clone());
        let shape = Shape::Sum(signals::Sum { selectors, by, kind: self.kind.into() });
        Spec::new(self.name.clone(), shape, self.step.map_or(0, millis), self.max_series as usize)
    }
}

// === impl PeersSignal ===

impl Default for PeersSignal {
    fn default() -> Self {
        Self {
            matches: OneOrMany::default(),
            without: Vec::new(),
            kind: RawKind::Auto,
            step: PromDuration::from_secs(60),
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl PeersSignal {
    fn spec(&self) -> Spec {
        let (selectors, without) = (selectors(&self.matches), self.without.clone());
        let shape = Shape::Peers(signals::Alike { selectors, without, kind: self.kind.into() });
        let name = self.matches.0.first().cloned().unwrap_or_default();
        Spec::new(name, shape, millis(self.step), self.max_series as usize)
    }
}

// === impl EntitySignal ===

impl Default for EntitySignal {
    fn default() -> Self {
        Self {
            name: String::new(),
            matches: OneOrMany::default(),
            by: Vec::new(),
            step: PromDuration::from_secs(60),
            max_series: DEFAULT_MAX_SERIES,
        }
    }
}

impl EntitySignal {
    fn spec(&self) -> Spec {
        let shape =
            Shape::Entity(signals::Thing { selectors: selectors(&self.matches), by: self.by.clone() });
        Spec::new(self.name.clone(), shape, millis(self.step), self.max_series as usize)
    }
}

fn numbered<'a, T>(entries: &'a [T], list: &'a str) -> impl Iterator<Item = (&'a T, String)> {
    entries.iter().enumerate().map(move |(index, entry)| (entry, format!("signals.{list}[{index}]")))
}

fn check_entry(
    path: &str,
    (name, step, max_series): (&str, Option<PromDuration>, u32),
    findings: &mut Findings,
) {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let is_name =
        name.chars().all(letters) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    findings.require(is_name, format!("{path}.name"), SectionError::MetricName(name.to_owned()));
    findings.require(step.is_none_or(|step| !step.is_zero()), format!("{path}.step"), SectionError::Zero);
    findings.require(max_series > 0, format!("{path}.max_series"), SectionError::Zero);
}

fn check_selectors(texts: &OneOrMany, path: &str, findings: &mut Findings) {
    findings.require(!texts.0.is_empty(), path, SectionError::Nothing("a series selector"));
    for text in &texts.0 {
        if let Err(error) = text.parse::<Selector>() {
            findings.add(path, SectionError::Selector(text.clone(), error.to_string()));
        }
    }
}

fn selectors(texts: &OneOrMany) -> Vec<Selector> {
    texts.0.iter().filter_map(|text| text.parse().ok()).collect()
}

fn millis(duration: PromDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
