//! From an error to how rare it is in the past of its own series.
//!
//! Each of four numbers has a histogram of its logarithm, whose old samples fade. A number becomes
//! `-log10` of the share of the past that was at least as large. Beyond the past's top tenth that is a
//! Pareto tail fitted to it (Hill's estimate with a weak prior), but never rarer than half of what was seen:
//! a thing that has happened every day for a month is not rare, however far out it lies.
//!
//! The histogram is walked from its upper end, and only for numbers that matter to a score; the fit is
//! renewed every few samples, one part in turn. What an isolation forest says has an end: it is compared with
//! the past as it is, without a fit.
//!
//! Histograms are what is largest of a series' state, and a sample changes one number of each. So samples
//! gather, and are added by eights; the energy alone, which every score asks for, is always up to date.

use super::math::log2;
use crate::detect::kept::kept;

/// Numbers that are calibrated.
pub(super) const PARTS: usize = 5;
/// Of these, the first have a fit.
const FITTED: usize = 4;
/// The energy, whose histogram is up to date.
const ENERGY: usize = 3;
/// Numbers whose histograms lag behind.
const LAGGING: usize = PARTS - 1;
/// By how many samples at the most.
const GATHERED: usize = 8;
const BINS: usize = 19;
/// `log2 z` at the lower edge of the first bin, and bins an octave. Bins are coarse on purpose: what lies in
/// the same bin as much of the past is not rare. An edge lies a little above 3, the usual root of the energy.
const LOWEST_THIRDS: i32 = -5;
const LOWEST: f32 = LOWEST_THIRDS as f32 / 3.0;
const BINS_AN_OCTAVE: f32 = 1.5;
/// The share of the past that is fitted by a Pareto tail.
const TAIL: f32 = 0.1;
/// The least mean excess of the tail, and the prior's, in octaves; the prior weighs as much as a share of
/// the past.
const LEAST_EXCESS: f32 = 0.072;
const PRIOR_EXCESS: f32 = 0.36;
const PRIOR_SHARE: f32 = 0.01;
const PRIOR_SAMPLES: f32 = 1.0;
/// Nothing is rarer than one in 10^12.
const RAREST: f32 = 12.0;
const LOG10_2: f32 = std::f32::consts::LOG10_2;
/// In so many samples each fit is renewed once: the earliest samples, the early ones, and all others.
const TURNS: [u32; 3] = [4, 16, 64];
const EARLIEST: u32 = 32;
const EARLY: u32 = 128;

/// How much of the past lies in each bin.
pub(super) type Histogram = [f32; BINS];

/// The past of one series in numbers: what every sample touches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calibration {
    /// The weight of the newest sample: it grows, which is as if older ones shrank.
    weight: f32,
    tails: [Tail; FITTED],
    /// The weight of all samples, and of those that have been added to the past.
    total: f32,
    added: f32,
    /// Of the first two parts, the square of the number that all but a small share stay below.
    bands: [f32; 2],
    energy: Histogram,
    /// Bins of the samples that gather.
    gathered: [[u8; LAGGING]; GATHERED],
}

/// The past of one series in numbers: what is touched now and then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    held: [Histogram; LAGGING],
}

/// The fit of one part's largest numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    /// Where it starts, as `log2 z`.
    start: f32,
    /// `-log10` of the share beyond the start.
    base: f32,
    /// By how much `-log10` of the share grows an octave.
    slope: f32,
}

// === impl Calibration ===

impl Calibration {
    /// `-log10` of the share of the past in which the number of `part` was at least that at a place on the
    /// scale of logarithms.
    #[inline]
    pub(super) fn rarity(&self, past: &Past, part: usize, at: f32) -> f32 {
        let (held, total) = self.held(past, part);
        rarity(held, total, self.tails.get(part), at)
    }

