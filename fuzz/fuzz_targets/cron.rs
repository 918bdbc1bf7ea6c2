//! Any text as a cron pattern: no panic, and a window that is open closes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::context::{Calendar, Cron, zone};

/// The Sunday on which summer time begins in Berlin, and how far around it is looked.
const NOW_MS: i64 = 1_774_746_000_000;
const HOUR_MS: i64 = 3_600_000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(pattern) = std::str::from_utf8(bytes).unwrap_or_default().parse::<Cron>() else { return };
    let Some(berlin) = zone("Europe/Berlin") else { return };
    let calendar = Calendar::cron(pattern, HOUR_MS, berlin);
    for at_ms in [0, NOW_MS - HOUR_MS, NOW_MS, NOW_MS + HOUR_MS, i64::MAX] {
        if let Some(until_ms) = calendar.open_until(at_ms) {
            assert!(until_ms > at_ms);
        }
    }
});
