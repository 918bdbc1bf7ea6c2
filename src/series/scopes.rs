//! Who owns a series besides its labels: a tenant of the push door, a target of the pull door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};

use super::table::Cursor;
use crate::batch::Key;
use crate::signals::{Absences, Departure, Groups};

/// Where series come from. Equal labels in two scopes are two series.
#[derive(Debug)]
pub struct Scope {
    name: ScopeName,
    id: u64,
    seed: u64,
    series: AtomicUsize,
    /// When it was last met, in seconds since the epoch, by the arrival clock.
    seen_s: AtomicU32,
    /// Where in the table its last batch ended.
    cursor: Mutex<Cursor>,
    /// The groups of its series. Its batches take turns, so nobody waits for the lock.
    groups: Mutex<Groups>,
    /// Parts that went otherwise than in a batch of this scope.
    departures: Mutex<Vec<Departure>>,
    /// Its series whose end would be missed.
    absences: Absences,
    /// It has made room for another scope, and its series are to leave the table.
    gone: AtomicBool,
}

/// What a scope stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScopeName {
    /// A tenant of the push door; empty where no tenant header came.
    Tenant(Box<str>),
    /// A target of the pull door, by its name or address.
    Target(Box<str>),
}

/// The scopes met so far, up to limits: names of tenants come from outside, and those of targets may.
#[derive(Debug)]
pub struct Scopes {
    tenants: Known,
    targets: Known,
    next_id: AtomicU64,
    seed: u64,
    /// A scope that had series is gone since the table was last looked through for them.
    left_series: AtomicBool,
}

/// How many scopes are kept, and for how long in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeLimits {
    /// Tenants.
    pub tenants: usize,
    /// Targets.
    pub targets: usize,
    /// Seconds after which a scope that was not met again may make room for a new one.
    pub idle_after_s: u32,
}

/// The scopes of one kind.
#[derive(Debug, Default)]
struct Known {
    scopes: DashMap<ScopeName, Arc<Scope>, foldhash::fast::RandomState>,
    /// The second in which room was last made: once in each is enough.
    shed_s: AtomicU32,
}

/// Of the scopes allowed, at most this share makes room at once, the longest idle ones.
const SHED_SHARE: usize = 16;

// === impl Scope ===

impl Scope {
    /// The tenant or target.
    pub fn name(&self) -> &ScopeName {
        &self.name
    }

    /// A small number, unique among the scopes of this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Seeds the keys of this scope's series in the spelling of one kind of source: the same bytes in
    /// two spellings are unrelated.
    pub fn seed(&self, spelling: Spelling) -> u64 {
        self.seed ^ (spelling as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Where the last batch left off; it belongs to the batch that takes it until it is put back.
    pub(crate) fn take_cursor(&self) -> Cursor {
        std::mem::take(&mut *self.cursor.lock())
    }

    /// Where the next batch begins its search.
    pub(crate) fn put_cursor(&self, cursor: Cursor) {
        *self.cursor.lock() = cursor;
    }

    /// The groups of its series, held for one batch. What departed since the last one has departed from them.
    pub(crate) fn groups(&self) -> MutexGuard<'_, Groups> {
        let mut groups = self.groups.lock();
        let departures = std::mem::take(&mut *self.departures.lock());
        departures.into_iter().for_each(|departure| groups.depart(departure));
        groups
    }

    /// Lets the next batch of this scope know that a part of its groups is gone.
    pub(crate) fn depart(&self, departure: Departure) {
        self.departures.lock().push(departure);
    }

    /// Its series whose end would be missed.
    pub(crate) fn absences(&self) -> &Absences {
        &self.absences
    }

    /// Series of this scope in the table.
    pub fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    /// Whether it has made room for another scope. Its name may have a new scope since.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, change: isize) {
        self.series.fetch_add(change as usize, Ordering::Relaxed);
    }

    /// The key of a series in its canonical spelling: sorted labels, each string with its length.
    pub(super) fn canonical_key<'a>(&self, sorted: impl Iterator<Item = (&'a str, &'a str)>) -> Key {
        let mut bytes = Vec::with_capacity(512);
        for (name, value) in sorted {
            for text in [name, value] {
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        Key::of(&bytes, self.seed(Spelling::Canonical))
    }
}

/// How a source spells the labels of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The series table's own.
    Canonical = 1,
    /// Label messages of remote write 1.0.
    RemoteWrite1 = 2,
    /// Symbols of remote write 2.0.
    RemoteWrite2 = 3,
    /// A line of a text exposition.
    Text = 4,
    /// A metric of a protobuf exposition.
    Protobuf = 5,
}

// === impl Scopes ===

impl Scopes {
    /// No scope yet; `seed` makes keys unpredictable from outside.
    pub fn new(seed: u64) -> Self {
        Self {
            tenants: Known::default(),
            targets: Known::default(),
            next_id: AtomicU64::new(0),
            seed,
            left_series: AtomicBool::new(false),
        }
    }

    /// The scope called `name`, if it is known.
    pub fn find(&self, name: &ScopeName) -> Option<Arc<Scope>> {
        self.of(name).scopes.get(name).map(|known| Arc::clone(&known))
    }

    /// The scope called `name`, made if need be. Where there are as many as allowed, the longest idle ones
    /// make room; `None` when none has been idle for long enough.
    pub fn get(&self, name: &ScopeName, now_s: u32, limits: &ScopeLimits) -> Option<Arc<Scope>> {
        let scope = self.find(name).or_else(|| self.make(name, now_s, limits))?;
        scope.seen_s.store(now_s, Ordering::Relaxed);
        // It may have made room just before.
        if scope.is_gone() { self.make(name, now_s, limits) } else { Some(scope) }
    }

