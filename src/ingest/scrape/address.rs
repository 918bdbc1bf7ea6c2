//! Which hosts may be fetched from (safety B-14).
//!
//! A name is resolved once, the addresses are judged, and the connection goes to one of those very
//! addresses: a name that resolves otherwise a moment later (DNS rebinding) gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use http::Uri;
use ipnet::IpNet;

use crate::config::sections::Scheme;

/// Names and addresses that may be fetched from, and by which schemes and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AllowRule {
    hosts: Vec<HostRule>,
    ports: Vec<u16>,
    schemes: Vec<Scheme>,
}

/// A place to connect to, taken apart and checked for its spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// How it is spoken to.
    pub(super) scheme: Scheme,
    /// What stands before the port.
    pub(super) host: Host,
    /// The port, 80 or 443 where none is written.
    pub(super) port: u16,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name for the resolver, in lower case and without a dot at its end.
    Name(String),
    /// An address in its one proper spelling.
    Ip(IpAddr),
}

/// Why a target is not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a URL that names a host properly: `127.1`, `0x7f000001`, `user@host`, `fe80::1%eth0`.
    #[error("the target is not spelled as http://HOST[:PORT]/PATH with a plain host name or address")]
    Spelling,
    /// No rule for it.
    #[error("the target is not allowed; name its host, port and scheme under scrape.allow")]
    NotAllowed,
    /// The address belongs to this machine or to nobody.
    #[error(
        "the target's address {0} is in a reserved range; name that range under scrape.allow if you mean it"
    )]
    Reserved(IpAddr),
    /// A cloud's metadata service, which no rule opens.
    #[error("the target is a metadata service, which is never fetched")]
    Metadata,
    /// The name has no address.
    #[error("the target's name does not resolve")]
    Unresolved(#[source] io::Error),
}

/// Turns a host name into addresses.
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, in the order in which to try them.
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a>;
}

/// What [`Resolver::resolve`] gives.
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

/// One entry of a rule's hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostRule {
    /// This name.
    Name(String),
    /// Any name that ends in this one, which starts with a dot.
    Below(String),
    /// Any address in this range.
    Net(IpNet),
}

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Plain,
    Reserved,
    Metadata,
}

/// Names of metadata services. Their addresses are in [`METADATA_NETS`].
const METADATA_NAMES: [&str; 8] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
];

/// A list of ranges, each of which the tests parse.
macro_rules! nets {
    ($($net:literal,)*) => {
        LazyLock::new(|| [$($net),*].iter().filter_map(|net| net.parse().ok()).collect())
    };
}

/// Metadata services by cloud: AWS, GCP, Azure, OpenStack and more; credentials of ECS and EKS pods; Azure's
/// wire server; Alibaba; Oracle.
static METADATA_NETS: LazyLock<Vec<IpNet>> = nets!(
    "169.254.169.0/24",
    "169.254.170.0/24",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
);

/// Ranges that reach this machine, its link or nobody, or that dress up another address.
static RESERVED_NETS: LazyLock<Vec<IpNet>> = nets!(
    "0.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
);

// === impl AllowRule ===

impl AllowRule {
    /// A rule for `hosts`: names, names after `*.`, addresses and ranges like `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first host that is none of these.
    pub(super) fn new(hosts: &[String], ports: &[u16], schemes: &[Scheme]) -> Result<Self, String> {
        let hosts = hosts.iter().map(|host| HostRule::parse(host).ok_or_else(|| host.clone()));
        Ok(Self { hosts: hosts.collect::<Result<_, _>>()?, ports: ports.to_vec(), schemes: schemes.to_vec() })
    }

    fn fits(&self, endpoint: &Endpoint) -> bool {
        self.ports.contains(&endpoint.port) && self.schemes.contains(&endpoint.scheme)
    }

    fn names(&self, host: &Host) -> bool {
        matches!(host, Host::Name(name) if self.hosts.iter().any(|rule| rule.names(name)))
    }

