//! The pull door's service: from a request to the upstream's page with its scores.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::{Endpoint, Refusal, Resolver, SystemResolver};
use super::body::{Scrape, ScrapeBody, Way};
use super::eof::EofHold;
use super::error::ScrapeError;
use super::head::{Coding, Times, forget_exact_bytes, format_of, upstream_headers};
use super::metrics::{Outcome, ScrapeMetrics, Unscored};
use super::reader::{PageReader, Unzip};
use super::scorer::{PagePool, PageScorer};
use super::target::{Limits, ScrapeConfigError, Target, Targets, with_query};
use super::teach::Lessons;
use super::tunnel::{self, Tunnel};
use crate::config::sections as config;
use crate::net::body::BoxBody;
use crate::net::client::{ClientError, ClientLimits, ClientMetrics, HttpClient, ResponseBody};
use crate::net::headers::{is_loop, strip_hop_by_hop};
use crate::wire::exposition::{Format, ScoreFamilies, Syntax};

/// The pull door. A clone is the same door.
#[derive(Clone)]
pub struct ScrapeDoor {
    shared: Arc<Shared>,
}

/// What the door needs of the rest of the house.
#[derive(Clone)]
pub struct ScrapeParts {
    /// What scores pages.
    pub scorer: Arc<dyn PageScorer>,
    /// What turns names into addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Milliseconds since the Unix epoch.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// A name that no other instance has, by which a request that comes back is known (F-37).
    pub instance: HeaderValue,
    /// Where this process itself listens; no tunnel leads there (H3).
    pub listeners: Vec<SocketAddr>,
    /// Counters of the door.
    pub metrics: ScrapeMetrics,
    /// How connections to targets are made.
    pub client_limits: ClientLimits,
    /// Counters of the connections to targets.
    pub client_metrics: Arc<ClientMetrics>,
    /// Cancelled when tunnels are to be closed.
    pub shutdown: CancellationToken,
}

struct Shared {
    targets: Targets,
    parts: ScrapeParts,
    score_budget: Duration,
    tunnel_idle_timeout: Duration,
    scrapes: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    kept: Kept,
}

/// What outlives a reload of the configuration.
#[derive(Clone)]
struct Kept {
    lessons: Arc<Lessons>,
    pages: Arc<PagePool>,
}

/// Where a request wants to go.
enum Route<'a> {
    Named(&'a str),
    Upstream(&'a Target),
    Proxy,
    /// Prometheus' `proxy_url`: the request line has the whole URL.
    Absolute,
    Tunnel,
}

/// One page to fetch.
struct Fetch<'a> {
    scope: Arc<str>,
    url: Uri,
    addresses: Vec<SocketAddr>,
    limits: Limits,
    headers: Cow<'a, HeaderMap>,
    client: &'a HttpClient,
}

/// Targets whose last lesson is remembered; beyond, the longest silent one is forgotten.
const REMEMBERED_TARGETS: usize = 10_000;

// === impl ScrapeParts ===

impl ScrapeParts {
    /// Parts with the system's clock and resolver, a random instance name and counters of their own.
    pub fn new(scorer: Arc<dyn PageScorer>) -> Self {
        let instance = format!("{:032x}", StdRng::from_os_rng().random::<u128>());
        Self {
            scorer,
            resolver: Arc::new(SystemResolver),
            clock: Arc::new(unix_millis),
            // Hexadecimal digits are a header value.
            instance: HeaderValue::try_from(instance)
                .unwrap_or_else(|_| HeaderValue::from_static("sidelong")),
            listeners: Vec::new(),
            metrics: ScrapeMetrics::default(),
            client_limits: ClientLimits::default(),
            client_metrics: Arc::default(),
            shutdown: CancellationToken::new(),
        }
    }
}

// === impl ScrapeDoor ===

impl ScrapeDoor {
    /// A door for the targets of `config`.
    ///
    /// # Errors
    /// What in `config` cannot work.
    pub fn new(config: &config::Scrape, parts: ScrapeParts) -> Result<Self, ScrapeConfigError> {
        let kept = Kept { lessons: Arc::new(Lessons::new(REMEMBERED_TARGETS)), pages: Arc::default() };
        Self::with(config, parts, kept)
    }