    /// The histogram of `part`, and how much is in it.
    #[inline]
    fn held<'a>(&'a self, past: &'a Past, part: usize) -> (&'a Histogram, f32) {
        match part {
            ENERGY => (&self.energy, self.total),
            part => (&past.held[part.min(ENERGY + 1) - usize::from(part > ENERGY)], self.added),
        }
    }

    /// Whether the number of `part` at a place on the scale may be as rare as `rarity`, which is beyond the
    /// start of the tail: cheaper than to ask how rare it is.
    #[inline]
    pub(super) fn may_be(&self, part: usize, at: f32, rarity: f32) -> bool {
        self.tails[part].fitted(at) >= rarity
    }

    /// The square of the number that `part` (0 or 1) stays below but for a small share of its past.
    #[inline]
    pub(super) fn band(&self, part: usize) -> f32 {
        self.bands[part]
    }

    /// Lets the numbers of a sample teach, given by their places on the scale of logarithms. The past
    /// fades by `fade` a sample; a share of `outside` of it is outside of the band.
    #[inline]
    pub(super) fn learn(&mut self, past: &mut Past, at: [f32; PARTS], fade: f32, seen: u32, outside: f32) {
        self.weight = if self.weight > 0.0 { self.weight * (1.0 + fade) } else { 1.0 };
        let weight = self.weight;
        self.total += weight;
        let [short, season, hour, energy, isolation] = at.map(|at| bin(at).0);
        self.energy[energy] += weight;
        let place = seen as usize % GATHERED;
        self.gathered[place] = [short, season, hour, isolation].map(|bin| bin as u8);
        // Of the earliest samples each counts at once.
        if seen < EARLIEST {
            self.add(past, place..place + 1);
        } else if place == GATHERED - 1 {
            self.add(past, 0..GATHERED);
        }
        let turn = TURNS[usize::from(seen >= EARLIEST) + usize::from(seen >= EARLY)];
        if let part @ 0..FITTED = (seen % turn) as usize {
            self.fit(past, part, outside);
        }
    }

    /// Adds what has gathered at `places` to the past.
    #[inline(never)]
    fn add(&mut self, past: &mut Past, places: std::ops::Range<usize>) {
        let weight = self.weight;
        for bins in &self.gathered[places] {
            self.added += weight;
            for (held, bin) in past.held.iter_mut().zip(bins) {
                held[usize::from(*bin).min(BINS - 1)] += weight;
            }
        }
        if self.weight > 1e20 {
            self.rescale(past);
        }
    }

    #[cold]
    fn rescale(&mut self, past: &mut Past) {
        let by = 1.0 / self.weight;
        past.held.iter_mut().chain([&mut self.energy]).flatten().for_each(|count| *count *= by);
        self.total *= by;
        self.added *= by;
        self.weight = 1.0;
    }

    /// Fits the tail of `part` anew.
    #[inline(never)]
    fn fit(&mut self, past: &Past, part: usize, outside: f32) {
        let (held, total) = self.held(past, part);
        let above = &all_above(held);
        self.tails[part] = Tail::of(above, total, self.weight);
        if let Some(band) = self.bands.get_mut(part) {
            let (bin, inside) = quantile(above, outside * total);
            let (here, next) = (above[bin], above_at(above, bin + 1, 0.0));
            // Inside a bin of the tail there is more below than above: shares fall like a power.
            let inside = if next > 0.0 && here > next {
                (log2(here / (outside * total)) / log2(here / next)).clamp(0.0, 1.0)
            } else {
                inside
            };
            let z = edge(bin) + inside * (edge(bin + 1) - edge(bin));
            *band = z * z;
        }
    }
}

// === impl Tail ===

impl Tail {
    /// The tail of what lies `above` each bin, `total` in all, `weight` being that of the newest sample.
    #[inline]
    pub(super) fn of(above: &Histogram, total: f32, weight: f32) -> Self {
        let (bin, inside) = quantile(above, TAIL * total);
        let share = above_at(above, bin, inside);
        // The area below the curve of shares from the start on is the mean excess times the tail's share.
        let next = above_at(above, bin + 1, 0.0);
        let mut area = (1.0 - inside) * 0.5 * (share + next);
        for at in bin + 1..BINS {
            area += 0.5 * (above[at] + above_at(above, at + 1, 0.0));
        }
        let excess = (area / BINS_AN_OCTAVE / share.max(1e-30)).max(LEAST_EXCESS);
        let prior = PRIOR_SHARE * total + PRIOR_SAMPLES * weight;
        let excess = (excess * share + PRIOR_EXCESS * prior) / (share + prior);
        Self {
            start: LOWEST + (bin as f32 + inside) / BINS_AN_OCTAVE,
            base: -LOG10_2 * log2((share / total).max(1e-12)),
            slope: std::f32::consts::LOG10_E / excess,
        }
    }

