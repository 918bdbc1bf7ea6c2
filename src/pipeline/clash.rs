//! Series of the stream that are called what a score series would be called: theirs is the name.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::Pipeline;
use super::leave::Farewell;
use super::settings::Settings;
use crate::batch::Key;
use crate::inject::{Fans, Injected};
use crate::rules::Outputs;
use crate::series::Scope;
use crate::series::labels::{EXPORTED_FOR, EXPORTED_PART, FOR, METRIC_NAME, PART, SeriesLabels};

/// What the streams have of their own, by scope and labels, until the next reload.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The lock is held across nothing else.
    names: RwLock<HashSet<(Key, Claimed), foldhash::fast::RandomState>>,
    count: AtomicUsize,
}

/// What of a series is called as one of the stream's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Claimed {
    /// One output.
    Output(Injected),
    /// A forecast: all of a series are taken together.
    Forecasts,
}

// === impl Taken ===

impl Taken {
    fn insert(&self, key: Key, claimed: Claimed, limit: usize) {
        let mut names = self.names.write();
        if names.len() < limit {
            names.insert((key, claimed));
            self.count.store(names.len(), Ordering::Relaxed);
        }
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Forgets everything: under other names something else is taken.
    pub(super) fn clear(&self) {
        self.names.write().clear();
        self.count.store(0, Ordering::Relaxed);
    }
}

// === impl Pipeline: clashes ===

impl Pipeline {
    /// Whether the stream has a series of its own called as one of `claims` with `labels`.
    pub(super) fn is_taken(
        &self,
        scope: &Scope,
        labels: &SeriesLabels,
        mut claims: impl Iterator<Item = Claimed>,
    ) -> bool {
        if self.taken.is_empty() {
            return false;
        }
        let pairs = labels.pairs().iter().map(|pair| (pair.name(), pair.value()));
        let key = self.series.key(scope, pairs);
        let names = self.taken.names.read();
        claims.any(|claimed| names.contains(&(key, claimed)))
    }

    /// Takes note of a series of the stream, of labels `sorted`, if a score series could be called the same. One
    /// that is being sent stops without a stale marker, which would end the user's; what else was made of its
    /// scored series ends by the farewell.
    #[cold]
    pub(super) fn give_way(
        &self,
        settings: &Settings,
        scope: &Scope,
        sorted: &[(&str, &str)],
    ) -> Option<Farewell> {
        let (_, name) = sorted.iter().find(|(name, _)| *name == METRIC_NAME)?;
        let output = Injected::ALL.into_iter().find(|output| settings.names.of(*output).value() == *name);
        let claimed = match output {
            Some(output) => Claimed::Output(output),
            None if settings.names.is_forecast(name) => Claimed::Forecasts,
            None => return None,
        };
        // The parts of one score are taken together.
        let has_parts = output == Some(Injected::AnomalyPart);
        let labels = || {
            let own = sorted.iter().copied().filter(|(name, _)| *name != METRIC_NAME);
            let without_part = own.filter(move |(name, _)| !(has_parts && *name == PART));
            without_part.map(move |(name, value)| match name {
                EXPORTED_PART if has_parts => (PART, value),
                _ => (name, value),
            })
        };
        let mut base: Vec<_> = labels().collect();
        base.sort_unstable();
        self.taken.insert(self.series.key(scope, base.into_iter()), claimed, settings.limits.max_series);
        let scored = labels().map(|(name, value)| match name {
            FOR => (METRIC_NAME, value),
            EXPORTED_FOR => (FOR, value),
            _ => (name, value),
        });
        let id = self.series.look_up(scope, scored.collect())?;
        self.series.with(id, |series| {
            let names = settings.names_of(series.generation);
            if claimed == Claimed::Forecasts {
                let fans = self.give_up_forecasts(series, &Fans::default());
                let others = fans.names().filter(|forecast| forecast.value() != *name).collect();
                return Farewell::of(series, Outputs::NONE, others, names);
            }
            let taken: Outputs =
                series.emitting.iter().filter(|sent| Some(Injected::from(*sent)) == output).collect();
            if taken.is_empty() {
                return None;
            }
            let others = self.release(series).without(taken);
            Farewell::of(series, others, Vec::new(), names)
        })?
    }
}