    /// A door for another configuration that remembers what this one knows of its targets.
    ///
    /// # Errors
    /// What in `config` cannot work; this door goes on as it is.
    pub fn reconfigured(&self, config: &config::Scrape) -> Result<Self, ScrapeConfigError> {
        Self::with(config, self.shared.parts.clone(), self.shared.kept.clone())
    }

    fn with(config: &config::Scrape, parts: ScrapeParts, kept: Kept) -> Result<Self, ScrapeConfigError> {
        let shared = Shared {
            targets: Targets::check(config, &parts.client_limits, &parts.client_metrics)?,
            score_budget: config.score_budget.get(),
            tunnel_idle_timeout: config.tunnel_idle_timeout.get(),
            scrapes: Arc::new(Semaphore::new(config.max_concurrent_scrapes as usize)),
            tunnels: Arc::new(Semaphore::new(config.max_tunnels as usize)),
            parts,
            kept,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether a request on the data port is this door's to answer; any other is for the rest of the port.
    pub fn takes<B>(&self, request: &Request<B>) -> bool {
        self.shared.route(request).is_some()
    }

    /// Counts what a page of scores lacks that another door has made.
    pub fn left_out(&self, families: &ScoreFamilies) {
        self.shared.parts.metrics.left_out(families);
    }

    /// Answers a request; one that this door does not take is 404.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<BoxBody> {
        match self.shared.answer(request).await {
            Ok(answer) => answer,
            Err(error) => {
                if let ScrapeError::Refused(refusal) = &error {
                    self.shared.parts.metrics.refused(refusal);
                }
                self.shared.parts.metrics.ended(error.status().1);
                error.answer().map(boxed)
            }
        }
    }
}

impl std::fmt::Debug for ScrapeParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrapeParts").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ScrapeDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrapeDoor").field("targets", &self.shared.targets).finish_non_exhaustive()
    }
}

impl<B: Send + 'static> tower::Service<Request<B>> for ScrapeDoor {
    type Response = Response<BoxBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.handle(request).await) })
    }
}

// === impl Shared ===

