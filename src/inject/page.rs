//! The scores of one page.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Emit, ScoreSample};
use crate::batch::{Sample, is_stale_marker};
use crate::series::labels::{Pair, SeriesLabels};

/// Collects the scores of one page, each series once.
///
/// A series that stands twice on its page is scored by the first line, as Prometheus stores it (P13, P14). A
/// series ends on a page by not being there, so stale markers are left out.
#[derive(Debug, Default)]
pub struct PageScores {
    scores: Vec<ScoreSample>,
    /// Label sets and names by their place in memory, where they stay while `scores` holds them.
    met: HashSet<(*const SeriesLabels, *const Pair), foldhash::fast::RandomState>,
}

impl PageScores {
    /// What was collected, in order.
    pub fn into_scores(self) -> Vec<ScoreSample> {
        self.scores
    }
}

impl Emit for PageScores {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        if !is_stale_marker(sample.value) && self.met.insert((Arc::as_ptr(labels), name)) {
            self.scores.emit(labels, name, sample);
        }
    }
}
