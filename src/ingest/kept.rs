//! Has a batch scored, and hands what was heard on to whoever keeps it.

use crate::inject::{Emit, Hearing, Keep};
use crate::pipeline::{Pipeline, Tally, Visit};

/// Scores `visit` into `out`. What was heard on the way is handed to `keep` behind the batch, as a whole.
pub(super) fn score(
    pipeline: &Pipeline,
    visit: &Visit<'_>,
    out: &mut impl Emit,
    keep: Option<&dyn Keep>,
) -> Tally {
    let mut hearing = Hearing::new(out, keep, visit.batch.samples.len());
    let tally = pipeline.score(visit, &mut hearing);
    let heard = hearing.into_heard();
    if let Some(keep) = keep.filter(|_| !heard.is_empty()) {
        keep.keep(visit.scope, heard);
    }
    tally
}
