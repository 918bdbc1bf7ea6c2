//! From scores to the series that are sent along.

mod heard;
mod names;
mod page;
mod workload;

use std::sync::Arc;

use crate::batch::Sample;
use crate::detect::Judgement;
use crate::series::labels::{Pair, SeriesLabels};

pub use heard::{Heard, Hearing, Keep};
pub use names::{Fan, Fans, Injected, Names, TemplateError};
pub use page::PageScores;
pub use workload::{Replica, Telling, Workload, Workloads};

/// One sample of an injected series: what the forwarder sends and the pull door appends.
#[derive(Clone, Debug)]
pub struct ScoreSample {
    /// The labels of the injected series but its name; they live as long as somebody holds them, so a
    /// score that waits in a queue survives the eviction of its series.
    pub labels: Arc<SeriesLabels>,
    /// The `__name__` pair: `anomaly_score`, `yhat`, ... as the name template spells it.
    pub name: &'static Pair,
    /// The score and the timestamp of the sample that it judges.
    pub sample: Sample,
}

/// Takes what the corridor injects, one sample at a time, in order per series.
pub trait Emit {
    /// Takes one sample of the series called `name` with `labels`.
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample);

    /// Told of each sample that the series of `labels` has taken and that teaches, with what was said of it: not a number
    /// where nothing was. Most have no use for it.
    #[inline]
    fn hear(&mut self, _labels: &Arc<SeriesLabels>, _sample: Sample, _judged: Judgement) {}
}

impl Emit for Vec<ScoreSample> {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.push(ScoreSample { labels: Arc::clone(labels), name, sample });
    }
}
