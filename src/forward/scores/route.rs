//! Where scores go, and what was learned of who is there. Replaced as a whole at a reload.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderName;

use crate::config::sections::{self, Protocol};
use crate::forward::{Downstream, Version};

/// Where scores go and how they travel.
#[derive(Clone, Debug)]
pub struct Route {
    /// How they travel.
    pub scores: sections::Scores,
    /// The receiver as it is configured.
    pub receiver: sections::Downstream,
    /// The way to it.
    pub downstream: Downstream,
    /// The header that names the tenant.
    pub tenant_header: HeaderName,
}

/// The route of now. Reads as the [`Route`].
#[derive(Debug)]
pub(super) struct InForce {
    route: Route,
    /// The same one for as long as the receiver is the same one.
    pub(super) known: Arc<Known>,
}

/// What was learned of a receiver.
#[derive(Debug)]
pub(super) struct Known {
    version: AtomicU8,
}

const UNKNOWN: u8 = 0;
const SPEAKS_V1: u8 = 1;
const SPEAKS_V2: u8 = 2;

// === impl Route ===

impl Route {
    fn is_same_receiver(&self, other: &Self) -> bool {
        self.receiver.is_same_receiver(&other.receiver) && self.tenant_header == other.tenant_header
    }
}

// === impl InForce ===

impl InForce {
    pub(super) fn new(route: Route) -> Self {
        let known = Arc::new(Known::of(route.receiver.protocol));
        Self { route, known }
    }

    /// `route` in place of this one: the same receiver remains known.
    pub(super) fn replaced(&self, route: Route) -> Self {
        if self.route.is_same_receiver(&route) {
            return Self { route, known: Arc::clone(&self.known) };
        }
        Self::new(route)
    }
}

impl Deref for InForce {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.route
    }
}

// === impl Known ===

impl Known {
    fn of(protocol: Protocol) -> Self {
        let version = AtomicU8::new(match protocol {
            Protocol::Auto => UNKNOWN,
            Protocol::V1 => SPEAKS_V1,
            Protocol::V2 => SPEAKS_V2,
        });
        Self { version }
    }

    /// The version that the receiver reads, once that is known.
    pub(super) fn version(&self) -> Option<Version> {
        match self.version.load(Ordering::Relaxed) {
            SPEAKS_V1 => Some(Version::V1),
            SPEAKS_V2 => Some(Version::V2),
            _ => None,
        }
    }

    pub(super) fn speaks(&self, version: Version) {
        let version = match version {
            Version::V1 => SPEAKS_V1,
            Version::V2 => SPEAKS_V2,
        };
        self.version.store(version, Ordering::Relaxed);
    }
}
