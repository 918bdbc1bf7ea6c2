//! What is remembered of a series beyond the life of a process.

use std::sync::Arc;

use super::Pipeline;
use super::observe::seconds;
use super::settings::Settings;
use crate::batch::Sample;
use crate::detect::State;
use crate::series::{Newcomer, Refused, Scope, ScopeName, Series};
use crate::signals::{Habit, Joining, Memberships, Signal};

/// A series, and what its samples have taught.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Who owns it.
    pub scope: ScopeName,
    /// Its labels, sorted by name, the metric name as `__name__`.
    pub labels: Vec<(String, String)>,
    /// What of it is judged.
    pub signal: Signal,
    /// Whether it was made of others.
    pub made: bool,
    /// The last sample that has taught.
    pub taught: Option<Sample>,
    /// The newest sample: judged, not yet learned from.
    pub newest: Option<Sample>,
    /// The score that the newest sample was given.
    pub score: Option<f64>,
    /// What its samples have taught.
    pub state: State,
    /// What is usual for it, if its end would be missed.
    pub habit: Option<Box<Habit>>,
}

/// Why a memory is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// No rule selects the series, or one that judges something else of it.
    Rules,
    /// There is no room for it.
    Room,
    /// The series is being scored already.
    Known,
}

// === impl Pipeline ===

impl Pipeline {
    /// What is remembered of the series in the `chunk`-th part of the table, of as many as
    /// [`crate::series::Table::chunks`] says.
    pub fn memories(&self, chunk: u32) -> Vec<Memory> {
        let mut memories = Vec::new();
        self.series.for_chunk(chunk, |_, series| {
            // What peers are to each other is said anew, and of what nothing is made by itself nothing was learned.
            let is_learned = series.given.is_none() || !series.state.is_blank();
            if is_learned && !series.histograms {
                memories.push(Memory::of(series));
            }
        });
        memories
    }

    /// Goes on with a series where `memory` left it. Its next sample is judged by all that was learned before.
    ///
    /// # Errors
    ///
    /// Why the series begins anew instead, when it comes.
    pub fn recall(&self, memory: Memory, now_ms: i64) -> Result<(), Forgotten> {
        let settings = self.settings();
        let sorted: Vec<_> = memory.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let rule = match memory.made {
            // Whether it is made still shows when its parts come; until then it is as any series that is idle.
            true if settings.signals.is_empty() => None,
            true => settings.select_made(&sorted),
            false => settings.select(&sorted),
        };
        let rule = rule.ok_or(Forgotten::Rules)?;
        let plan = settings.plan(rule);
        let metric = sorted.iter().find(|(name, _)| *name == crate::series::labels::METRIC_NAME);
        if plan.signal(metric.map_or("", |(_, value)| value), memory.made) != memory.signal {
            return Err(Forgotten::Rules);
        }
        let scope = self.scope(&memory.scope, now_ms).ok_or(Forgotten::Room)?;
        let key = self.series.key(&scope, sorted.iter().copied());
        let newcomer = Newcomer { scope: &scope, key, sorted: &sorted, now_s: seconds(now_ms) };
        match self.series.recognise(&newcomer) {
            Ok(None) => {}
            Ok(Some(_)) | Err(Refused::Collision) => return Err(Forgotten::Known),
            Err(Refused::TableFull | Refused::ScopeFull) => return Err(Forgotten::Room),
        }
        if self.series.len() >= settings.limits.max_series
            || scope.series() >= settings.limits.max_series_per_scope
        {
            return Err(Forgotten::Room);
        }
        let id = self.series.insert(&newcomer, rule, settings.generation).ok_or(Forgotten::Room)?;
        let own = self.series.with(id, |series| Arc::clone(&series.labels)).ok_or(Forgotten::Room)?;
        let memberships = match memory.made {
            true => Memberships::default(),
            false => {
                self.rejoin(&settings, &scope, Joining { labels: &sorted, own: &own, histograms: false })
            }
        };
        self.series.with(id, |series| {
            let Memory { signal, made, taught, newest, score, state, habit, .. } = memory;
            (series.signal, series.taught, series.newest) = (signal, taught, newest);
            (series.score, series.state, series.made) = (score, state, made);
            (series.memberships, series.habit) = (memberships, habit);
            self.watch(&settings, series, id, now_ms);
        });
        if settings.ha_pair.is_some() {
            let replica = settings.replica_of(&scope, &own);
            self.elections.recall(&settings, &scope, &replica, now_ms);
        }
        plan.series.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// The groups that a series is a part of from now on.
    fn rejoin(&self, settings: &Settings, scope: &Scope, joining: Joining<'_>) -> Memberships {
        if settings.signals.is_empty() {
            return Memberships::default();
        }
        // Of those that find no room, the newcomers of the stream tell.
        let mut groups = scope.groups();
        drop(groups.go_by(&settings.signals)); // nothing is made yet
        let (memberships, _) =
            groups.join(&settings.signals, joining, &Memberships::default(), self.series.interner());
        memberships
    }
}

// === impl Memory ===

impl Memory {
    fn of(series: &Series) -> Self {
        let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut labels: Vec<_> = series.labels.scored().map(text).collect();
        labels.sort_unstable();
        Self {
            scope: series.scope().name().clone(),
            labels,
            signal: series.signal,
            made: series.made,
            taught: series.taught,
            newest: series.newest,
            score: series.score,
            state: series.state.clone(),
            habit: series.habit.clone(),
        }
    }

    /// When it was last seen, in milliseconds since the epoch; nothing where it was never.
    pub fn seen_ms(&self) -> Option<i64> {
        self.newest.or(self.taught).map(|sample| sample.timestamp_ms)
    }
}
