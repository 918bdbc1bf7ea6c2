//! The pull door: fetches a target's page, streams it through unchanged, and ends it with its scores.
//!
//! The way of a scrape: [`ScrapeDoor`] finds the target (of the configuration, or one that a rule allows),
//! `head` makes the upstream's request of the scraper's, `body` passes the answer on while `reader` reads
//! a copy of it; at the end of a whole page a [`PageScorer`] is asked, and what it says within the budget
//! is appended. Whatever is wrong with a page or with scoring, its bytes pass; whatever is wrong with
//! the upstream fails the scrape as it would without us.

mod address;
mod body;
mod door;
mod eof;
mod error;
mod head;
mod metrics;
mod reader;
mod scorer;
mod target;
mod teach;
mod tunnel;

pub use address::{Refusal, ResolveFuture, Resolver, SystemResolver};
pub use door::{ScrapeDoor, ScrapeParts};
pub use metrics::ScrapeMetrics;
pub use scorer::{PageScorer, PooledPage, ScoreFuture, ScrapedPage};
pub use target::ScrapeConfigError;
