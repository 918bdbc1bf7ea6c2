//! A profile of bins in few bytes: whole numbers that are multiples of a power of two.

use crate::detect::kept::Kept;

/// Of the unit of a profile.
const LEAST_EXPONENT: i16 = -1_022;
const LARGEST_EXPONENT: i16 = 700;

/// Whole numbers that mean multiples of a unit; 0 is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile<T, const N: usize> {
    /// The unit is 2 to the power of this.
    exponent: i16,
    numbers: [T; N],
}

/// A whole number of a profile.
pub(super) trait Whole: Copy + Default + PartialEq + Into<f64> {
    /// The largest size of a number before the unit widens.
    const LARGEST: f64;

    /// The nearest number of either sign that is not 0: 0 says that there is none.
    fn nearest(value: f64) -> Self;
}

// === impl Profile ===

impl<T: Whole, const N: usize> Profile<T, N> {
    #[inline]
    fn unit(&self) -> f64 {
        f64::from_bits(((i64::from(self.exponent) + 1_023) as u64) << 52)
    }

    #[inline]
    pub(super) fn get(&self, at: u8) -> Option<f64> {
        let number = *self.numbers.get(usize::from(at))?;
        (number != T::default()).then(|| number.into() * self.unit())
    }

    pub(super) fn set(&mut self, at: u8, value: f64) {
        if value.abs() > T::LARGEST * self.unit() {
            self.widen(value);
        }
        let unit = self.unit();
        if let Some(slot) = self.numbers.get_mut(usize::from(at)) {
            *slot = T::nearest(value / unit);
        }
    }

    /// Counts all numbers from their mean, which it gives.
    pub(super) fn centre(&mut self) -> f64 {
        let values = (0..N as u8).filter_map(|at| Some((at, self.get(at)?)));
        let values: Vec<(u8, f64)> = values.collect();
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len().max(1) as f64;
        values.into_iter().for_each(|(at, value)| self.set(at, value - mean));
        mean
    }

    /// Multiplies all numbers by `factor`.
    pub(super) fn scale(&mut self, factor: f64) {
        for at in 0..N as u8 {
            if let Some(value) = self.get(at) {
                self.set(at, value * factor);
            }
        }
    }

    /// Makes the unit large enough for `value`.
    #[cold]
    fn widen(&mut self, value: f64) {
        let before = self.unit();
        while value.abs() > T::LARGEST * self.unit() && self.exponent < LARGEST_EXPONENT {
            self.exponent += 1;
        }
        let ratio = before / self.unit();
        for number in self.numbers.iter_mut().filter(|number| **number != T::default()) {
            *number = T::nearest((*number).into() * ratio);
        }
    }
}

impl<T: Whole, const N: usize> Default for Profile<T, N> {
    fn default() -> Self {
        Self { exponent: LEAST_EXPONENT, numbers: [T::default(); N] }
    }
}

// === impl Whole ===

impl Whole for i16 {
    const LARGEST: f64 = 32_000.0;

    fn nearest(value: f64) -> Self {
        let number = (value + 32_768.5) as i32 - 32_768;
        if number == 0 { 1 } else { number.clamp(-32_767, 32_767) as Self }
    }
}

impl Whole for i8 {
    const LARGEST: f64 = 125.0;

    fn nearest(value: f64) -> Self {
        let number = (value + 128.5) as i32 - 128;
        if number == 0 { 1 } else { number.clamp(-127, 127) as Self }
    }
}

// === kept ===

impl<T: Kept + Whole, const N: usize> Kept for Profile<T, N> {
    fn layout(to: &mut String) {
        to.push_str("Profile {exponent: i16 numbers: ");
        <[T; N]>::layout(to);
        to.push('}');
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.exponent.keep(to);
        self.numbers.keep(to);
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        let exponent = Kept::recall(from).filter(|at| (LEAST_EXPONENT..=LARGEST_EXPONENT).contains(at))?;
        Some(Self { exponent, numbers: Kept::recall(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_keeps_what_it_is_told() {
        let mut profile: Profile<i16, 24> = Profile::default();
        profile.set(0, 1.0);
        profile.set(1, -1e-3);
        assert_eq!((profile.get(0), profile.get(2)), (Some(1.0), None));
        profile.set(2, 1e9);
        profile.set(3, 0.0);
        assert!((profile.get(2).unwrap() / 1e9 - 1.0).abs() < 1e-4);
        assert!(profile.get(0).is_some() && profile.get(3).unwrap().abs() < 1e5);
        profile.set(4, 1e120);
        assert!((profile.get(4).unwrap() / 1e120 - 1.0).abs() < 1e-4);
    }
}
