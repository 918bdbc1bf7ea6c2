//! From scores to the series that are sent along.

use std::sync::Arc;

use crate::batch::Sample;
use crate::series::labels::{Pair, SeriesLabels};

/// One sample of an injected series: what the forwarder sends and the pull door appends.
#[derive(Clone, Debug)]
pub struct ScoreSample {
    /// The labels of the injected series but its name; they live as long as somebody holds them, so a
    /// score that waits in a queue survives the eviction of its series.
    pub labels: Arc<SeriesLabels>,
    /// The `__name__` pair: `anomaly_score`, `yhat`, ... as the name template spells it.
    pub name: Arc<Pair>,
    /// The score and the timestamp of the sample that it judges.
    pub sample: Sample,
}
