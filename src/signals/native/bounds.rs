//! Where the buckets of a native histogram lie.

use super::math;

/// The finest resolution that is reckoned with. Finer ones are lowered to it, as Prometheus does.
pub(super) const FINEST: i32 = 8;

/// The upper bound of the exponential bucket `index`, which is the lower bound of the next one. Above the greatest
/// number there is only infinity: the bucket that would reach beyond it ends there.
pub(super) fn exponential(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * math::exp2(-f64::from(schema));
    if exponent == 1024.0 { f64::MAX } else { math::exp2(exponent) }
}

/// The bucket in which bucket `index` lies if the resolution is lowered by `by`.
pub(super) fn lowered(index: i32, by: i32) -> i32 {
    (index.saturating_sub(1) >> by.clamp(0, 31)) + 1
}
