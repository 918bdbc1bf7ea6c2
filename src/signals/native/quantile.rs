//! Quantiles, as Prometheus' `histogram_quantile` finds them in native histograms.

use super::observed::Observed;
use super::{bounds, math};

/// A bucket with something in it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

// === impl Observed ===

impl Observed {
    /// The value below which a share `quantile` of the observations lies, interpolated within its bucket: linearly in
    /// the zero bucket and between given bounds, exponentially elsewhere. None where nothing was observed.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let value = self.find(quantile)?;
        value.is_finite().then_some(value)
    }

    fn find(&self, quantile: f64) -> Option<f64> {
        // Observations of NaN are in no bucket, and count as above all others.
        if self.sum.is_nan() || quantile < 0.5 {
            let rank = quantile * self.count;
            let (bucket, below) = reach(self.rising(), rank)?;
            return Some(self.interpolate(bucket, (rank - below) / bucket.count));
        }
        let rank = (1.0 - quantile) * self.count;
        let (bucket, above) = reach(self.falling(), rank)?;
        let through = (above + bucket.count).min(self.count);
        Some(self.interpolate(bucket, (through - rank) / bucket.count))
    }

    fn rising(&self) -> impl Iterator<Item = Bucket> + '_ {
        let negative = self.negative.iter().rev().map(|bucket| self.negative_bucket(bucket));
        negative
            .chain(self.zero_bucket())
            .chain(self.positive.iter().map(|bucket| self.positive_bucket(bucket)))
    }

    fn falling(&self) -> impl Iterator<Item = Bucket> + '_ {
        let positive = self.positive.iter().rev().map(|bucket| self.positive_bucket(bucket));
        positive
            .chain(self.zero_bucket())
            .chain(self.negative.iter().map(|bucket| self.negative_bucket(bucket)))
    }

    fn positive_bucket(&self, &(index, count): &(i32, f64)) -> Bucket {
        let Some(schema) = self.schema else { return self.custom_bucket(index, count) };
        let lower = bounds::exponential(index.saturating_sub(1), schema).max(self.zero_threshold);
        Bucket { lower, upper: bounds::exponential(index, schema), count }
    }

    fn negative_bucket(&self, bucket: &(i32, f64)) -> Bucket {
        let Bucket { lower, upper, count } = self.positive_bucket(bucket);
        Bucket { lower: -upper, upper: -lower, count }
    }

    fn custom_bucket(&self, index: i32, count: f64) -> Bucket {
        let bound = |index: i32| usize::try_from(index).ok().map(|index| self.custom.get(index).copied());
        let lower =
            bound(index.saturating_sub(1)).map_or(f64::NEG_INFINITY, |bound| bound.unwrap_or(f64::INFINITY));
        Bucket { lower, upper: bound(index).flatten().unwrap_or(f64::INFINITY), count }
    }

    /// The zero bucket. It reaches to one side of 0 only if all else lies on that side.
    fn zero_bucket(&self) -> Option<Bucket> {
        let (positive, negative) = (!self.positive.is_empty(), !self.negative.is_empty());
        let lower = if positive && !negative { 0.0 } else { -self.zero_threshold };
        let upper = if negative && !positive { 0.0 } else { self.zero_threshold };
        (self.zero_count > 0.0).then_some(Bucket { lower, upper, count: self.zero_count })
    }

    fn interpolate(&self, bucket: Bucket, fraction: f64) -> f64 {
        let Bucket { mut lower, upper, .. } = bucket;
        if self.schema.is_none() {
            if lower == f64::NEG_INFINITY {
                if upper <= 0.0 {
                    return upper;
                }
                lower = 0.0;
            } else if upper == f64::INFINITY {
                return lower;
            }
        }
        if self.schema.is_none() || (lower <= 0.0 && upper >= 0.0) {
            return lower + (upper - lower) * fraction;
        }
        let (of_lower, of_upper) = (math::log2(lower.abs()), math::log2(upper.abs()));
        if lower > 0.0 {
            math::exp2(of_lower + (of_upper - of_lower) * fraction)
        } else {
            -math::exp2(of_upper + (of_lower - of_upper) * (1.0 - fraction))
        }
    }
}

/// The bucket in which the observation of this rank lies, and how many lie in those before.
fn reach(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let mut before = 0.0;
    for bucket in buckets {
        if before + bucket.count >= rank {
            return Some((bucket, before));
        }
        before += bucket.count;
    }
    None
}
