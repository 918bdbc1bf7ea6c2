//! The bounded table of scored series.
//!
//! Series lie in chunks, in the order in which they were first met. A sender repeats its series in the
//! same order, so the next series of a batch is nearly always the next slot: a [`Walk`] tries it before
//! it asks the index. A walk holds the lock of one chunk while its series follow one another, and of none
//! while it looks up, inserts or evicts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};

use super::hash::KeyHasher;
use super::labels::{Interner, SeriesLabels};
use super::scopes::Scope;
use super::slot::{Series, Standing};
use crate::batch::Key;
use crate::context;
use crate::detect;
use crate::rules::Outputs;
use crate::signals::{self, Signal};

/// Series a chunk holds.
const CHUNK_SERIES: u32 = 64;
/// How many series ahead a walk has what they learned fetched: the next one is being scored before it has come.
const AHEAD: u32 = 2;
/// More series than any configuration may ask for; bounds the chunk directory.
pub const MAX_SERIES: usize = 4 << 20;
/// Index entry of a series that no rule selects.
const UNSELECTED: u32 = u32::MAX;
/// Remembered unselected series per allowed scored one, before all are forgotten and asked anew.
const UNSELECTED_SHARE: usize = 4;

/// Where a series lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(u32);

/// A batch's place in the table: where its next series probably is.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    next: u32,
    /// Chunks that the series of the last whole page lie in, in order.
    chunks: Vec<u32>,
}

/// What the index knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The series is in the table.
    Known(SlotId),
    /// No rule selects it.
    Unselected,
    /// It was never met under this key.
    New,
}

/// Why a series did not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The table is full of series that are not idle and not less important.
    TableFull,
    /// The scope has as many series as one scope may have.
    ScopeFull,
    /// Another series has the same fingerprint. Never seen in practice; refused, not mixed up.
    Collision,
}

/// What the table needs to know of a series to give it a place.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// Who owns it.
    pub scope: &'a Arc<Scope>,
    /// The key it was met under.
    pub key: Key,
    /// Its labels, sorted by name, `__name__` among them.
    pub sorted: &'a [(&'a str, &'a str)],
    /// Seconds since the epoch, by the arrival clock.
    pub now_s: u32,
}

/// The bounded table of scored series.
#[derive(Debug)]
pub struct Table {
    index: DashMap<Key, u32, KeyHasher>,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
    interner: Interner,
    /// Serialises inserts, evictions and what is remembered under which rules; never taken while a chunk is
    /// held.
    places: Mutex<Places>,
    live: AtomicUsize,
    unselected: AtomicUsize,
}

type Chunk = Mutex<Vec<Option<Series>>>;

#[derive(Debug, Default)]
struct Places {
    free: Vec<u32>,
    next: u32,
    /// Of the rules in force.
    generation: u16,
}

/// One pass over the table with a batch in hand.
#[derive(Debug)]
pub struct Walk<'t> {
    table: &'t Table,
    held: Option<(u32, MutexGuard<'t, Vec<Option<Series>>>)>,
    next: u32,
    /// Chunks that were held, if they are asked for.
    trail: Option<Vec<u32>>,
}

// === impl Table ===

impl Default for Table {
    fn default() -> Self {
        Self::new(Interner::default())
    }
}

impl Table {
    /// An empty table whose series share the pairs of `interner`.
    pub fn new(interner: Interner) -> Self {
        Self {
            index: DashMap::with_hasher(KeyHasher),
            chunks: (0..MAX_SERIES / CHUNK_SERIES as usize).map(|_| OnceLock::new()).collect(),
            interner,
            places: Mutex::default(),
            live: AtomicUsize::new(0),
            unselected: AtomicUsize::new(0),
        }
    }

    /// Scored series in the table.
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether no series is scored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of distinct label text that the table's series share.
    pub fn label_bytes(&self) -> usize {
        self.interner.bytes()
    }

