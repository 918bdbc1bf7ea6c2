//! One budget of bytes for the bodies of all requests that are coming or being worked on.
//!
//! Bytes are counted as they arrive: a length that is only declared takes nothing. Where the budget is spent,
//! the body that has been coming for the longest gives way, as the longest-idle connection does at its cap.
//! A healthy sender's body is here within milliseconds, so it is a slow one that goes. A body that is whole
//! stays until its request is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// How many bytes of bodies may be held at one time. A clone is the same budget.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    shared: Arc<Shared>,
}

/// The bytes of a body that is still coming. They are free again when this is dropped.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<Shared>,
    /// Its place among the bodies that are coming; none before its first byte.
    number: Option<u64>,
    gave_way: Arc<Notify>,
}

/// The bytes of a body that came whole. They are free again when this is dropped.
#[derive(Debug)]
pub struct Kept {
    budget: Arc<Shared>,
    bytes: u64,
}

/// The budget is spent, and no body that could give way is older than this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveWay;

#[derive(Debug)]
struct Shared {
    limit: u64,
    /// Shows `Held::bytes`.
    gauge: Gauge,
    /// Taken once for each piece of a body, and held across nothing else.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    next: u64,
    /// Bodies that are coming, the oldest first.
    coming: BTreeMap<u64, Coming>,
}

#[derive(Debug)]
struct Coming {
    bytes: u64,
    gave_way: Arc<Notify>,
}

// === impl BodyBudget ===

impl BodyBudget {
    /// At most `limit` bytes; `gauge` shows how many are held.
    pub fn new(limit: u64, gauge: Gauge) -> Self {
        Self { shared: Arc::new(Shared { limit, gauge, held: Mutex::default() }) }
    }

    /// The claim of a body that is about to come.
    pub fn claim(&self) -> Claim {
        Claim { budget: Arc::clone(&self.shared), number: None, gave_way: Arc::default() }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }
}

// === impl Claim ===

impl Claim {
    /// Counts `bytes` more, of which older bodies that are still coming make room if need be.
    ///
    /// # Errors
    ///
    /// [`GaveWay`] if this body itself is the one that has to go.
    pub fn grow(&mut self, bytes: usize) -> Result<(), GaveWay> {
        let mut held = self.budget.held.lock();
        let number = *self.number.get_or_insert_with(|| held.begin(&self.gave_way));
        held.make_room(number, bytes as u64, self.budget.limit)?;
        self.budget.show(&held);
        Ok(())
    }

    /// Resolves when this body has given way to another one.
    pub async fn gave_way(&self) {
        self.gave_way.notified().await;
    }

    /// The body is whole and gives way to nobody any more.
    ///
    /// # Errors
    ///
    /// [`GaveWay`] if it just did.
    pub fn whole(mut self) -> Result<Kept, GaveWay> {
        let budget = Arc::clone(&self.budget);
        let Some(number) = self.number.take() else { return Ok(Kept { budget, bytes: 0 }) };
        let coming = budget.held.lock().coming.remove(&number).ok_or(GaveWay)?;
        Ok(Kept { budget, bytes: coming.bytes })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut held = self.budget.held.lock();
        // One that gave way is not there any more, and its bytes are counted no longer.
        if let Some(coming) = held.coming.remove(&number) {
            held.bytes -= coming.bytes;
            self.budget.show(&held);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock();
        held.bytes -= self.bytes;
        self.budget.show(&held);
    }
}

// === impl Shared ===

impl Shared {
    fn show(&self, held: &Held) {
        self.gauge.set(held.bytes as i64);
    }
}

// === impl Held ===

impl Held {
    fn begin(&mut self, gave_way: &Arc<Notify>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.coming.insert(number, Coming { bytes: 0, gave_way: Arc::clone(gave_way) });
        number
    }

    /// Adds `bytes` to the body called `number`. What others free is counted at once, although they let go
    /// of it only when they run next.
    fn make_room(&mut self, number: u64, bytes: u64, limit: u64) -> Result<(), GaveWay> {
        while self.bytes + bytes > limit {
            let (oldest, coming) = self.coming.pop_first().ok_or(GaveWay)?;
            self.bytes -= coming.bytes;
            if oldest == number {
                return Err(GaveWay);
            }
            coming.gave_way.notify_one();
        }
        self.coming.get_mut(&number).ok_or(GaveWay)?.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: u64) -> (BodyBudget, Gauge) {
        let gauge = Gauge::default();
        (BodyBudget::new(limit, gauge.clone()), gauge)
    }

    #[tokio::test]
    async fn b9_the_body_that_has_been_coming_for_longest_gives_way() {
        let (budget, gauge) = budget(100);
        let (mut slow, mut later) = (budget.claim(), budget.claim());
        assert_eq!(slow.grow(60), Ok(()));
        assert_eq!(later.grow(40), Ok(()));
        assert_eq!(later.grow(30), Ok(()));
        slow.gave_way().await;
        assert_eq!(slow.grow(1), Err(GaveWay));
        assert_eq!(slow.whole().unwrap_err(), GaveWay);
        assert_eq!(gauge.get(), 70);
        drop(later.whole().unwrap());
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn b3_a_whole_body_stays_and_the_next_one_is_refused() {
        let (budget, gauge) = budget(100);
        let mut first = budget.claim();
        assert_eq!(first.grow(100), Ok(()));
        let kept = first.whole().unwrap();
        let mut second = budget.claim();
        assert_eq!(second.grow(1), Err(GaveWay));
        drop(kept);
        assert_eq!(gauge.get(), 0);
        assert_eq!(second.grow(1), Err(GaveWay), "once refused, a body stays so");
        assert_eq!(budget.claim().grow(100), Ok(()));
        assert_eq!(gauge.get(), 0, "a claim that is dropped is given back");
    }

    #[test]
    fn a_body_without_a_byte_takes_nothing() {
        let (budget, gauge) = budget(1);
        drop(budget.claim().whole().unwrap());
        drop(budget.claim());
        assert_eq!(gauge.get(), 0);
    }
}
