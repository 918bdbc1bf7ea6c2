//! What the pull door says of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::address::Refusal;
use crate::label_values::label_values;
use crate::wire::exposition::{PageError, PageStats, ScoreFamilies};

/// Counters of the pull door. A clone counts the same.
#[derive(Clone, Debug)]
pub struct ScrapeMetrics {
    scrapes: Family<ByOutcome, Counter>,
    unscored: Family<ByUnscored, Counter>,
    dropped: Family<ByDropped, Counter>,
    refused: Family<ByRefused, Counter>,
    appended: Counter,
    received_bytes: Counter,
    passed_bytes: Counter,
    samples: Counter,
    unparsed: Counter,
    native_histograms: Counter,
    pub(super) running: Gauge,
    pub(super) tunnels: Gauge,
}

label_values! {
    /// How a scrape ended.
    pub(super) enum Outcome {
        /// A page passed whole, and the scorer was asked.
        Scored = "scored",
        /// A page passed whole, and nobody scored it.
        Unscored = "unscored",
        /// An answer with another status than 200 passed.
        Status = "status",
        /// No answer: nobody there, or nothing that is HTTP.
        Unreachable = "unreachable",
        /// The upstream was not done in time.
        Late = "late",
        /// The upstream's body was cut, and so was ours.
        Cut = "cut",
        /// The scraper went away.
        Abandoned = "abandoned",
        /// The target is not allowed.
        Refused = "refused",
        /// The request came from ourselves.
        Loop = "loop",
        /// Too many at one time.
        Busy = "busy",
        /// No such target, or no scrape at all.
        Invalid = "invalid",
        /// A tunnel was opened.
        Tunnel = "tunnel",
    }
}

label_values! {
    /// Why a page that passed was not scored.
    pub(super) enum Unscored {
        ContentType = "content_type",
        ContentEncoding = "content_encoding",
        Gzip = "gzip",
        BodySize = "body_size",
        Samples = "samples",
        Framing = "framing",
        NoEof = "no_eof",
        Budget = "budget",
        Panic = "panic",
    }
}

label_values! {
    /// Why a score is not on the page.
    enum Dropped {
        Limit = "limit",
        Clash = "clash",
        Ambiguous = "ambiguous",
    }
}

label_values! {
    /// Why a target is not fetched.
    enum Refused {
        Spelling = "spelling",
        NotAllowed = "not_allowed",
        Reserved = "reserved",
        Metadata = "metadata",
        Unresolved = "unresolved",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByUnscored {
    reason: Unscored,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDropped {
    reason: Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRefused {
    reason: Refused,
}

// === impl ScrapeMetrics ===

impl Default for ScrapeMetrics {
    /// Every value of every label is there from the start: a rate needs a zero to begin from.
    fn default() -> Self {
        let metrics = Self {
            scrapes: Family::default(),
            unscored: Family::default(),
            dropped: Family::default(),
            refused: Family::default(),
            appended: Counter::default(),
            received_bytes: Counter::default(),
            passed_bytes: Counter::default(),
            samples: Counter::default(),
            unparsed: Counter::default(),
            native_histograms: Counter::default(),
            running: Gauge::default(),
            tunnels: Gauge::default(),
        };
        Outcome::ALL
            .into_iter()
            .for_each(|result| drop(metrics.scrapes.get_or_create(&ByOutcome { result })));
        Unscored::ALL
            .into_iter()
            .for_each(|reason| drop(metrics.unscored.get_or_create(&ByUnscored { reason })));
        Dropped::ALL
            .into_iter()
            .for_each(|reason| drop(metrics.dropped.get_or_create(&ByDropped { reason })));
        Refused::ALL
            .into_iter()
            .for_each(|reason| drop(metrics.refused.get_or_create(&ByRefused { reason })));
        metrics
    }
}

impl ScrapeMetrics {
    /// Adds every counter to `registry`, whose prefix is `sidelong`.
    pub fn register(&self, registry: &mut Registry) {
        let scrape = registry.sub_registry_with_prefix("scrape");
        scrape.register("requests", "Scrapes that passed, by how they ended", self.scrapes.clone());
        scrape.register("unscored_pages", "Pages that passed unscored, by reason", self.unscored.clone());
        scrape.register(
            "dropped_scores",
            "Scores that were left out of a page, by reason",
            self.dropped.clone(),
        );
        scrape.register("refused_targets", "Targets that are not fetched, by reason", self.refused.clone());
        scrape.register("appended_series", "Score series appended to pages", self.appended.clone());
        scrape.register(
            "received_bytes",
            "Bytes of bodies that targets have sent",
            self.received_bytes.clone(),
        );
        scrape.register(
            "passed_bytes",
            "Bytes of bodies that scrapers were sent, scores included",
            self.passed_bytes.clone(),
        );
        scrape.register("samples", "Samples on pages that passed", self.samples.clone());
        scrape.register("unparsed_lines", "Lines that passed and were not understood", self.unparsed.clone());
        scrape.register(
            "native_histograms",
            "Native histograms that passed unscored",
            self.native_histograms.clone(),
        );
        scrape.register(
            "running",
            "Scrapes now running, bounded by max_concurrent_scrapes",
            self.running.clone(),
        );
        scrape.register("tunnels", "Tunnels now open, bounded by max_tunnels", self.tunnels.clone());
    }

    pub(super) fn ended(&self, result: Outcome) {
        self.scrapes.get_or_create(&ByOutcome { result }).inc();
    }

    pub(super) fn unscored(&self, reason: Unscored) {
        self.unscored.get_or_create(&ByUnscored { reason }).inc();
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::Spelling => Refused::Spelling,
            Refusal::NotAllowed => Refused::NotAllowed,
            Refusal::Reserved(_) => Refused::Reserved,
            Refusal::Metadata => Refused::Metadata,
            Refusal::Unresolved(_) => Refused::Unresolved,
        };
        self.refused.get_or_create(&ByRefused { reason }).inc();
    }

    /// Adds up the bytes of one body, as it came and as it went.
    pub(super) fn bytes(&self, received: u64, passed: u64) {
        self.received_bytes.inc_by(received);
        self.passed_bytes.inc_by(passed);
    }

    /// Adds up a page that was read to its end.
    pub(super) fn page(&self, stats: PageStats) {
        self.samples.inc_by(stats.samples as u64);
        self.unparsed.inc_by(stats.lines_unparsed as u64);
        self.native_histograms.inc_by(stats.native_histograms as u64);
    }

    pub(super) fn families(&self, families: &ScoreFamilies) {
        self.appended.inc_by(families.appended as u64);
        self.left_out(families);
    }

    /// Counts the scores that a page lacks.
    pub(super) fn left_out(&self, families: &ScoreFamilies) {
        let dropped = [
            (Dropped::Limit, families.over_limit),
            (Dropped::Clash, families.clashing),
            (Dropped::Ambiguous, families.ambiguous),
        ];
        for (reason, count) in dropped {
            if count > 0 {
                self.dropped.get_or_create(&ByDropped { reason }).inc_by(count as u64);
            }
        }
    }
}

impl From<PageError> for Unscored {
    fn from(error: PageError) -> Self {
        match error {
            PageError::BodySize { .. } => Self::BodySize,
            PageError::Samples { .. } => Self::Samples,
            PageError::Framing => Self::Framing,
            PageError::NoEof => Self::NoEof,
        }
    }
}