    /// Bytes that a series takes: its slot, what it has learned and, at the load the index has on average, two
    /// entries of the index. Its labels come on top.
    pub fn bytes_per_series(&self) -> usize {
        let entry = size_of::<(Key, u32)>() + 1;
        size_of::<Option<Series>>() + detect::State::BYTES + 2 * entry * 4 / 3
    }

    /// Where the pairs of labels come from.
    pub fn interner(&self) -> &Interner {
        &self.interner
    }

    /// Starts a pass where `cursor` left off.
    pub fn walk(&self, cursor: &Cursor) -> Walk<'_> {
        Walk { table: self, held: None, next: cursor.next, trail: None }
    }

    /// Finds the series of `newcomer` under another spelling of its labels, and learns that spelling.
    ///
    /// # Errors
    /// [`Refused::Collision`] when the fingerprint belongs to other labels.
    pub fn recognise(&self, newcomer: &Newcomer<'_>) -> Result<Option<SlotId>, Refused> {
        let _serial = self.places.lock();
        let canonical = newcomer.scope.canonical_key(newcomer.sorted.iter().copied());
        let Some(id) = self.index.get(&canonical).map(|id| *id) else { return Ok(None) };
        let mut chunk = self.chunk(id / CHUNK_SERIES).lock();
        let Some(series) = chunk[(id % CHUNK_SERIES) as usize].as_mut() else { return Ok(None) };
        if !same_labels(&series.labels, newcomer.sorted) {
            return Err(Refused::Collision);
        }
        // A series keeps two spellings: a sender that changes between more pays a lookup by labels.
        let forgotten = std::mem::replace(&mut series.keys[1], newcomer.key);
        let first = series.keys[0];
        drop(chunk);
        if forgotten != first {
            self.index.remove(&forgotten);
        }
        self.index.insert(newcomer.key, id);
        Ok(Some(SlotId(id)))
    }

    /// The key of `sorted` labels in `scope`, however a source spells them.
    pub fn key<'a>(&self, scope: &Scope, sorted: impl Iterator<Item = (&'a str, &'a str)>) -> Key {
        scope.canonical_key(sorted)
    }

    /// The series of `scope` with these labels, `__name__` among them, if it is known.
    pub fn look_up(&self, scope: &Scope, mut labels: Vec<(&str, &str)>) -> Option<SlotId> {
        labels.sort_unstable();
        let id = *self.index.get(&scope.canonical_key(labels.into_iter()))?;
        (id != UNSELECTED).then_some(SlotId(id))
    }

    /// What `read` makes of the series at `id`, if it is there; its chunk is held meanwhile.
    pub fn with<T>(&self, id: SlotId, read: impl FnOnce(&mut Series) -> T) -> Option<T> {
        let mut chunk = self.chunk(id.0 / CHUNK_SERIES).lock();
        chunk.get_mut((id.0 % CHUNK_SERIES) as usize)?.as_mut().map(read)
    }

    /// Remembers that no rule of `generation` selects the series called `key`, unless other rules are in force
    /// by now: a batch that began before they were says nothing for them.
    pub fn remember_unselected(&self, key: Key, max_series: usize, generation: u16) {
        let places = self.places.lock();
        if places.generation != generation {
            return;
        }
        let limit = max_series.saturating_mul(UNSELECTED_SHARE);
        if self.unselected.load(Ordering::Relaxed) >= limit {
            self.forget_unselected();
        }
        if self.index.insert(key, UNSELECTED).is_none() {
            self.unselected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Rules of `generation` are in force: what those before them did not select is forgotten.
    pub fn rules_changed(&self, generation: u16) {
        self.places.lock().generation = generation;
        self.forget_unselected();
    }

    fn forget_unselected(&self) {
        self.index.retain(|_, id| *id != UNSELECTED);
        self.unselected.store(0, Ordering::Relaxed);
    }

    /// Gives a series a place and returns it; the caller has made sure that there is room and that
    /// [`Table::recognise`] does not know it.
    pub fn insert(&self, newcomer: &Newcomer<'_>, rule: u16, generation: u16) -> Option<SlotId> {
        let labels = Arc::new(SeriesLabels::of_scored(newcomer.sorted, &self.interner));
        let series = Series {
            state: detect::State::default(),
            taught: None,
            newest: None,
            score: None,
            emitting: Outputs::NONE,
            forecasting: None,
            standing: Standing::Out,
            signal: Signal::Value,
            rule,
            generation,
            seen_s: newcomer.now_s,
            context: context::Attached::default(),
            memberships: signals::Memberships::default(),
            habit: None,
            made: false,
            histograms: false,
            given: None,
            workload: None,
            parts: None,
            inherited: None,
            labels,
            scope: Arc::clone(newcomer.scope),
            keys: [newcomer.key; 2],
        };
        let mut places = self.places.lock();
        let id = places.take()?;
        self.put(id, series);
        newcomer.scope.count(1);
        self.live.fetch_add(1, Ordering::Relaxed);
        self.index.insert(newcomer.scope.canonical_key(newcomer.sorted.iter().copied()), id);
        self.index.insert(newcomer.key, id);
        Some(SlotId(id))
    }

    fn put(&self, id: u32, series: Series) {
        let mut chunk = self.chunk(id / CHUNK_SERIES).lock();
        let at = (id % CHUNK_SERIES) as usize;
        if chunk.len() <= at {
            chunk.resize_with(at + 1, || None);
        }
        chunk[at] = Some(series);
    }

    /// Takes a series out of the table. Its last score may still be on its way: labels live on with it.
    pub fn evict(&self, id: SlotId) -> Option<Series> {
        let mut places = self.places.lock();
        let series =
            self.chunk(id.0 / CHUNK_SERIES).lock().get_mut((id.0 % CHUNK_SERIES) as usize)?.take()?;
        places.free.push(id.0);
        drop(places);
        for key in series.keys {
            self.index.remove(&key);
        }
        let mut sorted: Vec<_> = series.labels.scored().collect();
        sorted.sort_unstable();
        self.index.remove(&series.scope.canonical_key(sorted.into_iter()));
        series.scope.count(-1);
        self.live.fetch_sub(1, Ordering::Relaxed);
        Some(series)
    }

    /// Calls `each` for every series, one chunk locked at a time.
    pub fn for_each(&self, mut each: impl FnMut(SlotId, &mut Series)) {
        (0..self.chunks()).for_each(|number| self.for_chunk(number, &mut each));
    }

    /// Calls `each` for every series of one chunk.
    pub fn for_chunk(&self, number: u32, mut each: impl FnMut(SlotId, &mut Series)) {
        let mut chunk = self.chunk(number).lock();
        for (at, place) in chunk.iter_mut().enumerate() {
            if let Some(series) = place {
                each(SlotId(number * CHUNK_SERIES + at as u32), series);
            }
        }
    }

    /// Chunks that were ever used; they are numbered from 0.
    pub fn chunks(&self) -> u32 {
        self.places.lock().next.div_ceil(CHUNK_SERIES)
    }

    fn chunk(&self, number: u32) -> &Chunk {
        self.chunks[number as usize]
            .get_or_init(|| Box::new(Mutex::new(Vec::with_capacity(CHUNK_SERIES as usize))))
    }
}

fn same_labels(known: &SeriesLabels, sorted: &[(&str, &str)]) -> bool {
    let mut known: Vec<_> = known.scored().collect();
    known.sort_unstable();
    known == sorted
}

// === impl Cursor ===

impl Cursor {
    /// The chunks that the last whole page and the one before lie in, `self` being the cursor behind the last.
    pub fn chunks_with(&self, before: &Self) -> Vec<u32> {
        let mut both = [self.chunks.as_slice(), &before.chunks].concat();
        both.sort_unstable();
        both.dedup();
        both
    }

    /// Keeps the trail of `before`, since this batch was no whole page.
    pub fn keep_trail(&mut self, before: Self) {
        self.chunks = before.chunks;
    }
}

// === impl Places ===

impl Places {
    fn take(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            let id = self.next;
            ((id as usize) < MAX_SERIES).then(|| {
                self.next += 1;
                id
            })
        })
    }
}

