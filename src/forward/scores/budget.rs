//! The memory of all scores that wait, whatever lane they wait in.

use prometheus_client::metrics::gauge::Gauge;

/// Bytes of scores that wait for the downstream. The account is the gauge that shows it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    used: Gauge,
}

/// The bytes of one batch. Dropped = given back, so that a batch counts until its last try is over.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    budget: Budget,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(used: Gauge) -> Self {
        Self { used }
    }

    /// Bytes that are held now.
    pub(super) fn used(&self) -> usize {
        usize::try_from(self.used.get()).unwrap_or(0)
    }

    pub(super) fn hold(&self, bytes: usize) -> Held {
        self.used.inc_by(bytes as i64);
        Held { bytes, budget: self.clone() }
    }
}

// === impl Held ===

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes over what `other` holds.
    pub(super) fn join(&mut self, other: &mut Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.dec_by(self.bytes as i64);
    }
}
