//! Basic authentication against bcrypt hashes (safety B-17, protocol H11).
//!
//! bcrypt is slow on purpose, so it runs beside the runtime, few at a time, and an answer is remembered
//! under a keyed hash of the whole credential: user, configured hash and password. A user that does not
//! exist costs as much time as one that does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Request, Response, StatusCode};
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

use super::config::WebConfigError;
use crate::config::secret::Secret;

/// An extension of a request whose credentials our own web configuration consumed. They were for us, are
/// no longer in the request, and must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthConsumed;

/// User names and bcrypt hashes that parse.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    hashes: BTreeMap<String, Secret>,
    /// A hash of no password, as dear to check as the dearest of the others.
    nobody: Secret,
}

/// Checks credentials and remembers the answers.
#[derive(Debug)]
pub(super) struct Users {
    key: Option<hmac::Key>,
    /// Held for look-up and insert only.
    known: Mutex<Known>,
    /// Checks that run at the same time.
    permits: Semaphore,
}

/// Answers by the keyed hash of the credential. Wrong ones are kept apart, so that guessing does not
/// displace the right ones.
#[derive(Debug, Default)]
struct Known {
    right: HashMap<[u8; 32], ()>,
    wrong: HashMap<[u8; 32], ()>,
}

/// A header that carries credentials, and how to ask for it.
struct Channel {
    header: HeaderName,
    ask: HeaderName,
    status: StatusCode,
}

/// Credentials of the Basic scheme.
struct Credential {
    user: String,
    password: Secret,
}

/// Answers remembered of each kind.
const MAX_KNOWN: usize = 128;

/// Checks at the same time; each takes a core for some tens of milliseconds.
const MAX_CHECKS: usize = 2;

/// A dearer hash would take seconds for each new credential.
const MAX_COST: u32 = 16;

// === impl Passwords ===

impl Passwords {
    pub(super) fn new(users: &BTreeMap<String, Secret>) -> Result<Self, WebConfigError> {
        let mut dearest = 0;
        for (user, hash) in users {
            let cost = cost(hash).ok_or_else(|| WebConfigError::Hash { user: user.clone() })?;
            dearest = dearest.max(cost);
        }
        let nobody = format!("$2b${dearest:02}${}", ".".repeat(53));
        Ok(Self { hashes: users.clone(), nobody: Secret::new(nobody) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    fn check(&self, credential: &Credential) -> bool {
        let hash = self.hashes.get(&credential.user);
        let matches = |hash: &Secret| bcrypt::verify(credential.password.expose(), hash.expose());
        let right = matches(hash.unwrap_or(&self.nobody)).unwrap_or(false);
        right && hash.is_some()
    }
}

/// The cost of a bcrypt hash; none for anything else.
fn cost(hash: &Secret) -> Option<u32> {
    let parts: bcrypt::HashParts = hash.expose().parse().ok()?;
    Some(parts.get_cost()).filter(|cost| (4..=MAX_COST).contains(cost))
}

// === impl Users ===

impl Users {
    pub(super) fn new() -> Self {
        // Without randomness nothing is remembered, and every request pays for bcrypt.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, known: Mutex::default(), permits: Semaphore::new(MAX_CHECKS) }
    }

    /// Takes the credentials out of `request`, or answers it.
    pub(super) async fn authorize<B>(
        &self,
        passwords: Arc<Passwords>,
        request: &mut Request<B>,
    ) -> Result<(), Response<Bytes>> {
        let channel = Channel::of(request);
        let shown = request.headers_mut().remove(&channel.header);
        let Some(credential) = shown.and_then(|shown| Credential::parse(&shown)) else {
            return Err(channel.refuse());
        };
        if !self.is_right(passwords, credential).await {
            return Err(channel.refuse());
        }
        request.extensions_mut().insert(AuthConsumed);
        Ok(())
    }

    async fn is_right(&self, passwords: Arc<Passwords>, credential: Credential) -> bool {
        let tag = self.key.as_ref().map(|key| tag(key, &passwords, &credential));
        if let Some(known) = tag.and_then(|tag| self.known.lock().get(&tag)) {
            return known;
        }
        // The semaphore is never closed.
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let checked = tokio::task::spawn_blocking(move || passwords.check(&credential)).await;
        let right = checked.unwrap_or(false);
        if let Some(tag) = tag {
            self.known.lock().insert(tag, right);
        }
        right
    }
}

/// The keyed hash of user, configured hash and password; a new password in the file is a new credential.
fn tag(key: &hmac::Key, passwords: &Passwords, credential: &Credential) -> [u8; 32] {
    let mut tag = hmac::Context::with_key(key);
    let hash = passwords.hashes.get(&credential.user).map_or("", Secret::expose);
    for part in [&credential.user, hash, credential.password.expose()] {
        tag.update(&(part.len() as u64).to_le_bytes());
        tag.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.sign().as_ref());
    bytes
}

// === impl Known ===

impl Known {
    fn get(&self, tag: &[u8; 32]) -> Option<bool> {
        if self.right.contains_key(tag) {
            return Some(true);
        }
        self.wrong.contains_key(tag).then_some(false)
    }

    fn insert(&mut self, tag: [u8; 32], right: bool) {
        let known = if right { &mut self.right } else { &mut self.wrong };
        if known.len() >= MAX_KNOWN
            && let Some(any) = known.keys().next().copied()
        {
            known.remove(&any);
        }
        known.insert(tag, ());
    }
}

// === impl Channel ===

impl Channel {
    /// A proxy asks for the proxy's own credentials; those of the target are not ours to look at (H11).
    fn of<B>(request: &Request<B>) -> Self {
        if request.uri().authority().is_some() {
            Self {
                header: PROXY_AUTHORIZATION,
                ask: PROXY_AUTHENTICATE,
                status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            }
        } else {
            Self { header: AUTHORIZATION, ask: WWW_AUTHENTICATE, status: StatusCode::UNAUTHORIZED }
        }
    }

    fn refuse(&self) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from_static(b"Unauthorized\n"));
        *answer.status_mut() = self.status;
        let ask = HeaderValue::from_static("Basic realm=\"sidelong\"");
        answer.headers_mut().insert(self.ask.clone(), ask);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }
}

// === impl Credential ===

impl Credential {
    fn parse(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self { user: user.to_owned(), password: Secret::new(password) })
    }
}
