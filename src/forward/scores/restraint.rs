//! Scores spend the user's own limits, so they stop first and come back last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Parts that the series of a tenant are divided into.
pub(super) const SHARES: u32 = 64;
/// A refusal while scores come back makes the next pause twice as long, up to this many times.
const LONGEST: u32 = 64;

/// How much of a tenant's scores may be sent now.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    pause: Mutex<Option<Pause>>,
}

/// The restraints of all tenants. One that was refused nothing has none, and one whose scores are back in
/// full is forgotten where room is needed: nothing is lost by it.
#[derive(Debug)]
pub(super) struct Restraints {
    known: DashMap<Option<HeaderValue>, Restraint>,
    limit: AtomicUsize,
    /// Holds for all tenants without one of their own, once so many are restrained that there is no more room.
    others: Restraint,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// Time in which the share doubles once the pause is over.
    step: Duration,
    strikes: u32,
}

// === impl Restraints ===

impl Restraints {
    /// At most `limit` tenants have a restraint of their own.
    pub(super) fn new(limit: usize) -> Self {
        Self { known: DashMap::new(), limit: limit.into(), others: Restraint::default() }
    }

    /// From now on at most `limit` tenants get one of their own; nobody loses what he has.
    pub(super) fn bound(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Forgets all refusals.
    pub(super) fn clear(&self) {
        self.known.clear();
        *self.others.pause.lock() = None;
    }

    /// See [`Restraint::refused`].
    pub(super) fn refused(
        &self,
        tenant: &Option<HeaderValue>,
        retry_after: Option<Duration>,
        usual: Duration,
    ) {
        if let Some(known) = self.known.get(tenant) {
            return known.refused(retry_after, usual);
        }
        let limit = self.limit.load(Ordering::Relaxed);
        if self.known.len() >= limit {
            self.known.retain(|_, restraint| restraint.share() < SHARES);
        }
        if self.known.len() >= limit {
            return self.others.refused(retry_after, usual);
        }
        self.known.entry(tenant.clone()).or_default().refused(retry_after, usual);
    }

    /// See [`Restraint::share`].
    pub(super) fn share(&self, tenant: &Option<HeaderValue>) -> u32 {
        self.known.get(tenant).map_or_else(|| self.others.share(), |restraint| restraint.share())
    }

    /// How many tenants send no scores now, and how many a part of theirs. Those without a restraint of their own
    /// are one.
    pub(super) fn standing(&self) -> (usize, usize) {
        let others = self.others.share();
        let shares = self.known.iter().map(|restraint| restraint.share()).chain([others]);
        shares.fold((0, 0), |(paused, returning), share| match share {
            0 => (paused + 1, returning),
            SHARES => (paused, returning),
            _ => (paused, returning + 1),
        })
    }

    /// See [`Restraint::paused_until`].
    pub(super) fn paused_until(&self, tenant: &Option<HeaderValue>) -> Option<Instant> {
        self.known
            .get(tenant)
            .map_or_else(|| self.others.paused_until(), |restraint| restraint.paused_until())
    }
}

// === impl Restraint ===

impl Restraint {
    /// The downstream refused something for a limit: scores pause for `retry_after`, or for `usual`.
    pub(super) fn refused(&self, retry_after: Option<Duration>, usual: Duration) {
        let now = Instant::now();
        let mut pause = self.pause.lock();
        let strikes = match *pause {
            // The same refusal seen again, by requests that were on their way, is one refusal.
            Some(pause) if now < pause.until => pause.strikes,
            Some(pause) if pause.share(now) < SHARES => (pause.strikes * 2).min(LONGEST),
            _ => 1,
        };
        let length = retry_after.unwrap_or_default().max(usual * strikes);
        *pause = Some(Pause { until: now + length, step: usual, strikes });
    }

    /// How many of [`SHARES`] parts of the series may send: none during a pause, then 1, 2, 4 and so on.
    pub(super) fn share(&self) -> u32 {
        let pause = *self.pause.lock();
        pause.map_or(SHARES, |pause| pause.share(Instant::now()))
    }

    /// Until when nothing may be sent.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        let pause = (*self.pause.lock())?;
        (Instant::now() < pause.until).then_some(pause.until)
    }
}

impl Pause {
    fn share(self, now: Instant) -> u32 {
        if now < self.until {
            return 0;
        }
        let steps = (now - self.until).as_secs_f64() / self.step.as_secs_f64().max(1e-3);
        if steps >= f64::from(SHARES.ilog2()) { SHARES } else { 1 << steps as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn scores_stop_at_a_refusal_and_come_back_by_doubling() {
        let restraint = Restraint::default();
        assert_eq!(restraint.share(), SHARES);
        restraint.refused(None, MINUTE);
        assert_eq!(restraint.share(), 0);
        let mut shares = Vec::new();
        for _ in 0..8 {
            tokio::time::advance(MINUTE).await;
            shares.push(restraint.share());
        }
        assert_eq!(shares, [1, 2, 4, 8, 16, 32, 64, 64]);
    }

    #[tokio::test(start_paused = true)]
    async fn b3_restraints_are_bounded_and_nobody_over_the_limit_goes_unrestrained() {
        let restraints = Restraints::new(2);
        let tenant = |name: &'static str| Some(HeaderValue::from_static(name));
        let refuse = |name| restraints.refused(&tenant(name), None, MINUTE);
        assert_eq!(restraints.share(&tenant("a")), SHARES);
        refuse("a");
        refuse("b");
        assert_eq!((restraints.share(&tenant("a")), restraints.share(&tenant("c"))), (0, SHARES));
        refuse("c");
        assert_eq!((restraints.share(&tenant("c")), restraints.known.len()), (0, 2));
        assert_eq!(restraints.standing(), (3, 0));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(restraints.standing(), (0, 3));
        tokio::time::advance(8 * MINUTE).await;
        assert_eq!(restraints.standing(), (0, 0));
        refuse("d");
        assert_eq!((restraints.share(&tenant("d")), restraints.share(&tenant("e"))), (0, SHARES));
        assert_eq!(restraints.known.len(), 1, "those whose scores are back in full are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn another_receiver_has_refused_nobody_with_or_without_a_restraint_of_their_own() {
        let restraints = Restraints::new(0);
        let [one, two] = ["a", "b"].map(|name| Some(HeaderValue::from_static(name)));
        restraints.refused(&two, None, MINUTE);
        restraints.bound(1);
        restraints.refused(&one, None, MINUTE);
        assert_eq!((restraints.share(&one), restraints.share(&two), restraints.known.len()), (0, 0, 1));
        restraints.clear();
        assert_eq!((restraints.share(&one), restraints.share(&two)), (SHARES, SHARES));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_when_it_is_longer() {
        let restraint = Restraint::default();
        restraint.refused(Some(5 * MINUTE), MINUTE);
        tokio::time::advance(4 * MINUTE).await;
        assert_eq!(restraint.share(), 0);
        tokio::time::advance(2 * MINUTE).await;
        assert!(restraint.share() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_on_the_way_back_pauses_longer() {
        let restraint = Restraint::default();
        restraint.refused(None, MINUTE);
        tokio::time::advance(2 * MINUTE).await;
        restraint.refused(None, MINUTE);
        tokio::time::advance(MINUTE).await;
        assert_eq!(restraint.share(), 0, "the second pause is two minutes");
        tokio::time::advance(MINUTE).await;
        assert_eq!(restraint.share(), 1);
    }
}
