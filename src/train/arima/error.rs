//! Why there is no model.

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The order is larger than what is supported.
    #[error("order ({p},{d},{q}) is out of bounds: p and q may be 0 to 5, d 0 to 2")]
    Order {
        /// Autoregressive terms asked for.
        p: usize,
        /// Differences asked for.
        d: usize,
        /// Moving-average terms asked for.
        q: usize,
    },
    /// The coefficients are not those of the order.
    #[error("an order with {expected} {what} coefficients was given {given}")]
    Coefficients {
        /// Which coefficients.
        what: &'static str,
        /// As the order has it.
        expected: usize,
        /// As given.
        given: usize,
    },
    /// Shocks would grow instead of fading.
    #[error("the autoregressive coefficients are not those of a stationary process")]
    NotStationary,
    /// Innovations cannot be told from the past of the series.
    #[error("the moving-average coefficients are not those of an invertible process")]
    NotInvertible,
    /// Less is known of the series than the model needs.
    #[error(
        "{have} samples are left after differencing, the model needs {need}: give a longer series or a smaller order"
    )]
    TooFewSamples {
        /// Differenced samples that are not missing.
        have: usize,
        /// What the order takes.
        need: usize,
    },
    /// There is nothing to explain.
    #[error("the series is constant after {d} differences: there is nothing to fit")]
    Constant {
        /// Differences taken.
        d: usize,
    },
    /// A sample, or a difference of samples, is infinite.
    #[error(
        "the sample at index {index} is not finite or too large to be differenced: mark a missing sample with NaN"
    )]
    NotFinite {
        /// Where, from 0.
        index: usize,
    },
    /// The group has more series than are fitted at once.
    #[error("a group of {series} series is larger than {most}: give a sample of its series")]
    TooManySeries {
        /// Series given.
        series: usize,
        /// The bound.
        most: usize,
    },
    /// A series of the group is longer than what is fitted at once.
    #[error("series {index} of the group has {samples} samples, at most {most} are taken: give the newest")]
    TooManySamples {
        /// Which series, from 0.
        index: usize,
        /// Its length.
        samples: usize,
        /// The bound.
        most: usize,
    },
    /// No series of the group can be fitted.
    #[error(
        "none of the {series} series of the group can be fitted: all are too short, constant or not finite"
    )]
    NoSeries {
        /// Series given.
        series: usize,
    },
    /// No order that was tried gave a model.
    #[error("none of the {tried} orders that were tried gave a usable model")]
    NoOrder {
        /// How many.
        tried: usize,
    },
    /// Numbers too extreme for the likelihood to be computed.
    #[error("the likelihood could not be computed for any starting value")]
    NoLikelihood,
}
