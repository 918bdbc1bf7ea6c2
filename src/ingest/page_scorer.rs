//! Has pages scored on the scorer threads, for the pull door.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::remote_write::PushMetrics;
use super::scrape::{PageScorer, ScoreFuture, ScrapedPage};
use super::{Scorers, kept};
use crate::inject::{Keep, PageScores, ScoreSample};
use crate::pipeline::{Pipeline, Reason, Visit, Wiring};
use crate::series::{Scope, ScopeName, Spelling};

/// Scores pages in the same corridor, on the same threads as pushed samples.
#[derive(Clone, Debug)]
pub struct PipelineScorer {
    /// The corridor.
    pub pipeline: Arc<Pipeline>,
    /// Its threads.
    pub scorers: Arc<Scorers>,
    /// Where the tallies go.
    pub metrics: Arc<PushMetrics>,
    /// Milliseconds since the epoch.
    pub clock: fn() -> i64,
    /// Who keeps what the corridor has heard.
    pub keep: Option<Arc<dyn Keep>>,
}

// === impl PipelineScorer ===

impl PipelineScorer {
    fn scope(&self, target: &str) -> Option<Arc<Scope>> {
        self.pipeline.scope(&ScopeName::Target(target.into()), (self.clock)())
    }

    /// Hands the page to its scorer; the answer comes when it is done.
    async fn submit(&self, page: ScrapedPage) -> Result<oneshot::Receiver<Vec<ScoreSample>>, Reason> {
        let scope = self.scope(&page.target).ok_or(Reason::TargetLimit)?;
        let (answer, scores) = oneshot::channel();
        let (pipeline, metrics, home) =
            (Arc::clone(&self.pipeline), Arc::clone(&self.metrics), Arc::clone(&scope));
        let keep = self.keep.clone();
        let bytes = page.page.held_bytes();
        let work = move |_: &mut super::Desk| {
            let visit = Visit {
                scope: &home,
                batch: page.page.batch(),
                labels: &**page.page,
                now_ms: page.scraped_at_ms,
                wiring: Wiring::Page { teach: page.teach },
            };
            let mut out = PageScores::default();
            metrics.add(&kept::score(&pipeline, &visit, &mut out, keep.as_deref()));
            // Where the door has stopped waiting, the page has gone out without its scores.
            drop(answer.send(out.into_scores()));
        };
        self.scorers.submit(&scope, bytes, work).await.map_err(|_| Reason::Overload)?;
        Ok(scores)
    }
}

impl PipelineScorer {
    async fn scores(self, page: ScrapedPage) -> Vec<ScoreSample> {
        if self.pipeline.settings().select_nothing() {
            return Vec::new(); // nothing can be selected
        }
        match self.submit(page).await {
            // A job that panics drops its answer; the page then ends without scores.
            Ok(scores) => scores.await.unwrap_or_default(),
            Err(reason) => {
                self.metrics.unscored(reason);
                Vec::new()
            }
        }
    }
}

impl PageScorer for PipelineScorer {
    fn key_seed(&self, target: &str) -> u64 {
        // A page of a target beyond the limit is never scored, so its keys do not matter.
        self.scope(target).map_or(0, |scope| scope.seed(Spelling::Text))
    }

    fn score(&self, page: ScrapedPage) -> ScoreFuture {
        let scorer = self.clone();
        Box::pin(async move { scorer.scores(page).await })
    }
}
