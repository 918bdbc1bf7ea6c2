//! What is counted of requests for scores.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::label_values::label_values;

/// Requests for scores, by what came of them.
#[derive(Clone, Debug, Default)]
pub struct ServingMetrics {
    requests: Family<ResultLabel, Counter>,
}

label_values! {
    /// What came of a request.
    enum Outcome {
        Scored = "scored",
        /// It was not what is asked for.
        Wrong = "wrong",
        /// It was larger than is allowed.
        TooLarge = "too_large",
        /// `serving.max_requests_per_second`.
        RateLimit = "rate_limit",
        /// `serving.max_requests_in_flight`, or no model serves yet.
        Busy = "busy",
        /// The detector broke.
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: Outcome,
}

// === impl ServingMetrics ===

impl ServingMetrics {
    /// Makes them visible.
    pub fn register(&self, registry: &mut Registry) {
        for result in Outcome::ALL {
            drop(self.requests.get_or_create(&ResultLabel { result }));
        }
        registry.register(
            "sidelong_serving_requests",
            "Requests for scores on the admin listener, by what came of them",
            self.requests.clone(),
        );
    }

    pub(super) fn count(&self, status: StatusCode) {
        let result = match status {
            StatusCode::OK => Outcome::Scored,
            StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => Outcome::RateLimit,
            StatusCode::SERVICE_UNAVAILABLE => Outcome::Busy,
            StatusCode::INTERNAL_SERVER_ERROR => Outcome::Failed,
            _ => Outcome::Wrong,
        };
        self.requests.get_or_create(&ResultLabel { result }).inc();
    }
}