// === impl Walk ===

impl<'t> Walk<'t> {
    /// Looks up `key`: in the next slot first, then in the index.
    #[inline]
    pub fn find(&mut self, key: &Key) -> Found {
        let guess = self.next;
        if self.holds(guess, key) {
            self.next = guess + 1;
            return Found::Known(SlotId(guess));
        }
        self.look_up(key)
    }

    /// Steps to the next slot, if it holds the series of `key` as rules of `generation` selected it: nearly always.
    #[inline]
    pub fn step(&mut self, key: &Key, generation: u16) -> Option<SlotId> {
        let id = self.next;
        let series = self.place(id)?.as_ref()?;
        if !series.goes_by(key) || series.generation != generation {
            return None;
        }
        self.next = id + 1;
        self.prefetch(id + AHEAD);
        Some(SlotId(id))
    }

    /// Has what the series at `id` learned fetched from memory, if it is in the chunk in hand.
    #[inline]
    fn prefetch(&self, id: u32) {
        let Some((number, chunk)) = &self.held else { return };
        let place = chunk.get((id % CHUNK_SERIES) as usize).filter(|_| id / CHUNK_SERIES == *number);
        if let Some(Some(series)) = place {
            series.prefetch();
        }
    }

    #[inline]
    fn holds(&mut self, id: u32, key: &Key) -> bool {
        let Some(place) = self.place(id) else { return false };
        place.as_ref().is_some_and(|series| series.goes_by(key))
    }

