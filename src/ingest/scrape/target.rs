//! Checked configuration: what may be fetched, and within which limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::address::{AllowRule, Endpoint, Refusal};
use crate::config::secret::Secret;
use crate::config::sections::{self as config, Allow, Scheme, Scrape};
use crate::net::client::{ClientConfigError, ClientLimits, ClientMetrics, HttpClient, HttpClientConfig};
use crate::wire::exposition::{PageLimits, PageStats, Room};

/// Why the configuration of the pull door cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeConfigError {
    /// A URL that cannot be fetched.
    #[error("scrape: {url:?} cannot be fetched")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Refusal,
    },
    /// A host that is neither a name nor a range.
    #[error("scrape.allow: {0:?} is no host name, address or address range")]
    Host(String),
    /// A header that cannot be sent.
    #[error("scrape: {0:?} is no header that can be sent")]
    Header(String),
    /// Credentials or certificates that cannot be used.
    #[error("scrape: the options of a target's client cannot be used")]
    Client(#[source] ClientConfigError),
    /// An interval or timeout that no scrape fits in.
    #[error("scrape: scrape_timeout must be above 0s and at most scrape_interval ({0})")]
    Timeout(String),
}

/// All targets of a configuration.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) named: HashMap<String, Arc<Target>>,
    pub(super) upstream: Option<Arc<Target>>,
    pub(super) rules: Vec<AllowRule>,
    /// By the index of the rule.
    pub(super) rule_limits: Vec<Limits>,
    /// Where tunnels may lead.
    pub(super) tunnels: Vec<AllowRule>,
    /// Fetches what a rule allows.
    pub(super) allowed: HttpClient,
}

/// A target that the configuration names.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) scope: Arc<str>,
    pub(super) url: Uri,
    pub(super) endpoint: Endpoint,
    pub(super) limits: Limits,
    pub(super) headers: HeaderMap,
    pub(super) client: HttpClient,
}

/// What a scrape may take, and what its scrape job lets a page have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) page: PageLimits,
    /// 0 is none.
    pub(super) samples: usize,
    /// 0 is none.
    pub(super) labels: usize,
    pub(super) target_labels: usize,
    /// 0 is none.
    pub(super) name_bytes: usize,
    /// 0 is none.
    pub(super) value_bytes: usize,
}

// === impl Targets ===

impl Targets {
    pub(super) fn check(
        config: &Scrape,
        limits: &ClientLimits,
        metrics: &Arc<ClientMetrics>,
    ) -> Result<Self, ScrapeConfigError> {
        let samples = config.page_sample_limit as usize;
        let client = |http: &HttpClientConfig| {
            HttpClient::new(http, limits.clone(), Arc::clone(metrics)).map_err(ScrapeConfigError::Client)
        };
        let target = |config: &config::Target| {
            Target::check(config, samples, client(&config.http_client())?).map(Arc::new)
        };
        let named = config.targets.iter().map(|config| Ok((config.name.clone(), target(config)?)));
        let limits_of = |rule| Limits::of_rule(rule, samples);
        Ok(Self {
            named: named.collect::<Result<_, _>>()?,
            upstream: config.upstream.as_ref().map(target).transpose()?,
            rules: config.allow.iter().map(rule).collect::<Result<_, _>>()?,
            rule_limits: config.allow.iter().map(limits_of).collect::<Result<_, _>>()?,
            tunnels: config.allow_connect.iter().map(tunnel_rule).collect::<Result<_, _>>()?,
            // Whatever a request names gets no credentials of ours (B-15).
            allowed: client(&HttpClientConfig::default())?,
        })
    }
}

fn rule(config: &Allow) -> Result<AllowRule, ScrapeConfigError> {
    let places: Vec<_> = config.hosts.iter().chain(&config.networks).cloned().collect();
    AllowRule::new(&places, &config.ports, &config.schemes).map_err(ScrapeConfigError::Host)
}

/// Nobody sees what a tunnel speaks, so that its rule names no scheme.
fn tunnel_rule(config: &Allow) -> Result<AllowRule, ScrapeConfigError> {
    rule(&Allow { schemes: vec![Scheme::Https], ..config.clone() })
}

// === impl Target ===

impl Target {
    fn check(
        config: &config::Target,
        page_samples: usize,
        client: HttpClient,
    ) -> Result<Self, ScrapeConfigError> {
        let text = config.url.as_url().as_str();
        let wrong = |source| ScrapeConfigError::Url { url: config.url.to_string(), source };
        let url: Uri = text.parse().map_err(|_| wrong(Refusal::Spelling))?;
        let endpoint = Endpoint::of_url(&url).map_err(wrong)?;
        endpoint.check_own().map_err(wrong)?;
        let limits = Limits {
            interval: config.scrape_interval.get(),
            timeout: config.scrape_timeout.get(),
            page: PageLimits { body_size: config.body_size_limit.as_usize(), samples: page_samples },
            samples: config.sample_limit as usize,
            labels: config.label_limit as usize,
            target_labels: config.target_labels as usize,
            name_bytes: config.label_name_length_limit as usize,
            value_bytes: config.label_value_length_limit as usize,
        };
        let scope = if config.name.is_empty() { text } else { &config.name };
        Ok(Self {
            scope: scope.into(),
            url,
            endpoint,
            limits: limits.checked()?,
            headers: header_map(&config.headers)?,
            client,
        })
    }
}

