//! What came of one batch: counted locally, added to the metrics once.

use super::totals::{PLACES, place};
use crate::signals::absence::Cause;

/// Why something passed without a score. The data itself always passes.
///
/// Up to [`Reason::Overload`] one whole request or page is counted, from there on single samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The body is beyond a limit of decoding.
    Limit,
    /// The body could not be decoded.
    Undecodable,
    /// As many tenants are known as are allowed, and none is idle.
    TenantLimit,
    /// As many targets are known as are allowed, and none is idle.
    TargetLimit,
    /// The scorer had too much waiting, or did not answer within its budget.
    Overload,
    /// The detector panicked; the series starts anew.
    Panic,
    /// The table of series is full, and nothing in it is idle or less important.
    SeriesLimit,
    /// The tenant or target has as many series as one may have.
    ScopeLimit,
    /// Labels that are not text, or that name no metric.
    Labels,
    /// The sample is further ahead of the clock than allowed.
    Future,
    /// The sample is older than its series' newest.
    OutOfOrder,
    /// Another value at the timestamp of its series' newest sample.
    Duplicate,
    /// NaN or infinite.
    NotFinite,
    /// Scored, but as many score series are being sent as may be.
    ScoreLimit,
    /// Scored, but the stream has a series of its own that is called what the score series would be.
    Clash,
    /// Of a replica that is not the elected one of its pair.
    Replica,
}

/// What came of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples that were given a score.
    pub scored: u64,
    /// Samples that were given a score of at least 1.
    pub anomalous: u64,
    /// Alerts: how often the score of a series rose to 1 or more.
    pub alerts: u64,
    /// The time that was scored, in milliseconds: from sample to sample of each series, gaps up to an hour.
    pub scored_ms: u64,
    /// The same, each series by the alerts a week that its rule allows.
    pub allowed_ms: u64,
    /// Samples of series that no rule selects.
    pub unselected: u64,
    /// Stale markers passed on to score series.
    pub stale: u64,
    /// Samples of parts that came after their step was closed.
    pub late: u64,
    /// Times that a series did not become a part of a group, or was not watched with those of its replica, since there
    /// were as many as allowed.
    pub groups_refused: u64,
    /// Series that went on with what another one had learned.
    pub inherited: u64,
    /// Series that became absent, by how they stopped.
    pub absences: [u64; Cause::ALL.len()],
    /// Scores that were no numbers.
    pub not_finite: u64,
    /// Scores by how high they were, on the scale of [`Counts`](super::Counts).
    pub(super) scores: [u32; PLACES],
    unscored: [u64; Reason::ALL.len()],
}

// === impl Reason ===

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::Limit,
        Self::Undecodable,
        Self::TenantLimit,
        Self::TargetLimit,
        Self::Overload,
        Self::Panic,
        Self::SeriesLimit,
        Self::ScopeLimit,
        Self::Labels,
        Self::Future,
        Self::OutOfOrder,
        Self::Duplicate,
        Self::NotFinite,
        Self::ScoreLimit,
        Self::Clash,
        Self::Replica,
    ];

    /// The value of the metric label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Undecodable => "undecodable",
            Self::TenantLimit => "tenant_limit",
            Self::TargetLimit => "target_limit",
            Self::Overload => "overload",
            Self::Panic => "panic",
            Self::SeriesLimit => "series_limit",
            Self::ScopeLimit => "scope_limit",
            Self::Labels => "labels",
            Self::Future => "future",
            Self::OutOfOrder => "out_of_order",
            Self::Duplicate => "duplicate",
            Self::NotFinite => "not_finite",
            Self::ScoreLimit => "score_limit",
            Self::Clash => "clash",
            Self::Replica => "replica",
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Counts a score.
    #[inline]
    pub(super) fn count_score(&mut self, score: f64) {
        self.scored += 1;
        self.scores[place(score)] += 1;
        self.not_finite += u64::from(!score.is_finite());
    }

    /// Counts what passes without a score.
    #[inline]
    pub fn unscored(&mut self, reason: Reason, count: u64) {
        self.unscored[reason as usize] += count;
    }

    /// How much passed without a score for `reason`.
    pub fn unscored_for(&self, reason: Reason) -> u64 {
        self.unscored[reason as usize]
    }
}
