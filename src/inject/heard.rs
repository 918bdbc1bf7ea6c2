//! The samples themselves, with what was said of them, for whoever keeps them.

use std::fmt::Debug;
use std::sync::Arc;

use super::Emit;
use crate::batch::Sample;
use crate::detect::Judgement;
use crate::series::Scope;
use crate::series::labels::{Pair, SeriesLabels};

/// A sample that a series has taken, and what was said of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Labels of the series.
    pub labels: Arc<SeriesLabels>,
    /// The sample as it came.
    pub sample: Sample,
    /// What was said of it; not a number where nothing was.
    pub judged: Judgement,
}

/// Takes what was heard in a batch. It is called on a scorer thread, so it never waits.
pub trait Keep: Debug + Send + Sync {
    /// Takes what was heard of series of `scope`, in the order in which each of them brought it.
    fn keep(&self, scope: &Arc<Scope>, heard: Vec<Heard>);
}

/// Lets `out` have what is emitted, and holds what is heard where somebody keeps it.
#[derive(Debug)]
pub struct Hearing<'a, E> {
    out: &'a mut E,
    heard: Option<Vec<Heard>>,
}

// === impl Hearing ===

impl<'a, E: Emit> Hearing<'a, E> {
    /// Emits into `out`; hears where there is somebody to `keep` it, up to `samples` without asking for more memory.
    pub fn new(out: &'a mut E, keep: Option<&dyn Keep>, samples: usize) -> Self {
        Self { out, heard: keep.map(|_| Vec::with_capacity(samples)) }
    }

    /// What was heard.
    pub fn into_heard(self) -> Vec<Heard> {
        self.heard.unwrap_or_default()
    }
}

impl<E: Emit> Emit for Hearing<'_, E> {
    #[inline]
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.out.emit(labels, name, sample);
    }

    #[inline]
    fn hear(&mut self, labels: &Arc<SeriesLabels>, sample: Sample, judged: Judgement) {
        if let Some(heard) = &mut self.heard {
            heard.push(Heard { labels: Arc::clone(labels), sample, judged });
        }
    }
}
