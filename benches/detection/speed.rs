//! What the detector costs: `cargo bench --bench detector`.
//!
//! Series by series, as a batch walks them: each sample is judged, and the one before it teaches. A thousand
//! series fit the caches, a million do not.

use std::hint::black_box;
use std::time::Instant;

use sidelong::detect::{Demands, State};
use sidelong::model::Model;

/// Series, samples that warm them up, and rounds that are measured.
const CASES: [(usize, u32, u32); 3] = [(100, 3_000, 3_000), (1_000, 3_000, 300), (1_000_000, 40, 6)];
const STEP_MS: i64 = 15_000;

fn main() {
    println!("state of a series: {} bytes", State::BYTES);
    for (series, warm_up, rounds) in CASES {
        let each = measure(series, warm_up, rounds);
        println!("{series:>9} series: {each:.0} ns a sample, judged and learned from");
    }
}

fn measure(series: usize, warm_up: u32, rounds: u32) -> f64 {
    let (detector, demands) = (Model::builtin().detector, Demands::default());
    let mut states = vec![State::default(); series];
    let mut values = vec![(0.0, 0.0); series];
    let (mut seed, mut at_ms, mut spent) = (1_u64, 1_700_000_000_000_i64, 0.0);
    for round in 0..warm_up + rounds {
        at_ms += STEP_MS;
        let wave = f64::from(round % 5_760) / 5_760.0;
        for (before, value) in &mut values {
            *before = *value;
            *value = 100.0 + 20.0 * wave * (1.0 - wave) + noise(&mut seed);
        }
        let started = Instant::now();
        for (state, (before, value)) in states.iter_mut().zip(&values) {
            if round > 0 {
                detector.learn(state, at_ms - STEP_MS, *before, &demands);
            }
            black_box(detector.judge(state, at_ms, *value, &demands));
        }
        if round >= warm_up {
            spent += started.elapsed().as_secs_f64();
        }
    }
    spent * 1e9 / (series as f64 * f64::from(rounds))
}

/// Four uniform numbers together: near to normal, with a deviation of about 0.6.
fn noise(seed: &mut u64) -> f64 {
    let mut unit = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    unit() + unit() + unit() + unit() - 2.0
}
