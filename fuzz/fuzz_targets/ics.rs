//! Any bytes as a calendar file: no panic, and of what is taken any moment can be asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::context::{Calendar, ics, zone};

/// 2026-11-30T22:00:00Z, and how far around it is looked.
const NOW_MS: i64 = 1_796_076_000_000;
const DAY_MS: i64 = 86_400_000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(events) = ics::events(bytes, zone("Europe/Berlin").as_ref()) else { return };
    assert!(events.len() <= ics::MAX_EVENTS);
    let calendar = Calendar::events(events);
    for at_ms in [i64::MIN, 0, NOW_MS - 400 * DAY_MS, NOW_MS, NOW_MS + 3 * DAY_MS, i64::MAX] {
        if let Some(until_ms) = calendar.open_until(at_ms) {
            assert!(until_ms > at_ms);
        }
    }
});
