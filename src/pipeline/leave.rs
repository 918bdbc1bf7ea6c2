//! Series that leave: what they held is free for others. What they have learned stays until their place in the
//! table is needed.

use std::sync::atomic::Ordering;

use super::Pipeline;
use crate::series::{Series, Standing};

// === impl Pipeline: leaving ===

impl Pipeline {
    /// Counts `series` where it stands from now on.
    pub(super) fn stand(&self, series: &mut Series, standing: Standing) {
        let before = std::mem::replace(&mut series.standing, standing);
        if before == Standing::Out {
            series.workload = self.workloads.of(series.scope(), &series.labels, self.series.interner());
        }
        let Some(workload) = &series.workload else { return };
        workload.count_scored(standing.scored() - before.scored());
        workload.count_anomalous(standing.anomalous() - before.anomalous());
        if standing == Standing::Out {
            series.workload = None;
        }
    }

    /// Takes from `series` its part of the score series that may be sent, and its place in the counts.
    pub(super) fn retire(&self, series: &mut Series) {
        self.release(series);
        if series.standing != Standing::Out {
            self.stand(series, Standing::Out);
        }
    }

    /// Gives back what `series` has claimed of the score series that may be sent.
    pub(super) fn release(&self, series: &mut Series) {
        self.injected.fetch_sub(usize::from(std::mem::take(&mut series.emitting)), Ordering::Relaxed);
    }
}