    /// `-log10` of the share beyond a place, by the fit.
    #[inline]
    fn fitted(&self, at: f32) -> f32 {
        self.base + (at - self.start) * self.slope
    }
}

/// `-log10` of the share of the `total` that is `held` in which a number was at least that at a place on the scale.
#[inline]
pub(super) fn rarity(held: &Histogram, total: f32, tail: Option<&Tail>, at: f32) -> f32 {
    if total <= 0.0 {
        return 0.0;
    }
    let share = share(held, at) / total;
    // Sums of the same parts in another order may be a hair more than the whole.
    let counted = (-LOG10_2 * log2(share.max(1e-12))).max(0.0);
    match tail {
        Some(tail) if at > tail.start => {
            let least = -LOG10_2 * log2((0.5 * share).max(1e-12));
            tail.fitted(at).min(least).max(tail.base).min(RAREST)
        }
        // The fit is some samples older than the count: below its start nothing is rarer than there.
        Some(tail) if tail.base > 0.0 => counted.min(tail.base),
        _ => counted,
    }
}

/// How much of `held` lies in each bin or above it.
#[inline]
pub(super) fn all_above(held: &Histogram) -> Histogram {
    let mut above = *held;
    for bin in (1..BINS).rev() {
        above[bin - 1] += above[bin];
    }
    above
}

/// The place of the root of `z2` on the scale: its binary logarithm.
#[inline]
pub(super) fn half_log2(z2: f32) -> f32 {
    0.5 * log2(z2.max(1e-12))
}

/// A place on the scale of a number from 0 to 1 that is no logarithm.
#[inline]
pub(super) fn linear(number: f32) -> f32 {
    LOWEST + number * (BINS as f32 / BINS_AN_OCTAVE)
}

/// The bin of `log2 z`, and how far inside it lies.
#[inline]
pub(super) fn bin(at: f32) -> (usize, f32) {
    let position = ((at - LOWEST) * BINS_AN_OCTAVE).max(0.0);
    let bin = (position as usize).min(BINS - 1);
    (bin, (position - bin as f32).min(1.0))
}

/// The `z` at the lower edge of `bin`.
#[inline]
fn edge(bin: usize) -> f32 {
    const THIRDS: [f32; 3] = [1.0, 1.259_921, 1.587_401];
    // Counted from whole octaves below the lowest edge.
    const OCTAVES: i32 = LOWEST_THIRDS.div_euclid(3);
    let thirds = 2 * bin + (LOWEST_THIRDS - 3 * OCTAVES) as usize;
    THIRDS[thirds % 3] * (1_u32 << (thirds / 3)) as f32 / (1_u32 << -OCTAVES) as f32
}

/// How much of `held` lies beyond a place.
#[inline]
fn share(held: &Histogram, at: f32) -> f32 {
    let (bin, inside) = bin(at);
    // Four sums side by side, always in this order, over all bins: cheaper than to begin somewhere.
    let mut sums = [0.0; 4];
    for (at, count) in held.iter().enumerate() {
        sums[at % 4] += if at > bin { *count } else { 0.0 };
    }
    let above = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    above + held[bin] * (1.0 - inside)
}

/// How much lies above the place `inside` of `bin`.
#[inline]
fn above_at(above: &Histogram, bin: usize, inside: f32) -> f32 {
    let here = above.get(bin).copied().unwrap_or(0.0);
    let next = above.get(bin + 1).copied().unwrap_or(0.0);
    here - inside * (here - next)
}

