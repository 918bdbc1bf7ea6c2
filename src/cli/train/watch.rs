//! Leads each series through the corridor, and hands what the detector saw to who trains.

use std::collections::BTreeMap;

use crate::backtest::{Corridor, Incidents, Series};
use crate::cli::judge::{Judge, Suppressed};
use crate::cli::source::{RowIter, Take};
use crate::detect::{Calibrated, Explanation};
use crate::train::{Gatherer, Part, Recent};

/// What comes of the series of a source.
pub(super) struct Watch<'a> {
    judge: &'a Judge,
    mask: &'a Incidents,
    gatherer: Gatherer,
    walkers: BTreeMap<Series, Walker<'a>>,
}

/// One series on its way.
struct Walker<'a> {
    fingerprint: u64,
    corridor: Corridor,
    suppressed: Suppressed<'a>,
    incidents: Vec<[i64; 2]>,
    samples: u64,
    /// What is fitted, where series are grouped.
    recent: Recent,
}

// === impl Watch ===

impl<'a> Watch<'a> {
    pub(super) fn new(judge: &'a Judge, mask: &'a Incidents, gatherer: Gatherer) -> Self {
        Self { judge, mask, gatherer, walkers: BTreeMap::new() }
    }

    pub(super) fn finish(mut self) -> Part {
        let warm_up = self.gatherer.growth().warm_up;
        if let Some(groups) = self.gatherer.groups() {
            for (series, walker) in &self.walkers {
                let label = series.labels().find(|(name, _)| *name == groups.by);
                if let Some((_, value)) = label {
                    groups.offer(value, walker.fingerprint, &walker.recent);
                }
            }
        }
        let used = self.walkers.values().filter(|walker| walker.samples > warm_up).count();
        self.gatherer.seen().series = used as u64;
        self.gatherer.finish()
    }
}

impl Take for Watch<'_> {
    fn expect_several(&mut self) {}

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        let fingerprint = xxhash_rust::xxh3::xxh3_64(series.to_string().as_bytes());
        if !self.gatherer.has(fingerprint) {
            // What cannot be read is to be told by every shard.
            for row in rows {
                drop(row?);
            }
            return Ok(());
        }
        if !self.walkers.contains_key(series) {
            let labels: Vec<_> = series.labels().collect();
            let walker = Walker {
                fingerprint,
                corridor: self.judge.corridor(series)?,
                suppressed: self.judge.suppressed(series),
                incidents: self
                    .mask
                    .of(&labels)
                    .map(|(_, incident)| [incident.from_ms, incident.to_ms])
                    .collect(),
                samples: 0,
                recent: Recent::default(),
            };
            self.walkers.insert(series.clone(), walker);
        }
        let Some(walker) = self.walkers.get_mut(series) else { return Ok(()) };
        for row in rows {
            walker.step(row?.sample, &mut self.gatherer);
        }
        Ok(())
    }
}

// === impl Walker ===

impl Walker<'_> {
    fn step(&mut self, sample: crate::batch::Sample, gatherer: &mut Gatherer) {
        let at_ms = sample.timestamp_ms;
        let Some(said) = self.corridor.hear(sample) else { return };
        self.samples += 1;
        gatherer.seen().sample(at_ms);
        let is_incident = self.incidents.iter().any(|[from, to]| (*from..*to).contains(&at_ms));
        if is_incident || self.suppressed.at(at_ms) {
            gatherer.seen().masked += 1;
            return;
        }
        if gatherer.groups().is_some() {
            self.recent.push(at_ms, said.judged);
        }
        if self.samples <= gatherer.growth().warm_up {
            return;
        }
        if let Some(Explanation { rarities: Calibrated { short, season, hour, energy }, .. }) =
            self.corridor.explain()
        {
            gatherer.take(self.fingerprint, at_ms, [short, season, hour, energy]);
        }
    }
}
