//! Values that are right by construction: what cannot be used is refused where it stands in the file.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::{HeaderName, Uri};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use crate::config::secret::HIDDEN;
use crate::rules::Output;

/// An `http` or `https` URL with a host and without user or password. Its query is shown as a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url, Uri);

/// An address and port to listen on; `:10990` stands for every IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(SocketAddr);

/// The name of an HTTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header(HeaderName);

/// The names of the score series; `$VAR` stands for the output, such as `anomaly_score`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate(String);

/// Why a text cannot be used as one of the values above.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a URL at all.
    #[error("this is not a URL ({0}); write for example http://prometheus:9090/api/v1/write")]
    NotAUrl(url::ParseError),
    /// A URL of another scheme or without a host.
    #[error("this URL has no host or is neither http nor https")]
    NotHttp,
    /// A user or password inside the URL.
    #[error("a URL must not hold a user or password; use basic_auth")]
    Credentials,
    /// Not `address:port`.
    #[error("{0:?} is not an address to listen on; write for example 127.0.0.1:10991, [::1]:10991 or :10991")]
    NotAnAddress(String),
    /// Characters that HTTP does not allow in a header's name.
    #[error("{0:?} is not the name of an HTTP header")]
    NotAHeader(String),
    /// A template without `$VAR` or one that makes no metric names.
    #[error("{0:?} makes no metric names; write $VAR once, with letters, digits, '_' and ':' around it")]
    NotATemplate(String),
}

// === impl HttpUrl ===

impl HttpUrl {
    /// The URL, its query included.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The same as requests have it.
    pub fn as_uri(&self) -> &Uri {
        &self.1
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for HttpUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let url = Url::parse(text).map_err(ValueError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(ValueError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ValueError::Credentials);
        }
        let uri = url.as_str().parse().map_err(|_| ValueError::NotHttp)?;
        Ok(Self(url, uri))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        shown.fmt(f)?;
        if self.0.query().is_some() { write!(f, "?{HIDDEN}") } else { Ok(()) }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl ListenAddress ===

impl ListenAddress {
    /// The address of a port on this machine alone.
    pub const fn local(port: u16) -> Self {
        Self(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// The address of a port on every interface.
    pub const fn everywhere(port: u16) -> Self {
        Self(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
    }

    /// The address as the standard library has it.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let port_only = text.strip_prefix(':').and_then(|port| port.parse().ok());
        let address = port_only.map(Self::everywhere).or_else(|| text.parse().ok().map(Self));
        address.ok_or_else(|| ValueError::NotAnAddress(text.to_owned()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Header ===

impl Header {
    /// A header whose name is known to be right.
    pub const fn known(name: HeaderName) -> Self {
        Self(name)
    }

    /// The name as the `http` crate has it, in lower case.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl FromStr for Header {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_| ValueError::NotAHeader(text.to_owned()))
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl NameTemplate ===

impl NameTemplate {
    /// The template with `$VAR` in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The metric name of `output`.
    pub fn name_of(&self, output: Output) -> String {
        self.0.replace("$VAR", output.as_str())
    }
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self("$VAR".to_owned())
    }
}

impl FromStr for NameTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || ValueError::NotATemplate(text.to_owned());
        let (before, after) = text.split_once("$VAR").ok_or_else(bad)?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let is_name = before.chars().chain(after.chars()).all(is_part)
            && !before.starts_with(|c: char| c.is_ascii_digit());
        if is_name { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === read and written as texts ===

macro_rules! as_text {
    ($($type:ident $what:literal)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $what.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $what })
            }
        }
    )*};
}

as_text! {
    HttpUrl "URL"
    ListenAddress "address:port"
    Header "header name"
    NameTemplate "name template"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_with_a_host_and_hides_its_query() {
        let url: HttpUrl = "https://x.example/a?token=hunter2".parse().unwrap();
        assert_eq!(url.to_string(), "https://x.example/a?<secret>");
        assert!(!format!("{url:?}").contains("hunter2") && url.is_https());
        assert_eq!("http://u:p@x/".parse::<HttpUrl>(), Err(ValueError::Credentials));
        assert_eq!("ftp://x/".parse::<HttpUrl>(), Err(ValueError::NotHttp));
        assert_eq!("unix:/x".parse::<HttpUrl>(), Err(ValueError::NotHttp));
        assert!(matches!("x".parse::<HttpUrl>(), Err(ValueError::NotAUrl(_))));
    }

    #[test]
    fn an_address_may_leave_out_the_host() {
        let check = |text: &str, want: &str| {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), want);
        };
        check(":10990", "0.0.0.0:10990");
        check("127.0.0.1:1", "127.0.0.1:1");
        check("[::]:1", "[::]:1");
        for text in ["", "10990", "localhost:1", "1.2.3.4", ":x", ":70000"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_template_makes_metric_names() {
        let template: NameTemplate = "sidelong_$VAR".parse().unwrap();
        assert_eq!(template.name_of(Output::YhatLower), "sidelong_yhat_lower");
        for text in ["", "score", "$VAR-x", "1$VAR", "$VAR $VAR", "$VAR_$VAR", "$var"] {
            assert!(text.parse::<NameTemplate>().is_err(), "{text}");
        }
    }
}
