//! The two versions of remote write, and how a request says which one it is.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// Version of the remote-write protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// Why the headers of a write request are refused: always 415, before the body is looked at (R3, R4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Neither of the two messages.
    #[error(
        "content type {0:?} is not remote write; send application/x-protobuf, with ;proto=io.prometheus.write.v2.Request for 2.0"
    )]
    Type(String),
    /// Anything but snappy.
    #[error("content encoding {0:?} is not taken; remote write is compressed with snappy (block format)")]
    Encoding(String),
}

const V1_MESSAGE: &str = "prometheus.WriteRequest";
const V2_MESSAGE: &str = "io.prometheus.write.v2.Request";
const PROTOBUF: &str = "application/x-protobuf";

// === impl Version ===

impl Version {
    /// What a request with `headers` carries (R2 to R5). Absent headers mean 1.0 and snappy.
    ///
    /// # Errors
    /// [`MediaError`] for everything that is not snappy-compressed remote write.
    pub fn of(headers: &HeaderMap) -> Result<Self, MediaError> {
        if let Some(encoding) = headers.get(CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"snappy")
        {
            return Err(MediaError::Encoding(lossy(encoding)));
        }
        Self::named_by(headers)
    }

    /// Which version a request with `headers` says it is of, however it is compressed (R2).
    ///
    /// # Errors
    /// [`MediaError::Type`] for a message of neither version.
    pub fn named_by(headers: &HeaderMap) -> Result<Self, MediaError> {
        match headers.get(CONTENT_TYPE) {
            None => Ok(Self::V1),
            Some(value) => {
                let parsed = value.to_str().ok().and_then(Self::of_content_type);
                parsed.ok_or_else(|| MediaError::Type(lossy(value)))
            }
        }
    }

    fn of_content_type(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(PROTOBUF) {
            return None;
        }
        let proto = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        });
        match proto {
            None | Some(V1_MESSAGE) => Some(Self::V1),
            Some(V2_MESSAGE) => Some(Self::V2),
            Some(_) => None,
        }
    }

    /// Value of the header `Content-Type`.
    pub fn content_type(self) -> HeaderValue {
        match self {
            Self::V1 => HeaderValue::from_static(PROTOBUF),
            // Without a space behind the semicolon: the reference receiver does not trim it (T22).
            Self::V2 => {
                HeaderValue::from_static("application/x-protobuf;proto=io.prometheus.write.v2.Request")
            }
        }
    }

    /// Value of the header `X-Prometheus-Remote-Write-Version`.
    pub fn number(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        })
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(content_type: Option<&str>, encoding: Option<&str>) -> Option<Version> {
        let mut headers = HeaderMap::new();
        let header = |value: &str| HeaderValue::from_str(value).expect("a header value");
        content_type.map(|value| headers.insert(CONTENT_TYPE, header(value)));
        encoding.map(|value| headers.insert(CONTENT_ENCODING, header(value)));
        Version::of(&headers).ok()
    }

    #[test]
    fn r2_the_content_type_says_which_version() {
        let check = |value, want| assert_eq!(version(Some(value), Some("snappy")), Some(want), "{value}");
        check("application/x-protobuf", Version::V1);
        check("application/x-protobuf;proto=prometheus.WriteRequest", Version::V1);
        check("application/x-protobuf;proto=io.prometheus.write.v2.Request", Version::V2);
        check("Application/X-Protobuf; proto=io.prometheus.write.v2.Request", Version::V2);
        check("application/x-protobuf; charset=utf-8; proto=\"io.prometheus.write.v2.Request\"", Version::V2);
    }

    #[test]
    fn r2_r5_absent_headers_mean_1_0_and_snappy() {
        assert_eq!(version(None, None), Some(Version::V1));
    }

    #[test]
    fn r3_other_types_and_encodings_are_refused() {
        for value in ["application/json", "image/png", "application/x-protobuf;proto=other.Message", ""] {
            assert_eq!(version(Some(value), Some("snappy")), None, "{value}");
        }
        for value in ["gzip", "deflate", "zstd", "identity"] {
            assert_eq!(version(None, Some(value)), None, "{value}");
        }
    }
}
