//! How many coefficients a model has.

use std::fmt;

use super::Error;

/// Largest number of autoregressive, and of moving-average, terms.
pub(super) const MAX_TERMS: usize = 5;
/// Largest number of differences.
pub(super) const MAX_DIFFERENCES: usize = 2;

/// How many coefficients a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    p: usize,
    d: usize,
    q: usize,
    mean: bool,
}

// === impl Order ===

impl Order {
    /// `p` autoregressive terms (at most 5), `d` differences (at most 2), `q` moving-average terms (at most 5).
    ///
    /// Without differences the mean is estimated too, unless [`Self::without_mean`] is called. With differences there is never
    /// one: it would be a trend that goes on for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] beyond these bounds.
    pub const fn new(p: usize, d: usize, q: usize) -> Result<Self, Error> {
        if p > MAX_TERMS || q > MAX_TERMS || d > MAX_DIFFERENCES {
            return Err(Error::Order { p, d, q });
        }
        Ok(Self { p, d, q, mean: d == 0 })
    }

    /// The same with the mean fixed at 0.
    #[must_use]
    pub const fn without_mean(self) -> Self {
        Self { mean: false, ..self }
    }

    /// Autoregressive terms.
    pub const fn p(self) -> usize {
        self.p
    }

    /// Differences.
    pub const fn d(self) -> usize {
        self.d
    }

    /// Moving-average terms.
    pub const fn q(self) -> usize {
        self.q
    }

    /// Whether the mean is estimated.
    pub const fn has_mean(self) -> bool {
        self.mean
    }

    /// What is estimated of one series: the terms, the mean and the variance of the innovations.
    pub const fn parameters(self) -> usize {
        self.p + self.q + self.own_parameters()
    }

    /// What of it is a series' own in a group.
    pub(super) const fn own_parameters(self) -> usize {
        1 + self.mean as usize
    }

    /// Differenced samples that a fit takes at least. AICc is defined from two more than parameters on; a likelihood on so few
    /// is nearly unbounded, so it is two for each parameter and four more.
    pub(super) const fn samples_needed(self) -> usize {
        2 * self.parameters() + 4
    }
}

/// As in `ARIMA(1,0,1) with mean`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ARIMA({},{},{})", self.p, self.d, self.q)?;
        if self.mean { f.write_str(" with mean") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_beyond_the_bounds_is_refused_with_what_they_are() {
        for (p, d, q) in [(6, 0, 0), (0, 3, 0), (0, 0, 6)] {
            let refused = Order::new(p, d, q).unwrap_err().to_string();
            assert!(refused.contains(&format!("({p},{d},{q})")) && refused.contains("0 to 5"), "{refused}");
        }
    }

    #[test]
    fn only_what_is_not_differenced_has_a_mean() {
        assert_eq!(Order::new(1, 0, 1).unwrap().to_string(), "ARIMA(1,0,1) with mean");
        assert_eq!(Order::new(1, 0, 1).unwrap().parameters(), 4);
        assert_eq!(Order::new(1, 0, 1).unwrap().without_mean().to_string(), "ARIMA(1,0,1)");
        assert_eq!(Order::new(0, 1, 1).unwrap().parameters(), 2);
    }
}