impl Shared {
    fn route<'a, B>(&'a self, request: &'a Request<B>) -> Option<Route<'a>> {
        if request.method() == Method::CONNECT {
            return Some(Route::Tunnel);
        }
        // Only the request line tells a proxy request from one to ourselves (H4, H9); what is pushed
        // through a proxy (H10) is for the push door.
        if request.uri().scheme().is_some() {
            return (request.method() == Method::GET).then_some(Route::Absolute);
        }
        match request.uri().path() {
            "/proxy" => Some(Route::Proxy),
            "/metrics" => self.targets.upstream.as_deref().map(Route::Upstream),
            path => path.strip_prefix("/scrape/").map(Route::Named),
        }
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response<BoxBody>, ScrapeError> {
        if request.method() == Method::CONNECT {
            return self.tunnel(request).await;
        }
        let unknown = || ScrapeError::UnknownTarget(request.uri().path().to_owned());
        let route = self.route(&request).ok_or_else(unknown)?;
        if request.method() != Method::GET {
            return Err(ScrapeError::Method);
        }
        if is_loop(request.headers(), &self.parts.instance) {
            return Err(ScrapeError::Loop);
        }
        let permit = Arc::clone(&self.scrapes).try_acquire_owned().map_err(|_| ScrapeError::Busy)?;
        let uri = request.uri();
        let fetch = match route {
            Route::Named(name) => {
                let target = self.targets.named.get(name);
                let target = target.ok_or_else(|| ScrapeError::UnknownTarget(name.to_owned()))?;
                self.configured(target, uri.query()).await?
            }
            Route::Proxy => self.allowed(proxied_url(uri)?).await?,
            Route::Absolute => self.allowed(uri.clone()).await?,
            Route::Upstream(target) => self.configured(target, uri.query()).await?,
            Route::Tunnel => return Err(ScrapeError::Method),
        };
        self.scrape(fetch, request.headers(), permit).await
    }

    /// A target of the configuration, with the scraper's query added to its URL. The query may choose what
    /// the page holds (`collect[]=cpu`), so that each makes a target of its own: what has two pages has two
    /// scopes, and each teaches once in an interval.
    async fn configured<'a>(
        &self,
        target: &'a Target,
        query: Option<&str>,
    ) -> Result<Fetch<'a>, ScrapeError> {
        let scope = match query.filter(|query| !query.is_empty()) {
            None => Arc::clone(&target.scope),
            Some(query) => format!("{}?{query}", target.scope).into(),
        };
        Ok(Fetch {
            scope,
            url: with_query(&target.url, query),
            addresses: target.endpoint.own_addresses(&*self.parts.resolver).await?,
            limits: target.limits,
            headers: Cow::Borrowed(&target.headers),
            client: &target.client,
        })
    }

    /// A target that the request names and a rule allows.
    async fn allowed(&self, url: Uri) -> Result<Fetch<'_>, ScrapeError> {
        let endpoint = Endpoint::of_url(&url)?;
        let (addresses, rule) =
            endpoint.allowed_addresses(&self.targets.rules, &*self.parts.resolver).await?;
        let limits = self.targets.rule_limits.get(rule).copied();
        Ok(Fetch {
            scope: url.to_string().into(),
            url,
            addresses,
            limits: limits.ok_or(Refusal::NotAllowed)?,
            headers: Cow::Owned(HeaderMap::new()),
            client: &self.targets.allowed,
        })
    }

    /// Fetches a page and streams it back.
    async fn scrape(
        &self,
        fetch: Fetch<'_>,
        headers: &HeaderMap,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<BoxBody>, ScrapeError> {
        let (began, scraped_at_ms) = (Instant::now(), (self.parts.clock)());
        let limits = fetch.limits;
        let times = Times::of(headers, limits.timeout, limits.interval);
        let headers = upstream_headers(headers, &fetch.headers, times, &self.parts.instance);
        let mut answer = fetch.send(headers, began + times.upstream).await?;
        if answer.status().is_redirection() {
            lead_away(&fetch.url, answer.headers_mut());
        }
        let scrape = Scrape {
            scope: fetch.scope,
            limits,
            began,
            scraped_at_ms,
            scraper_deadline: began + times.scraper,
            score_budget: self.score_budget,
            scorer: Arc::clone(&self.parts.scorer),
            lessons: Arc::clone(&self.kept.lessons),
            metrics: self.parts.metrics.clone(),
            _permit: permit,
        };
        Ok(self.respond(answer, began + times.upstream, scrape))
    }

    /// Decides by the head of an answer how its body passes.
    fn respond(
        &self,
        answer: Response<ResponseBody>,
        deadline: Instant,
        scrape: Scrape,
    ) -> Response<BoxBody> {
        let (mut head, body) = answer.into_parts();
        strip_hop_by_hop(&mut head.headers);
        if head.status != StatusCode::OK {
            let body = ScrapeBody::new(body, deadline, Way::Verbatim, None, scrape).expect(Outcome::Status);
            return Response::from_parts(head, BoxBody::new(body));
        }
        let (format, coding) = format_of(&head.headers);
        let unscored = match (format, coding) {
            (None, _) => Some(Unscored::ContentType),
            (_, Coding::Unknown) => Some(Unscored::ContentEncoding),
            _ => None,
        };
        let (Some(format), None) = (format, unscored) else {
            unscored.into_iter().for_each(|reason| scrape.metrics.unscored(reason));
            let body = ScrapeBody::new(body, deadline, Way::Verbatim, None, scrape);
            return Response::from_parts(head, BoxBody::new(body));
        };
        forget_exact_bytes(&mut head.headers);
        if (format.syntax, coding) == (Syntax::OpenMetrics, Coding::Gzip) {
            head.headers.remove(http::header::CONTENT_ENCODING);
        }
        let (way, reader) = self.reader(format, coding, &scrape);
        Response::from_parts(head, BoxBody::new(ScrapeBody::new(body, deadline, way, Some(reader), scrape)))
    }

    fn reader(&self, format: Format, coding: Coding, scrape: &Scrape) -> (Way, PageReader) {
        let limits = scrape.limits.page;
        let seed = self.parts.scorer.key_seed(&scrape.scope);
        let page = self.kept.pages.start(format, limits, seed, scrape.scraped_at_ms);
        let zipped = coding == Coding::Gzip;
        match format.syntax {
            Syntax::OpenMetrics if zipped => {
                (Way::Unzipped(Box::new(Unzip::passing()), EofHold::new()), PageReader::new(page, None))
            }
            Syntax::OpenMetrics => (Way::HoldEof(EofHold::new()), PageReader::new(page, None)),
            _ if zipped => (Way::GzipMember, PageReader::new(page, Some(Unzip::new(limits.body_size)))),
            _ => (Way::Verbatim, PageReader::new(page, None)),
        }
    }

    async fn tunnel<B>(&self, mut request: Request<B>) -> Result<Response<BoxBody>, ScrapeError> {
        let permit =
            Arc::clone(&self.tunnels).try_acquire_owned().map_err(|_| ScrapeError::TooManyTunnels)?;
        let endpoint = Endpoint::of_tunnel(request.uri())?;
        let (addresses, _) = endpoint.allowed_addresses(&self.targets.tunnels, &*self.parts.resolver).await?;
        if addresses.iter().any(|address| self.is_own(*address)) {
            return Err(ScrapeError::OwnTunnel);
        }
        let target = tunnel::connect(&addresses).await.map_err(ScrapeError::TunnelEnd)?;
        let tunnel = Tunnel {
            idle_timeout: self.tunnel_idle_timeout,
            shutdown: self.parts.shutdown.clone(),
            metrics: self.parts.metrics.clone(),
            _permit: permit,
        };
        tokio::spawn(tunnel.run(hyper::upgrade::on(&mut request), target));
        self.parts.metrics.ended(Outcome::Tunnel);
        Ok(Response::new(boxed(String::new())))
    }

    /// Whether `address` is one that this process listens on.
    fn is_own(&self, address: SocketAddr) -> bool {
        self.parts.listeners.iter().any(|own| {
            let everywhere = own.ip().is_unspecified() && address.ip().is_loopback();
            own.port() == address.port() && (own.ip() == address.ip() || everywhere)
        })
    }
}

