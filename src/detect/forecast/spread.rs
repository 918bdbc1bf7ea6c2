//! How far forecasts were off: the distribution of their errors, on either side, in units of their usual size.
//!
//! Errors fade, and a prior stands in for those that have not come yet. An edge of the band is the quantile of both
//! together: what conformal prediction does with the errors of a calibration set, here with those of the series' own
//! past forecasts (Shafer and Vovk, *JMLR* 9, 2008).

use super::super::hybrid::math::log2;
use crate::detect::kept::kept;

const BINS: usize = 20;
/// `log2` of the ratio at the lower edge of the first bin, and bins an octave.
const LOWEST: f32 = -4.0;
const BINS_AN_OCTAVE: f32 = 2.0;
/// Errors that are remembered.
const MEMORY: f32 = 300.0;
/// Errors that the prior weighs as much as.
const PRIOR: f32 = 8.0;
/// Of errors of mean size 1 the share beyond the lower edge of each bin, by the prior: 0.8 exp(-r) + 0.2 exp(-r / 2.5).
const BEYOND: [f32; BINS] = [
    1.0, 0.925_377, 0.896_243, 0.856_720, 0.804_008, 0.735_375, 0.648_971, 0.545_183, 0.428_368, 0.308_088,
    0.198_134, 0.111_803, 0.055_032, 0.023_608, 0.008_421, 0.002_176, 0.000_332, 2.35e-5, 5.5e-7, 2.8e-9,
];
/// Errors that the guess of their size weighs as much as.
const GUESSED: f64 = 3.0;

/// The errors of the past, by side (0 below, 1 above what was expected) and size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    /// The mean size of errors.
    size: f64,
    /// How many have come, up to where anybody asks.
    errors: u32,
    sides: [[f32; BINS]; 2],
}

// === impl Spread ===

impl Spread {
    /// The usual size of an error, `guess` standing in for what has not come yet.
    pub(super) fn size(&self, guess: f64) -> f64 {
        let errors = f64::from(self.errors);
        (errors * self.size + GUESSED * guess) / (errors + GUESSED)
    }

    /// Lets an error teach, when the usual one was `size`.
    pub(super) fn learn(&mut self, error: f64, size: f64, memory: f64) {
        self.errors = self.errors.saturating_add(1);
        let fade = (1.0 / memory).max(1.0 / f64::from(self.errors));
        self.size += fade * (error.abs() - self.size);
        self.sides.iter_mut().flatten().for_each(|count| *count *= 1.0 - 1.0 / MEMORY);
        let ratio = if size > 0.0 { (error.abs() / size).clamp(1e-9, 1e9) as f32 } else { 1.0 };
        let bin = ((log2(ratio) - LOWEST) * BINS_AN_OCTAVE).max(0.0) as usize;
        self.sides[usize::from(error > 0.0)][bin.min(BINS - 1)] += 1.0;
    }

    /// How many usual errors below and above what is expected the edges are that leave out a share of `outside`, half
    /// of it on either side.
    pub(super) fn edges(&self, outside: f64) -> [f64; 2] {
        let total: f32 = self.sides.iter().flatten().sum::<f32>() + PRIOR;
        [0, 1].map(|side| edge(&self.sides[side], 0.5 * outside as f32 * total))
    }
}

/// The ratio beyond which `wanted` of the errors `held` and the prior lie.
fn edge(held: &[f32; BINS], wanted: f32) -> f64 {
    let mut beyond = 0.0;
    for bin in (0..BINS).rev() {
        let prior = BEYOND[bin] - BEYOND.get(bin + 1).unwrap_or(&0.0);
        let count = held[bin] + 0.5 * PRIOR * prior;
        if beyond + count >= wanted {
            let inside = 1.0 - (wanted - beyond) / count.max(f32::MIN_POSITIVE);
            let (low, high) = (lower_edge(bin), lower_edge(bin + 1));
            return low + f64::from(inside.clamp(0.0, 1.0)) * (high - low);
        }
        beyond += count;
    }
    0.0
}

/// The ratio at the lower edge of `bin`.
fn lower_edge(bin: usize) -> f64 {
    const HALF: f64 = std::f64::consts::SQRT_2;
    if bin == 0 {
        return 0.0;
    }
    let octaves = (1_u64 << (bin / 2)) as f64 / 16.0;
    if bin.is_multiple_of(2) { octaves } else { octaves * HALF }
}

// === kept ===

kept!(Spread { size, errors, sides });
