//! What one series has learned.

use std::sync::LazyLock;

use super::autoregression::Autoregression;
use super::calibration::{Calibration, Past};
use super::clock::Clock;
use super::distance::Distances;
use super::energy::Energy;
use super::habit::{Habit, Today};
use super::look::{Look, Seen};
use super::onset::Extremes;
use super::season::{Profiles, Seasons};
use super::settling::Settling;
use crate::detect::kept::kept;
use crate::detect::{Demands, Prior};

/// Samples before a score.
pub const WARM_UP: u32 = 16;
/// The share of the long mean below which nothing is told apart, and the least that is told apart at all.
const RESOLUTION: f64 = 1e-6;
pub(super) const LEAST_VARIANCE: f64 = 1e-280;

/// What one series has learned: what every sample touches. Series lie one behind the other, so that what the next
/// sample needs is on its way from memory already.
#[derive(Clone, Debug, Default)]
pub(in crate::detect) struct State {
    pub(super) samples: u32,
    pub(super) clock: Clock,
    pub(super) today: Today,
    pub(super) short: Autoregression,
    pub(super) distances: Distances,
    pub(super) extremes: Extremes,
    pub(super) energy: Energy,
    pub(super) seasons: Seasons,
    pub(super) calibration: Calibration,
    /// What was made of the newest sample when it was judged: the same is needed to learn from it.
    pub(super) seen: Seen,
    /// Of an heir that has not found its level yet.
    pub(super) settling: Option<Box<Settling>>,
    /// Nothing before the second sample.
    pub(super) slow: Option<Box<Slow>>,
}

/// What one series has learned: what is touched now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slow {
    pub(super) past: Past,
    pub(super) habit: Habit,
    pub(super) profiles: Profiles,
}

/// Of a series that has learned nothing yet.
static NOTHING: LazyLock<Slow> = LazyLock::new(Slow::default);

// === impl State ===

impl State {
    /// Bytes of what one series has learned.
    pub(in crate::detect) const BYTES: usize = size_of::<Self>() + size_of::<Slow>();

    #[inline]
    pub(in crate::detect) fn samples_seen(&self) -> u32 {
        self.samples
    }

    /// Has learned nothing, but begins with what series of its kind have in common.
    pub(in crate::detect) fn beginning_at(prior: &Prior) -> Self {
        Self { short: Autoregression::beginning_at(prior.weights), ..Self::default() }
    }

    /// Whether enough has been seen for a score.
    #[inline]
    pub(in crate::detect) fn is_warm(&self, demands: &Demands) -> bool {
        self.samples >= demands.min_samples.max(WARM_UP) && self.settling.is_none()
    }

    #[inline]
    pub(super) fn slow(&self) -> &Slow {
        self.slow.as_deref().unwrap_or(&NOTHING)
    }

    /// The variance below which nothing is told apart.
    #[inline]
    pub(super) fn least(&self) -> f64 {
        let resolution = RESOLUTION * self.distances.long.mean;
        resolution * resolution + LEAST_VARIANCE
    }

    /// Whether the short-term forecast errs less than the seasonal one.
    #[inline]
    pub(super) fn is_short(&self) -> bool {
        self.short.is_ready() && self.short.error_variance <= self.seasons.error_variance
    }

    /// What is expected by the forecast that speaks, and how far from it ordinary samples are.
    #[inline]
    pub(super) fn band(&self, look: &Look) -> (f64, f64) {
        let (expected, variance, part) = if self.is_short() {
            (look.seen.short, self.short.error_variance * look.pace.steps, 0)
        } else {
            (look.seen.season.expected, self.seasons.error_variance, 1)
        };
        (expected, (f64::from(self.calibration.band(part)) * variance).sqrt())
    }
}

// === kept ===

// What was made of the newest sample is made again. Who is kept in its first minutes keeps the other's level.
kept!(State { samples, clock, today, short, distances, extremes, energy, seasons, calibration, slow } without seen, settling);
kept!(Slow { past, habit, profiles });
