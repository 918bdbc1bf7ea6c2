//! Which rule and which signal would take which series, whatever room there is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::stock::Stock;
use crate::pipeline::Settings;
use crate::rules::Kind;
use crate::series::labels::METRIC_NAME;

/// Counts series as they are read, and keeps those that something asks for.
#[derive(Debug)]
pub struct Census {
    settings: Arc<Settings>,
    /// Series that were read.
    pub series: usize,
    /// Those of them that are native histograms.
    pub histograms: usize,
    /// Series that each rule takes, by its index.
    pub by_rule: Vec<usize>,
    /// Series that rules exclude, by the index of the rule.
    pub excluded: BTreeMap<usize, usize>,
    /// Series of Sidelong's own.
    pub own: usize,
    /// What each entry of `signals` would make, in the order of the configuration.
    pub signals: Vec<Prospects>,
    /// Series that nothing asks for, by metric name.
    pub unselected: HashMap<String, usize>,
    /// Series that only signals are made of.
    pub parts: usize,
    pub(super) stock: Stock,
}

/// What an entry of `signals` would make.
#[derive(Clone, Debug, Default)]
pub struct Prospects {
    /// Series that it would be made of.
    pub parts: usize,
    /// Series that would be made.
    pub series: usize,
    groups: HashSet<u64>,
}

// === impl Prospects ===

impl Prospects {
    /// Groups of series.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
}

// === impl Census ===

impl Census {
    /// Counts by `settings`.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            series: 0,
            histograms: 0,
            by_rule: vec![0; settings.rules.iter().count()],
            excluded: BTreeMap::new(),
            own: 0,
            signals: vec![Prospects::default(); settings.specs().iter().count()],
            unselected: HashMap::new(),
            parts: 0,
            stock: Stock::default(),
            settings,
        }
    }

    /// Counts a series of these labels, sorted, `__name__` among them.
    pub fn count(&mut self, labels: &[(&str, &str)], value: f64, is_histogram: bool) {
        self.series += 1;
        self.histograms += usize::from(is_histogram);
        let (settings, name) = (Arc::clone(&self.settings), name(labels));
        if settings.rules.owns(labels) {
            self.own += 1;
            return;
        }
        // Native histograms have no value that a rule could judge.
        let deciding = settings.rules.deciding(labels).filter(|_| !is_histogram);
        let rule = deciding.filter(|rule| !settings.rules.rule(*rule).exclude);
        let is_part = self.prospect(&settings, labels, is_histogram);
        match (rule, deciding) {
            (Some(rule), _) => self.by_rule[rule.index()] += 1,
            _ if is_part => self.parts += 1,
            (_, Some(excluding)) => *self.excluded.entry(excluding.index()).or_default() += 1,
            _ => *self.unselected.entry(name.to_owned()).or_default() += 1,
        }
        if rule.is_some() || is_part {
            let kind = rule.map_or(Kind::Auto, |rule| settings.rules.rule(rule).kind);
            let rule = rule.map(|rule| rule.index() as u16);
            self.stock.push(labels, value, is_histogram, kind.is_counter(name), rule);
        }
    }

    /// Whether a series is a part of anything.
    fn prospect(&mut self, settings: &Settings, labels: &[(&str, &str)], is_histogram: bool) -> bool {
        let mut is_part = false;
        for (spec, prospects) in settings.specs().iter().zip(&mut self.signals) {
            let Some(prospect) = spec.prospect(labels, is_histogram) else { continue };
            is_part = true;
            prospects.parts += 1;
            prospects.series += prospect.of_part;
            if prospects.groups.insert(prospect.group) {
                prospects.series += prospect.of_group;
            }
        }
        is_part
    }

    /// By what it counts.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}

fn name<'a>(labels: &[(&'a str, &'a str)]) -> &'a str {
    labels.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
}
