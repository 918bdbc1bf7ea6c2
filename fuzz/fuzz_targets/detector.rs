//! Any series through the detector: no panic, every score is a number from 0 on, the band holds no NaN, and what is
//! fetched ahead changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::detect::{Demands, Detector, Hybrid, MAX_SCORE, State};

fuzz_target!(|bytes: &[u8]| {
    let detector = Detector::Hybrid(Box::new(Hybrid::default()));
    let (mut state, mut at_ms) = (State::default(), 1_700_000_000_000_i64);
    for sample in bytes.chunks_exact(10) {
        let (step, value) = sample.split_at(2);
        let value = f64::from_le_bytes(value.try_into().expect("eight bytes"));
        at_ms += i64::from(u16::from_le_bytes([step[0], step[1]])) * 100;
        if !value.is_finite() {
            continue;
        }
        state.prefetch();
        if let Some(judged) = detector.judge(&mut state, at_ms, value, &Demands::default()) {
            assert!((0.0..=MAX_SCORE).contains(&judged.score), "{judged:?}");
            assert!(!judged.expected.is_nan() && !judged.lower.is_nan() && !judged.upper.is_nan(), "{judged:?}");
        }
        detector.learn(&mut state, at_ms, value, &Demands::default());
    }
});
