//! Leads each series through two corridors, the champion's and the challenger's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backtest::{Corridor, Series};
use crate::batch::Sample;
use crate::cli::judge::Judge;
use crate::cli::source::{RowIter, Take};
use crate::evaluate::{Sides, Trial};
use crate::model::Model;

/// What comes of the series of a source.
pub(super) struct Watch<'a> {
    judge: &'a Judge,
    models: Sides<Arc<Model>>,
    walkers: BTreeMap<Series, Walker>,
}

struct Walker {
    corridors: Sides<Corridor>,
    trial: Trial,
}

// === impl Watch ===

impl<'a> Watch<'a> {
    pub(super) fn new(judge: &'a Judge, models: Sides<Arc<Model>>) -> Self {
        Self { judge, models, walkers: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Vec<Trial> {
        self.walkers.into_values().map(|walker| walker.trial).collect()
    }
}

impl Take for Watch<'_> {
    fn expect_several(&mut self) {}

    fn take(&mut self, series: &Series, rows: RowIter<'_>) -> anyhow::Result<()> {
        if !self.walkers.contains_key(series) {
            let corridor = |model: &Arc<Model>| self.judge.corridor_by(Arc::clone(model), series);
            let Sides { champion, challenger } = self.models.map(corridor);
            let corridors = Sides { champion: champion?, challenger: challenger? };
            let trial = Trial { series: series.clone(), ..Trial::default() };
            self.walkers.insert(series.clone(), Walker { corridors, trial });
        }
        let Some(walker) = self.walkers.get_mut(series) else { return Ok(()) };
        for row in rows {
            walker.step(row?.sample);
        }
        Ok(())
    }
}

// === impl Walker ===

impl Walker {
    fn step(&mut self, sample: Sample) {
        // What teaches one side nothing teaches the other nothing.
        let (Some(champion), Some(challenger)) =
            (self.corridors.champion.hear(sample), self.corridors.challenger.hear(sample))
        else {
            return;
        };
        let scores = Sides { champion: champion.score, challenger: challenger.score };
        self.trial.hear(sample.timestamp_ms, champion.judged, scores);
    }
}