    #[inline]
    fn place(&mut self, id: u32) -> Option<&mut Option<Series>> {
        let number = id / CHUNK_SERIES;
        if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
            self.held = None;
            let chunk = self.table.chunks.get(number as usize)?.get()?;
            self.held = Some((number, chunk.lock()));
            if let Some(trail) = &mut self.trail {
                trail.push(number);
            }
        }
        let (_, chunk) = self.held.as_mut()?;
        chunk.get_mut((id % CHUNK_SERIES) as usize)
    }

    #[cold]
    fn look_up(&mut self, key: &Key) -> Found {
        // No lock of the index is taken while a chunk is held.
        self.held = None;
        match self.table.index.get(key).map(|id| *id) {
            None => Found::New,
            Some(UNSELECTED) => Found::Unselected,
            Some(id) if self.holds(id, key) => {
                self.next = id + 1;
                Found::Known(SlotId(id))
            }
            // Evicted between the two looks.
            Some(_) => Found::New,
        }
    }

    /// The series at `id`, if it was not evicted meanwhile.
    #[inline]
    pub fn series(&mut self, id: SlotId) -> Option<&mut Series> {
        self.place(id.0)?.as_mut()
    }

    /// The same; and those that lie behind it will be asked for next.
    #[inline]
    pub fn visit(&mut self, id: SlotId) -> Option<&mut Series> {
        self.place(id.0)?;
        self.prefetch(id.0 + AHEAD);
        self.series(id)
    }

    /// Lets go of the chunk in hand, as inserting and evicting need.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Goes on behind `id`, a series that was just inserted.
    pub fn continue_behind(&mut self, id: SlotId) {
        self.next = id.0 + 1;
    }

    /// Keeps in mind from now on which chunks the walk leads through.
    pub fn leave_trail(&mut self) {
        self.trail = Some(Vec::new());
    }

    /// Where the next batch of the same sender begins its search, and the walk's trail.
    pub fn into_cursor(self) -> Cursor {
        let mut chunks = self.trail.unwrap_or_default();
        chunks.sort_unstable();
        chunks.dedup();
        Cursor { next: self.next, chunks }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