// === impl Limits ===

impl Limits {
    fn of_rule(config: &Allow, page_samples: usize) -> Result<Self, ScrapeConfigError> {
        let limits = Self {
            interval: config.scrape_interval.get(),
            timeout: config.scrape_timeout.get(),
            page: PageLimits { body_size: config.body_size_limit.as_usize(), samples: page_samples },
            samples: config.sample_limit as usize,
            labels: config.label_limit as usize,
            target_labels: config.target_labels as usize,
            name_bytes: 0,
            value_bytes: 0,
        };
        limits.checked()
    }

    fn checked(self) -> Result<Self, ScrapeConfigError> {
        if self.timeout.is_zero() || self.timeout > self.interval {
            let given = format!("{:?} and {:?} here", self.timeout, self.interval);
            return Err(ScrapeConfigError::Timeout(given));
        }
        Ok(self)
    }

    /// What scores may add to a page of these `stats`. A page that is over a limit by itself, which its
    /// scraper refuses, gets none.
    pub(super) fn room(&self, stats: PageStats) -> Room {
        let on_page = stats.samples + stats.lines_unparsed;
        let or_endless = |limit: usize, taken: usize| match limit {
            0 => usize::MAX,
            limit => limit.saturating_sub(taken),
        };
        Room {
            samples: or_endless(self.samples, on_page),
            labels: or_endless(self.labels, self.target_labels),
            name_bytes: or_endless(self.name_bytes, 0),
            value_bytes: or_endless(self.value_bytes, 0),
        }
    }
}

/// `base` with what the scraper's own query adds to it.
pub(super) fn with_query(base: &Uri, query: Option<&str>) -> Uri {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return base.clone() };
    let joined = match base.query() {
        Some(own) if !own.is_empty() => format!("{}?{own}&{query}", base.path()),
        _ => format!("{}?{query}", base.path()),
    };
    let mut parts = base.clone().into_parts();
    // Two valid queries joined are a valid one; were they not, the target's own would do.
    let Ok(path) = PathAndQuery::try_from(joined) else { return base.clone() };
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

fn header_map(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, ScrapeConfigError> {
    let header = |(name, value): (&String, &Secret)| {
        let wrong = || ScrapeConfigError::Header(name.clone());
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    headers.iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        page: PageLimits { body_size: 1, samples: 1 },
        samples: 0,
        labels: 0,
        target_labels: 2,
        name_bytes: 0,
        value_bytes: 0,
    };

    #[test]
    fn p30_scores_get_what_the_job_leaves() {
        let stats = PageStats { samples: 8, lines_unparsed: 1, ..Default::default() };
        let check = |samples, labels, want| {
            assert_eq!(Limits { samples, labels, ..LIMITS }.room(stats), want);
        };
        check(0, 0, Room::ENDLESS);
        check(10, 30, Room { samples: 1, labels: 28, ..Room::ENDLESS });
        check(9, 2, Room { samples: 0, labels: 0, ..Room::ENDLESS });
        check(5, 1, Room { samples: 0, labels: 0, ..Room::ENDLESS });
    }

    #[test]
    fn the_scrapers_query_goes_along() {
        let check = |base: &str, query: Option<&str>, want: &str| {
            assert_eq!(with_query(&base.parse().expect("a URI"), query).to_string(), want);
        };
        check("http://h:1/metrics", None, "http://h:1/metrics");
        check("http://h:1/metrics", Some("collect[]=cpu"), "http://h:1/metrics?collect[]=cpu");
        check("http://h:1/m?a=b", Some("c=d&e"), "http://h:1/m?a=b&c=d&e");
        check("http://h:1", Some("c"), "http://h:1/?c");
    }

    #[test]
    fn a_configuration_that_cannot_work_says_why() {
        let check = |yaml: &str, want: &str| {
            let config: Scrape = serde_saphyr::from_str(yaml).expect("well-formed");
            let checked = Targets::check(&config, &ClientLimits::default(), &Arc::default());
            let error = checked.expect_err(yaml).to_string();
            assert!(error.contains(want), "{yaml}: {error}");
        };
        check("upstream: {url: 'http://169.254.169.254/'}", "cannot be fetched");
        check("upstream: {url: 'http://h/', scrape_timeout: 2m}", "scrape_timeout");
        check("upstream: {url: 'http://2852039166/'}", "cannot be fetched");
        check("upstream: {url: 'http://h/', headers: {'a b': c}}", "a b");
        check("allow: [{networks: ['10.0.0.0/99']}]", "10.0.0.0/99");
        check("allow_connect: [{hosts: ['127.1']}]", "127.1");
    }
}
