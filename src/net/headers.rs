//! Header hygiene that both directions of a proxy owe (protocol H5, safety B-16).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

/// The instances of Sidelong that a request has passed, so that one that comes back is seen (F-37).
pub const HOP: HeaderName = HeaderName::from_static("sidelong-hop");

/// Instances that one request may pass before it is taken for a loop.
const MAX_HOPS: usize = 8;

/// Headers that speak of one connection and never pass a proxy (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Removes every hop-by-hop header, and each header that a `Connection` header names.
///
/// All others stay as they are; the values of one name keep their order.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_in_connection(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether a request has passed `instance` already, or too many instances at all.
pub fn is_loop(headers: &HeaderMap, instance: &HeaderValue) -> bool {
    let hops = || headers.get_all(HOP).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    hops().count() >= MAX_HOPS || hops().any(|hop| hop.trim_ascii() == instance.as_bytes())
}

/// The header names that `Connection` lists, `close` and `keep-alive` among them.
///
/// Empty, and free of allocation, where there is no `Connection` header.
fn named_in_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut map);
        let mut kept: Vec<_> =
            map.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        kept.sort();
        kept
    }

    #[test]
    fn h5_hop_by_hop_headers_go_and_all_others_stay() {
        let kept = stripped(&[
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("authorization", "Bearer kept"),
            ("accept-encoding", "gzip"),
            ("x-scope-orgid", "tenant"),
        ]);
        assert_eq!(kept, ["accept-encoding=gzip", "authorization=Bearer kept", "x-scope-orgid=tenant"]);
    }

    #[test]
    fn b16_headers_named_in_any_connection_header_go_too() {
        let kept = stripped(&[
            ("connection", "X-One, keep-alive ,, bad name"),
            ("connection", "x-TWO"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "2b"),
            ("x-three", "3"),
        ]);
        assert_eq!(kept, ["x-three=3"]);
    }
}