    /// Whether this rule lets `host`, which is at `ip`, be fetched from.
    ///
    /// A reserved range is opened by naming it or a part of it: neither `0.0.0.0/0` nor a name opens
    /// loopback, but for the name `localhost`.
    fn admits(&self, host: &Host, ip: IpAddr) -> bool {
        let plain = class_of(ip) == Class::Plain;
        let means_it = |net: &IpNet| plain || RESERVED_NETS.iter().any(|reserved| reserved.contains(net));
        let ranged = self.hosts.iter().any(|rule| match rule {
            HostRule::Net(net) => net.contains(&ip) && means_it(net),
            HostRule::Name(_) | HostRule::Below(_) => false,
        });
        let this_machine = ip.is_loopback() && matches!(host, Host::Name(name) if name == "localhost");
        ranged || (self.names(host) && (plain || this_machine))
    }

    fn has_ranges(&self) -> bool {
        self.hosts.iter().any(|rule| matches!(rule, HostRule::Net(_)))
    }
}

// === impl HostRule ===

impl HostRule {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Some(Self::Net(net));
        }
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        match Host::parse(name).ok()? {
            Host::Ip(ip) => (!below).then(|| Self::Net(ip.into())),
            Host::Name(name) if below => Some(Self::Below(format!(".{name}"))),
            Host::Name(name) => Some(Self::Name(name)),
        }
    }

    fn names(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Below(own) => name.ends_with(own.as_str()),
            Self::Net(_) => false,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The place that an absolute http or https URL names.
    ///
    /// # Errors
    /// [`Refusal::Spelling`].
    pub(super) fn of_url(url: &Uri) -> Result<Self, Refusal> {
        let scheme = match url.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(Refusal::Spelling),
        };
        Self::of_authority(url, scheme)
    }

    /// The place that a tunnel is asked for (`CONNECT host:port`).
    ///
    /// # Errors
    /// [`Refusal::Spelling`], also if there is no port.
    pub(super) fn of_tunnel(authority: &Uri) -> Result<Self, Refusal> {
        authority.port_u16().ok_or(Refusal::Spelling)?;
        Self::of_authority(authority, Scheme::Https)
    }

    fn of_authority(uri: &Uri, scheme: Scheme) -> Result<Self, Refusal> {
        let authority = uri.authority().ok_or(Refusal::Spelling)?;
        let host = Host::parse(authority.host())?;
        let default = if scheme == Scheme::Http { 80 } else { 443 };
        let port = authority.port_u16().unwrap_or(default);
        // What is neither host nor port: user information, an empty or an impossible port.
        let written = authority.as_str().strip_prefix(authority.host());
        let sound = match written {
            Some("") => true,
            Some(port_text) => port_text.strip_prefix(':') == Some(port.to_string().as_str()),
            None => false,
        };
        if sound && port != 0 { Ok(Self { scheme, host, port }) } else { Err(Refusal::Spelling) }
    }

    /// Whether the configuration may name this place, as far as can be said without resolving it.
    ///
    /// # Errors
    /// [`Refusal::Metadata`].
    pub(super) fn check_own(&self) -> Result<(), Refusal> {
        match self.refused_unresolved() {
            Refusal::Metadata => Err(Refusal::Metadata),
            _ => Ok(()),
        }
    }

    /// The addresses of a target that the configuration itself names: any but a metadata service's.
    ///
    /// # Errors
    /// [`Refusal::Metadata`] or [`Refusal::Unresolved`].
    pub(super) async fn own_addresses(&self, resolver: &dyn Resolver) -> Result<Vec<SocketAddr>, Refusal> {
        self.addresses(resolver, |_| true).await
    }

    /// The addresses that `rules` let this place have, and which rule it was.
    ///
    /// # Errors
    /// Any [`Refusal`]; a name that no rule could admit is not even resolved.
    pub(super) async fn allowed_addresses(
        &self,
        rules: &[AllowRule],
        resolver: &dyn Resolver,
    ) -> Result<(Vec<SocketAddr>, usize), Refusal> {
        let fitting = || rules.iter().enumerate().filter(|(_, rule)| rule.fits(self));
        if !fitting().any(|(_, rule)| rule.names(&self.host) || rule.has_ranges()) {
            return Err(self.refused_unresolved());
        }
        let allowed = |ip| fitting().any(|(_, rule)| rule.admits(&self.host, ip));
        let addresses = self.addresses(resolver, allowed).await?;
        let first = addresses.first().map(SocketAddr::ip);
        let rule = fitting().find(|(_, rule)| first.is_some_and(|ip| rule.admits(&self.host, ip)));
        rule.map(|(at, _)| (addresses, at)).ok_or(Refusal::NotAllowed)
    }

    fn refused_unresolved(&self) -> Refusal {
        match &self.host {
            Host::Name(name) if METADATA_NAMES.contains(&name.as_str()) => Refusal::Metadata,
            Host::Ip(ip) if class_of(*ip) == Class::Metadata => Refusal::Metadata,
            _ => Refusal::NotAllowed,
        }
    }

    async fn addresses(
        &self,
        resolver: &dyn Resolver,
        allowed: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let found = match &self.host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) if METADATA_NAMES.contains(&name.as_str()) => return Err(Refusal::Metadata),
            Host::Name(name) => resolver.resolve(name).await.map_err(Refusal::Unresolved)?,
        };
        if found.iter().any(|ip| class_of(*ip) == Class::Metadata) {
            return Err(Refusal::Metadata);
        }
        let good: Vec<_> = found.iter().filter(|ip| allowed(**ip)).collect();
        match (good.is_empty(), found.first()) {
            (false, _) => Ok(good.into_iter().map(|ip| SocketAddr::new(*ip, self.port)).collect()),
            (true, Some(&ip)) if class_of(ip) == Class::Reserved => Err(Refusal::Reserved(ip)),
            (true, Some(_)) => Err(Refusal::NotAllowed),
            (true, None) => Err(Refusal::Unresolved(io::Error::from(io::ErrorKind::NotFound))),
        }
    }
}

