//! The seam between the pull door and whatever scores its pages.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::batch::Key;
use crate::inject::ScoreSample;
use crate::wire::exposition::{Format, Page, PageLimits};

/// Scores pages.
pub trait PageScorer: Send + Sync + 'static {
    /// The seed of the keys of `target`'s series ([`crate::batch::Key::of`]): it stands for the target's
    /// scope and for this door. Asked once for each scrape, before its page is read.
    fn key_seed(&self, target: &str) -> u64;

    /// Scores a whole page. What comes after the door's `score_budget` is dropped.
    fn score(&self, page: ScrapedPage) -> ScoreFuture;
}

/// What [`PageScorer::score`] gives: scores of series of the page, in any order.
pub type ScoreFuture = Pin<Box<dyn Future<Output = Vec<ScoreSample>> + Send>>;

/// A page that was read whole, and what is known of its scrape.
#[derive(Clone, Debug)]
pub struct ScrapedPage {
    /// The page: its batch, and the source of its labels.
    pub page: Arc<PooledPage>,
    /// The name of a configured target, the URL of another one: the scope of its series.
    pub target: Arc<str>,
    /// When the scrape began, in milliseconds since the Unix epoch: the time of samples without one.
    pub scraped_at_ms: i64,
    /// Whether the detector learns from this page, or only judges it by what it knows (P28).
    pub teach: bool,
}

/// A page whose memory is used again once nobody holds it.
#[derive(Debug)]
pub struct PooledPage {
    page: Page,
    pool: Arc<PagePool>,
}

/// Pages that wait for their next use.
#[derive(Debug, Default)]
pub(super) struct PagePool {
    held: Mutex<Held>,
}

/// What the pool holds; its lock covers one look-up and is held across nothing else.
#[derive(Debug, Default)]
struct Held {
    free: Vec<Page>,
    /// The series of each target's last page, by the seed of its keys.
    known: HashMap<u64, Vec<Key>>,
    known_keys: usize,
}

/// Pages kept: about as many as are read at one moment.
const KEPT_PAGES: usize = 16;
/// Memory that a kept page may hold; larger ones are rare and given back.
const KEPT_BYTES: usize = 8 << 20;
/// Series remembered over all targets, 16 bytes each; beyond, all are forgotten and learned anew.
const KNOWN_KEYS: usize = 1 << 20;

// === impl PagePool ===

impl PagePool {
    /// A page that has been started, and recalls the last page with `seed`.
    pub(super) fn start(
        self: &Arc<Self>,
        format: Format,
        limits: PageLimits,
        seed: u64,
        scraped_at_ms: i64,
    ) -> PooledPage {
        let (mut page, known) = {
            let mut held = self.held.lock();
            (held.free.pop().unwrap_or_default(), held.forget(seed))
        };
        page.start(format, limits, seed, scraped_at_ms);
        page.recall(known);
        PooledPage { page, pool: Arc::clone(self) }
    }

    fn put(&self, mut page: Page) {
        let (seed, keys) = (page.seed(), page.series_keys());
        let mut held = self.held.lock();
        held.remember(seed, keys);
        if page.held_bytes() <= KEPT_BYTES && held.free.len() < KEPT_PAGES {
            held.free.push(page);
        }
    }
}

// === impl Held ===

impl Held {
    fn forget(&mut self, seed: u64) -> Vec<Key> {
        let keys = self.known.remove(&seed).unwrap_or_default();
        self.known_keys -= keys.len();
        keys
    }

    fn remember(&mut self, seed: u64, keys: Vec<Key>) {
        // Another scrape of this target may have ended since.
        drop(self.forget(seed));
        if self.known_keys + keys.len() > KNOWN_KEYS {
            self.known.clear();
            self.known_keys = 0;
        }
        if keys.len() <= KNOWN_KEYS {
            self.known_keys += keys.len();
            self.known.insert(seed, keys);
        }
    }
}

// === impl PooledPage ===

impl PooledPage {
    pub(super) fn page_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Deref for PooledPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl Drop for PooledPage {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.page));
    }
}
