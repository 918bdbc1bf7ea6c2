//! What must hold of the HTTP options of a downstream or a target.

use std::collections::BTreeMap;

use super::{Findings, SectionError};
use crate::config::secret::Secret;
use crate::net::client::HttpClientConfig;

/// Checks the `client` and the added `headers` of the section at `path`.
pub(super) fn check(
    client: &HttpClientConfig,
    headers: &BTreeMap<String, Secret>,
    path: &str,
    findings: &mut Findings,
) {
    for (option, problem) in client.problems() {
        findings.add(format!("{path}.{option}"), problem);
    }
    // A client may well show an empty name, but nobody means one who leaves it out.
    let named = client.basic_auth.as_ref().is_none_or(|basic| !basic.username.is_empty());
    findings.require(named, format!("{path}.basic_auth"), SectionError::Missing("username"));
    check_headers(headers, path, findings);
}

fn check_headers(headers: &BTreeMap<String, Secret>, path: &str, findings: &mut Findings) {
    for (name, value) in headers {
        let at = format!("{path}.headers.{name}");
        match name.to_ascii_lowercase().as_str() {
            "authorization" => {
                let cause = "use authorization or basic_auth";
                findings.add(&at, SectionError::ReservedHeader(name.clone(), cause));
            }
            "host"
            | "content-type"
            | "content-encoding"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "user-agent"
            | "x-prometheus-remote-write-version" => {
                let cause = "Sidelong sets it or passes on the sender's";
                findings.add(&at, SectionError::ReservedHeader(name.clone(), cause));
            }
            _ => {}
        }
        let is_header = http::HeaderName::try_from(name.as_str()).is_ok()
            && http::HeaderValue::from_str(value.expose()).is_ok();
        if !is_header {
            findings.add(&at, "this is not an HTTP header; use visible ASCII characters");
        }
    }
}