/// Where `wanted` of `above` lies above: a bin and how far inside.
#[inline]
fn quantile(above: &Histogram, wanted: f32) -> (usize, f32) {
    let mut bin = BINS - 1;
    while bin > 0 && above[bin] < wanted {
        bin -= 1;
    }
    let next = above.get(bin + 1).copied().unwrap_or(0.0);
    let held = above[bin] - next;
    let inside = if held > 0.0 { ((above[bin] - wanted) / held).clamp(0.0, 1.0) } else { 0.0 };
    (bin, inside)
}

// === kept ===

kept!(Calibration { weight, tails, total, added, bands, energy, gathered });
kept!(Past { held });
kept!(Tail { start, base, slope });

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Both {
        calibration: Calibration,
        past: Past,
    }

    impl Both {
        fn learn(&mut self, at: f32, fade: f32, seen: u32) {
            self.calibration.learn(&mut self.past, [at; PARTS], fade, seen, 0.01);
        }

        fn rarity(&self, part: usize, at: f32) -> f32 {
            self.calibration.rarity(&self.past, part, at)
        }
    }

    /// A past of `count` numbers `z`, all parts alike.
    fn past(z: impl Fn(u32) -> f32, count: u32) -> Both {
        let mut past = Both::default();
        for seen in 0..count {
            let z = z(seen);
            past.learn(half_log2(z * z), 1e-5, seen);
        }
        past
    }

    /// Exponentially distributed numbers, of which `10^-r` are beyond `r ln 10`.
    fn exponential(seen: u32) -> f32 {
        let share = (f64::from(seen) * 0.618_033_988_749_895).fract();
        -((1.0 - share).max(1e-9).ln()) as f32
    }

    #[test]
    fn a_number_is_as_rare_as_it_was_in_the_past() {
        let past = past(exponential, 20_000);
        let rarity = |r: f32| past.rarity(0, half_log2((r * std::f32::consts::LN_10).powi(2)));
        for r in [0.3, 0.6, 1.0, 1.5, 2.0] {
            assert!((rarity(r) - r).abs() < 0.35, "{r}: {}", rarity(r));
        }
    }

    #[test]
    fn rarer_numbers_are_never_called_more_common() {
        let past = past(exponential, 5_000);
        let mut last = 0.0;
        for step in 0..400 {
            let rarity = past.rarity(1, -5.0 + step as f32 * 0.05);
            assert!(rarity >= last && (0.0..=RAREST).contains(&rarity), "{step}: {rarity} {last}");
            last = rarity;
        }
    }

    #[test]
    fn what_happened_every_hundredth_time_is_not_rarer_however_far_out() {
        let past = past(|seen| if seen % 100 == 99 { 1_000.0 } else { exponential(seen) }, 20_000);
        assert!(past.rarity(0, half_log2(1e6)) < 2.8);
        assert!(past.rarity(0, half_log2(1e5)) < 2.5);
    }

    #[test]
    fn the_band_holds_all_but_its_share() {
        let past = past(exponential, 20_000);
        let outside =
            (0..20_000).filter(|&seen| exponential(seen).powi(2) > past.calibration.band(0)).count();
        assert!((100..=300).contains(&outside), "{outside}");
    }

    #[test]
    fn a_long_past_stays_a_number() {
        let mut past = Both::default();
        for seen in 0..200_000 {
            past.learn(half_log2(1.0), 1e-3, seen);
        }
        assert!(past.calibration.weight <= 1e20 && past.calibration.total.is_finite());
        assert!(past.rarity(0, half_log2(1.0)) < 0.5 && past.rarity(0, half_log2(100.0)) > 3.0);
    }

    #[test]
    fn what_has_gathered_counts_with_the_eighth() {
        let mut past = past(|_| 1.0, 8 * 40);
        for seen in 320..328 {
            assert!(past.rarity(0, half_log2(1e4)) > 2.0, "{seen}");
            past.learn(half_log2(1e6), 1e-5, seen);
        }
        assert!(past.rarity(0, half_log2(1e4)) < 2.0);
    }

    #[test]
    fn without_a_past_nothing_is_rare() {
        assert_eq!(Both::default().rarity(3, 5.0), 0.0);
    }
}
