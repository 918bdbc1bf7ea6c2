//! Label pairs, held once however many series carry them.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use parking_lot::Mutex;

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label of a score series that holds the metric name of the scored one.
pub const FOR: &str = "for";
/// Where a label called `for` that the scored series brought itself is moved, as Prometheus moves
/// a conflicting target label.
pub const EXPORTED_FOR: &str = "exported_for";

/// The label of a part of a score, and where one that the scored series brought itself is moved.
pub const PART: &str = "part";
/// See [`PART`].
pub const EXPORTED_PART: &str = "exported_part";

/// The label that says how an absent series stopped, and where one that the series brought itself is moved.
pub const REASON: &str = "reason";
/// See [`REASON`].
pub const EXPORTED_REASON: &str = "exported_reason";

/// One `name="value"`, shared by all series that carry it.
#[derive(Debug)]
pub struct Pair {
    id: u32,
    split: u32,
    text: Box<str>,
    home: Weak<Mutex<Held>>,
}

/// The labels of a scored series, in the form in which its score series carries them: sorted by name,
/// without the metric name, which stands in the label [`FOR`] instead.
#[derive(Debug)]
pub struct SeriesLabels {
    pairs: Box<[Arc<Pair>]>,
    name_at: u16,
    for_at: u16,
    spellings: Mutex<Vec<Known>>,
}

/// How somebody writes a series of these labels: work that is kept with the labels for the next time. What is in
/// it is the writer's own.
#[derive(Debug, Default)]
pub struct Spelling {
    /// What is written.
    pub bytes: Box<[u8]>,
    /// What else the writer wants to know of it.
    pub numbers: [u32; 3],
}

#[derive(Debug)]
struct Known {
    /// The name that the series is written under, and in which of the writer's ways.
    under: (u32, u32),
    spelling: Arc<Spelling>,
}

/// Hands out each distinct [`Pair`] once, for as long as somebody holds it.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    held: Arc<Mutex<Held>>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug, Default)]
struct Held {
    pairs: HashTable<(u64, Weak<Pair>)>,
    free_ids: Vec<u32>,
    next_id: u32,
    bytes: usize,
    /// Pairs that live for ever, by their numbers, which nobody else is given.
    lasting: HashMap<u32, &'static Pair>,
}

// === impl Pair ===

impl Pair {
    /// A small number that no other living pair of the same interner has: an index for tables that
    /// are kept while the pair is held.
    #[inline]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The label's name.
    #[inline]
    pub fn name(&self) -> &str {
        self.text.split_at(self.split as usize).0
    }

    /// The label's value.
    #[inline]
    pub fn value(&self) -> &str {
        self.text.split_at(self.split as usize).1
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let mut held = home.lock();
            held.bytes -= self.text.len();
            held.free_ids.push(self.id);
        }
    }
}

// === impl SeriesLabels ===

impl SeriesLabels {
    /// Takes the labels of a series as its source spells them, in any order.
    ///
    /// A label called [`FOR`] that the series has itself is renamed to [`EXPORTED_FOR`]. An empty value is the
    /// same as no label, and is left out.
    pub fn of_scored(labels: &[(&str, &str)], interner: &Interner) -> Self {
        let rename = |&(name, value)| match name {
            METRIC_NAME => (FOR, value),
            FOR => (EXPORTED_FOR, value),
            _ => (name, value),
        };
        Self::sorted(labels.iter().map(rename).collect(), interner)
    }

    /// Takes the labels of a series, without its metric name, for a series that is sent under that name itself:
    /// nothing is renamed.
    pub fn of_itself(labels: &[(&str, &str)], interner: &Interner) -> Self {
        Self::sorted(labels.to_vec(), interner)
    }

    /// The same labels with `part` in the label [`PART`]. One that the series has itself is renamed to
    /// [`EXPORTED_PART`].
    pub fn with_part(&self, part: &str, interner: &Interner) -> Self {
        let rename =
            |pair: &Arc<Pair>| if pair.name() == PART { EXPORTED_PART } else { pair.name() }.to_owned();
        let names: Vec<_> = self.pairs.iter().map(rename).collect();
        let own = names.iter().zip(self.pairs.iter()).map(|(name, pair)| (name.as_str(), pair.value()));
        Self::sorted(own.chain([(PART, part)]).collect(), interner)
    }

    fn sorted(mut labels: Vec<(&str, &str)>, interner: &Interner) -> Self {
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        let at = |wanted: &str| labels.partition_point(|&(name, _)| name < wanted) as u16;
        Self {
            name_at: at(METRIC_NAME),
            for_at: at(FOR),
            spellings: Mutex::default(),
            pairs: labels.iter().map(|&(name, value)| interner.pair(name, value)).collect(),
        }
    }