// === impl Fetch ===

impl Fetch<'_> {
    /// Asks the first of the addresses that can be reached.
    async fn send(
        &self,
        headers: HeaderMap,
        deadline: Instant,
    ) -> Result<Response<ResponseBody>, ScrapeError> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        let mut failure = ScrapeError::Late;
        for address in &self.addresses {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.request_to(*address, request.clone(), left).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let try_next = matches!(error, ClientError::Unreachable { .. });
                    failure = ScrapeError::Upstream(error);
                    if !try_next {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }
}

/// Makes the Location of an answer of `url` one that leads to the same place from anywhere: the scraper asked us, and
/// would look for a relative one here (P6).
fn lead_away(url: &Uri, headers: &mut HeaderMap) {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
    // What is absolute already stays as it is to the letter, and so does what cannot be understood.
    if url::Url::parse(location) != Err(url::ParseError::RelativeUrlWithoutBase) {
        return;
    }
    let Some(base) = url.authority().map(|authority| authority.as_str()) else { return };
    // Without the user and password that a target's URL may have: they are not the scraper's.
    let host = base.rsplit('@').next().unwrap_or_default();
    let base = format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path());
    let absolute = url::Url::parse(&base).and_then(|base| base.join(location));
    if let Some(absolute) = absolute.ok().and_then(|url| HeaderValue::try_from(String::from(url)).ok()) {
        headers.insert(LOCATION, absolute);
    }
}

/// The URL that `/proxy?target=URL` names; other parameters go along to it.
fn proxied_url(uri: &Uri) -> Result<Uri, ScrapeError> {
    let (mut target, mut rest) = (None, Vec::new());
    for part in uri.query().unwrap_or_default().split('&') {
        match part.strip_prefix("target=") {
            Some(value) if target.is_none() => target = Some(value),
            _ => rest.push(part),
        }
    }
    let encoded = format!("target={}", target.ok_or(ScrapeError::NoTarget)?);
    let decoded = url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, url)| url.into_owned());
    let url: Uri = decoded.unwrap_or_default().parse().map_err(|_| Refusal::Spelling)?;
    Ok(with_query(&url, Some(&rest.join("&"))))
}

fn boxed(text: String) -> BoxBody {
    BoxBody::new(Full::new(Bytes::from(text)).map_err(|never| match never {}))
}

/// Milliseconds since the Unix epoch; 0 if the clock is before it.
fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