    #[cold]
    fn make(&self, name: &ScopeName, now_s: u32, limits: &ScopeLimits) -> Option<Arc<Scope>> {
        let known = self.of(name);
        let limit = match name {
            ScopeName::Tenant(_) => limits.tenants,
            ScopeName::Target(_) => limits.targets,
        };
        if known.scopes.len() >= limit {
            self.make_room(known, limit, now_s.saturating_sub(limits.idle_after_s), now_s);
        }
        if known.scopes.len() >= limit {
            return None;
        }
        let made = known.scopes.entry(name.clone()).or_insert_with(|| {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let seed = Key::of(&id.to_le_bytes(), self.seed).0[0];
            Arc::new(Scope {
                name: name.clone(),
                id,
                seed,
                series: AtomicUsize::new(0),
                seen_s: AtomicU32::new(now_s),
                cursor: Mutex::default(),
                groups: Mutex::default(),
                departures: Mutex::default(),
                absences: Absences::default(),
                gone: AtomicBool::new(false),
            })
        });
        Some(Arc::clone(&made))
    }

    /// Lets the longest idle scopes go, of those that were not met since `idle_before_s`.
    fn make_room(&self, known: &Known, limit: usize, idle_before_s: u32, now_s: u32) {
        if known.shed_s.swap(now_s, Ordering::Relaxed) == now_s {
            return;
        }
        let mut idle: Vec<_> =
            known.scopes.iter().filter_map(|scope| scope.idle_since(idle_before_s)).collect();
        idle.sort_unstable_by_key(|(seen_s, _)| *seen_s);
        idle.truncate((limit / SHED_SHARE).max(1));
        for (_, name) in idle {
            let left = known.scopes.remove_if(&name, |_, scope| scope.idle_since(idle_before_s).is_some());
            let Some((_, scope)) = left else { continue };
            scope.gone.store(true, Ordering::Relaxed);
            if scope.series() > 0 {
                self.left_series.store(true, Ordering::Release);
            }
        }
    }

    /// Whether scopes that are gone have left series behind, which the caller is to take out of the table.
    /// It is told so once.
    pub fn take_left_series(&self) -> bool {
        self.left_series.load(Ordering::Relaxed) && self.left_series.swap(false, Ordering::Acquire)
    }

    /// Number of tenants.
    pub fn tenants(&self) -> usize {
        self.tenants.scopes.len()
    }

    /// Number of targets.
    pub fn targets(&self) -> usize {
        self.targets.scopes.len()
    }

    fn of(&self, name: &ScopeName) -> &Known {
        match name {
            ScopeName::Tenant(_) => &self.tenants,
            ScopeName::Target(_) => &self.targets,
        }
    }
}

impl Scope {
    /// Its name, and when it was last met, if that was before `idle_before_s`.
    fn idle_since(&self, idle_before_s: u32) -> Option<(u32, ScopeName)> {
        let seen_s = self.seen_s.load(Ordering::Relaxed);
        (seen_s < idle_before_s).then(|| (seen_s, self.name.clone()))
    }
}

impl Default for ScopeLimits {
    fn default() -> Self {
        Self { tenants: 1_000, targets: 10_000, idle_after_s: 600 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ScopeLimits = ScopeLimits { tenants: 2, targets: 1, idle_after_s: 60 };

    fn tenant(name: &str) -> ScopeName {
        ScopeName::Tenant(name.into())
    }

    #[test]
    fn b3_invented_tenants_keep_no_honest_one_out_for_ever() {
        let scopes = Scopes::new(0);
        let get = |name: &str, now_s| scopes.get(&tenant(name), now_s, &LIMITS);
        assert!(get("honest", 1_000).is_some());
        for now_s in 1_001..1_050 {
            get(&format!("invented-{now_s}"), now_s);
        }
        assert_eq!(scopes.tenants(), 2);
        assert!(get("late", 1_050).is_none(), "nobody has been idle for a minute");
        assert!(get("honest", 1_100).is_some());
        let late = get("late", 1_100).expect("the invented one makes room");
        assert_eq!((late.name(), scopes.tenants()), (&tenant("late"), 2));
        assert!(scopes.find(&tenant("honest")).is_some(), "who was met lately stays");
    }

    #[test]
    fn targets_and_tenants_have_limits_of_their_own() {
        let scopes = Scopes::new(0);
        let target = |name: &str| ScopeName::Target(name.into());
        assert!(scopes.get(&target("a"), 0, &LIMITS).is_some());
        assert!(scopes.get(&target("b"), 0, &LIMITS).is_none());
        assert!(scopes.get(&tenant("a"), 0, &LIMITS).is_some());
        assert!(scopes.get(&tenant("b"), 0, &LIMITS).is_some());
        assert_eq!((scopes.targets(), scopes.tenants()), (1, 2));
    }

    #[test]
    fn a_name_that_comes_back_is_another_scope() {
        let scopes = Scopes::new(0);
        let limits = ScopeLimits { tenants: 1, ..LIMITS };
        let first = scopes.get(&tenant("a"), 0, &limits).expect("room");
        first.count(1);
        assert!(!scopes.take_left_series() && !first.is_gone());
        scopes.get(&tenant("b"), 100, &limits).expect("a has been idle");
        assert!(first.is_gone() && scopes.take_left_series() && !scopes.take_left_series());
        let again = scopes.get(&tenant("a"), 200, &limits).expect("b has been idle");
        assert!(again.id() != first.id() && again.seed(Spelling::Text) != first.seed(Spelling::Text));
    }
}
