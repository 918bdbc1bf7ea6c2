//! The seam between the pull door and whatever scores its pages.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::inject::ScoreSample;
use crate::wire::exposition::Page;

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
    /// The lock covers one push or pop.
    free: Mutex<Vec<Page>>,
}

/// Pages kept: about as many as are read at one moment.
const KEPT_PAGES: usize = 16;
/// Memory that a kept page may hold; larger ones are rare and given back.
const KEPT_BYTES: usize = 8 << 20;

// === impl PagePool ===

impl PagePool {
    pub(super) fn take(self: &Arc<Self>) -> PooledPage {
        let page = self.free.lock().pop().unwrap_or_default();
        PooledPage { page, pool: Arc::clone(self) }
    }

    fn put(&self, page: Page) {
        let mut free = self.free.lock();
        if page.held_bytes() <= KEPT_BYTES && free.len() < KEPT_PAGES {
            free.push(page);
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
