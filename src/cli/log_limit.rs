//! Bounds how often one place in the code is heard (B-20): what a peer does wrong in each of its requests is
//! said a few times, then counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place in one [`WINDOW`].
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Lets [`LINES`] of each place pass in a [`WINDOW`]. Lines for debugging are not limited: who asks for them
/// wants them all.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    /// As many as there are places in the code.
    heard: Mutex<HashMap<Identifier, Heard>>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    since: Instant,
    lines: u32,
    left_out: u64,
}

// === impl LogLimit ===

impl LogLimit {
    /// Whether a line of `place` passes now; if so, how many were left out before it.
    fn passes(&self, place: Identifier, now: Instant) -> Option<u64> {
        let mut all = self.heard.lock();
        let heard = all.entry(place).or_insert(Heard { since: now, lines: 0, left_out: 0 });
        let left_out = if now.duration_since(heard.since) >= WINDOW {
            std::mem::replace(heard, Heard { since: now, lines: 0, left_out: 0 }).left_out
        } else {
            0
        };
        if heard.lines == LINES {
            heard.left_out += 1;
            return None;
        }
        heard.lines += 1;
        Some(left_out)
    }
}

impl<S: Subscriber> Layer<S> for LogLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let passes = self.passes(metadata.callsite(), Instant::now());
        if let Some(left_out @ 1..) = passes {
            tracing::warn!(left_out, "lines like the next one were left out in the last minute");
        }
        passes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two places in the code.
    fn places() -> [Identifier; 2] {
        let place =
            |metadata: Option<&'static tracing::Metadata<'static>>| metadata.expect("enabled").callsite();
        tracing::subscriber::with_default(tracing_subscriber::fmt().finish(), || {
            [place(tracing::error_span!("one").metadata()), place(tracing::error_span!("two").metadata())]
        })
    }

    #[test]
    fn b20_a_place_is_heard_so_often_and_then_says_how_often_it_was_not() {
        let ([one, two], limit, start) = (places(), LogLimit::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(limit.passes(one.clone(), start), Some(0));
        }
        for _ in 0..100 {
            assert_eq!(limit.passes(one.clone(), start + WINDOW / 2), None);
        }
        assert_eq!(limit.passes(two, start), Some(0), "another place has its own limit");
        assert_eq!(limit.passes(one.clone(), start + WINDOW), Some(100));
        assert_eq!(limit.passes(one, start + WINDOW), Some(0), "said once");
    }
}
