//! What contexts do with scores: which are for a series, what holds at a time, and what was announced.

use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Pipeline;
use super::observe::Observer;
use crate::context::{Board, Effect};
use crate::detect::Judgement;
use crate::inject::Emit;
use crate::series::Series;

/// Reads what contexts hold when the metrics are read.
#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<Pipeline>);

// === impl Observer ===

impl<E: Emit> Observer<'_, E> {
    /// What is done with a score of `series` at `at_ms`.
    #[inline]
    pub(super) fn effect_at(&self, series: &mut Series, at_ms: i64) -> Option<Effect> {
        if series.context.is_outdated(self.board) {
            self.attach(series);
        }
        series.context.effect_at(self.board, at_ms)
    }

    #[cold]
    fn attach(&self, series: &mut Series) {
        let labels: Vec<_> = series.labels.scored().collect();
        series.context.attach(self.board, &labels);
    }

    /// Whether `series` learns nothing from its sample at `at_ms`.
    #[inline]
    pub(super) fn is_suppressed(&self, series: &mut Series, at_ms: i64) -> bool {
        self.effect_at(series, at_ms) == Some(Effect::Suppress)
    }

    /// What is said of the sample at `at_ms` that was `judged`.
    #[inline]
    pub(super) fn in_context(&self, series: &mut Series, at_ms: i64, judged: Judgement) -> Judgement {
        match self.effect_at(series, at_ms) {
            None => judged,
            Some(effect) => self.weigh(series, at_ms, judged, effect),
        }
    }

    #[cold]
    fn weigh(&self, series: &Series, at_ms: i64, judged: Judgement, effect: Effect) -> Judgement {
        if self.teach && judged.score >= 1.0 {
            series
                .context
                .deciding(self.board, at_ms)
                .into_iter()
                .for_each(|context| context.count_anomaly());
        }
        if effect.silences() { Judgement { score: 0.0, ..judged } } else { judged }
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// The contexts in force.
    pub fn board(&self) -> Arc<Board> {
        self.settings.read().board()
    }

    /// Puts in force what `change` makes of the contexts, if it makes something of them, from the next batch on.
    pub fn change_board<T>(&self, change: impl FnOnce(&Board) -> (Option<Board>, T)) -> T {
        // While this is held no configuration takes the place of the one that is changed.
        let settings = self.settings.read();
        let mut board = settings.board.write();
        let (changed, told) = change(&board);
        if let Some(changed) = changed {
            *board = Arc::new(changed);
        }
        told
    }
}

// === impl Gauges ===

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let board = self.0.board();
        let gauges = [
            (
                "sidelong_context_calendars",
                "Contexts of the configuration (context.calendars)",
                board.calendars(),
            ),
            (
                "sidelong_context_announced",
                "Contexts that were announced; bounded by context.announce.max_announced",
                board.announced().len(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let mut family = encoder.encode_descriptor(
            "sidelong_context_anomalies",
            "Samples judged as 1 or above, and steps that absent series missed, while a context held, by its name and by what it does with scores",
            None,
            MetricType::Counter,
        )?;
        for (name, effect, count) in board.anomalies() {
            let labels = [("context", name), ("effect", effect.as_str())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A place for the contexts that are in force.
pub(super) type Place = RwLock<Arc<Board>>;