// === impl Host ===

impl Host {
    /// Reads the host of a URL, an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`Refusal::Spelling`] for what some resolver or other would read as an address though it is not
    /// spelled as one (`2130706433`, `0177.0.0.1`, `127.1`, `0x7f.1`), and for anything but letters,
    /// digits, `-`, `_` and dots.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(Refusal::Spelling)?;
            return inner.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| Refusal::Spelling);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let letters =
            |label: &str| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let sound = name.len() <= 253 && name.split('.').all(|l| (1..=63).contains(&l.len()) && letters(l));
        if sound && !ends_in_number(&name) { Ok(Self::Name(name)) } else { Err(Refusal::Spelling) }
    }
}

/// Whether resolvers might take `name` for an IPv4 address (the URL standard's "ends in a number").
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|b| b.is_ascii_digit())
}

fn class_of(ip: IpAddr) -> Class {
    let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
    if within(&METADATA_NETS) || embedded(ip).is_some_and(|inner| class_of(inner.into()) == Class::Metadata) {
        Class::Metadata
    } else if within(&RESERVED_NETS) {
        Class::Reserved
    } else {
        Class::Plain
    }
}

/// The IPv4 address that an IPv6 address of a transition range stands for.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let joined = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => joined(g, h),
        [0x64, 0xff9b, 1, ..] => joined(g, h),
        [0x2002, high, low, ..] => joined(high, low),
        // Teredo hides the client's address by inverting it.
        [0x2001, 0, ..] => joined(!g, !h),
        _ => None,
    }
}

// === impl SystemResolver ===

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(
            async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) },
        )
    }
}

impl<R: Resolver> Resolver for Arc<R> {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        (**self).resolve(name)
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