    /// The pairs of the score series before and after the place where its own `__name__` belongs.
    #[inline]
    pub fn around_name(&self) -> (&[Arc<Pair>], &[Arc<Pair>]) {
        self.pairs.split_at(self.name_at as usize)
    }

    /// How the series called `name` is written in `way`, made by `spell` the first time.
    pub fn spelling(&self, name: &Pair, way: u32, spell: impl FnOnce() -> Spelling) -> Arc<Spelling> {
        let under = (name.id(), way);
        let mut known = self.spellings.lock();
        if let Some(known) = known.iter().find(|known| known.under == under) {
            return Arc::clone(&known.spelling);
        }
        let spelling = Arc::new(spell());
        known.push(Known { under, spelling: Arc::clone(&spelling) });
        spelling
    }

    /// A number that is this series' own, and the same wherever and whenever it is asked for: by it, what is done to each
    /// series once in a while is not done to all at once.
    pub fn phase(&self) -> u32 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for pair in &self.pairs {
            hasher.update(pair.name().as_bytes());
            hasher.update(&[0xff]);
            hasher.update(pair.value().as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest() as u32
    }

    /// All pairs of the score series but its `__name__`, sorted.
    #[inline]
    pub fn pairs(&self) -> &[Arc<Pair>] {
        &self.pairs
    }

    /// The metric name of the scored series; empty if it has none.
    pub fn metric_name(&self) -> &str {
        match self.pairs.get(self.for_at as usize) {
            Some(pair) if pair.name() == FOR => pair.value(),
            _ => "",
        }
    }

    /// The value of label `name` of the scored series.
    pub fn get(&self, name: &str) -> Option<&str> {
        let wanted = match name {
            METRIC_NAME => FOR,
            FOR => EXPORTED_FOR,
            _ => name,
        };
        self.pairs.iter().find(|pair| pair.name() == wanted).map(|pair| pair.value())
    }

    /// The labels of the scored series itself, in no particular order.
    pub fn scored(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| match pair.name() {
            FOR => (METRIC_NAME, pair.value()),
            EXPORTED_FOR => (FOR, pair.value()),
            name => (name, pair.value()),
        })
    }
}

// === impl Interner ===

impl Interner {
    /// The one living pair with this name and value.
    pub fn pair(&self, name: &str, value: &str) -> Arc<Pair> {
        let hash = self.hasher.hash_one((name, value));
        // Dropping the last hold on a pair takes the lock, so what the search upgrades outlives the guard.
        let mut upgraded = Vec::new();
        let mut held = self.held.lock();
        held.pairs.find(hash, |(at, pair)| {
            let Some(pair) = pair.upgrade().filter(|_| *at == hash) else { return false };
            let same = pair.name() == name && pair.value() == value;
            upgraded.push(pair);
            same
        });
        if let Some(pair) = upgraded.last().filter(|p| p.name() == name && p.value() == value) {
            return Arc::clone(pair);
        }
        held.insert(hash, name, value, Arc::downgrade(&self.held))
    }

    /// The same pair for as long as the process lives: for the few names of injected series.
    pub fn lasting_pair(&self, name: &str, value: &str) -> &'static Pair {
        let pair = self.pair(name, value);
        let mut held = self.held.lock();
        held.lasting.entry(pair.id()).or_insert_with(|| Box::leak(Box::new(Arc::clone(&pair))))
    }

    /// Pairs that live for as long as the process does.
    pub fn lasting(&self) -> usize {
        self.held.lock().lasting.len()
    }

    /// Bytes of label text held now, each pair counted once.
    pub fn bytes(&self) -> usize {
        self.held.lock().bytes
    }
}

// === impl Held ===

impl Held {
    fn insert(&mut self, hash: u64, name: &str, value: &str, home: Weak<Mutex<Self>>) -> Arc<Pair> {
        // Dead entries are swept where the table would grow anyway, so that the sweep costs nothing extra.
        if self.pairs.len() == self.pairs.capacity() {
            self.pairs.retain(|(_, pair)| pair.strong_count() > 0);
        }
        let id = self.free_ids.pop().unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id - 1
        });
        let mut text = String::with_capacity(name.len() + value.len());
        text.push_str(name);
        text.push_str(value);
        self.bytes += text.len();
        let pair = Arc::new(Pair { id, split: name.len() as u32, text: text.into(), home });
        self.pairs.insert_unique(hash, (hash, Arc::downgrade(&pair)), |(hash, _)| *hash);
        pair
    }
}
