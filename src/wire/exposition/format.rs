//! Which exposition format a page is in, and which one a scraper asks for.

/// The grammar of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Prometheus text, 0.0.4 or 1.0.0.
    Text,
    /// OpenMetrics text, 0.0.1 or 1.0.0, which ends in `# EOF`.
    OpenMetrics,
    /// Varint-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// What a page's Content-Type says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The grammar.
    pub syntax: Syntax,
    /// Whether `escaping=allow-utf-8` was agreed on, so that names outside the legacy set may be written.
    pub utf8_names: bool,
}

/// One element of an Accept or Accept-Encoding header.
struct Choice<'a> {
    name: &'a str,
    params: &'a str,
    /// Weight in thousandths.
    weight: u32,
}

// === impl Format ===

impl Format {
    /// Reads a Content-Type; `None` for a type whose pages pass unscored (P4, P15).
    pub fn from_content_type(value: &str) -> Option<Self> {
        let (media, params) = value.split_once(';').unwrap_or((value, ""));
        let param = |wanted| param(params, wanted);
        let syntax = syntax_of(media.trim())?;
        let known = match syntax {
            Syntax::Text => true,
            Syntax::OpenMetrics => matches!(param("version"), None | Some("0.0.1" | "1.0.0")),
            Syntax::Protobuf => {
                matches!(param("encoding"), None | Some("delimited"))
                    && matches!(param("proto"), None | Some("io.prometheus.client.MetricFamily"))
            }
        };
        known.then_some(Self { syntax, utf8_names: takes_utf8_names(params) })
    }

    /// The Content-Type of a page of ours. It names the version that has quoted names where they may occur,
    /// and the escaping always (P4).
    pub fn content_type(self) -> &'static str {
        match (self.syntax, self.utf8_names) {
            (Syntax::Text, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (Syntax::Text, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (Syntax::OpenMetrics, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (Syntax::OpenMetrics, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (Syntax::Protobuf, false) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=underscores"
            }
            (Syntax::Protobuf, true) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=allow-utf-8"
            }
        }
    }
}

/// The format that the Accept headers weigh highest, the first named of equals (P3), with the escaping that
/// is asked of it (P5).
///
/// `None` if they name no exposition format at all.
pub fn preferred<'a>(accept: impl IntoIterator<Item = &'a str>) -> Option<Format> {
    let mut best: Option<(u32, Format)> = None;
    for choice in accept.into_iter().flat_map(choices) {
        let syntax = match choice.name {
            "*/*" | "text/*" => Some(Syntax::Text),
            name => syntax_of(name),
        };
        let heavier = best.is_none_or(|(weight, _)| choice.weight > weight);
        if let Some(syntax) = syntax.filter(|_| choice.weight > 0 && heavier) {
            best = Some((choice.weight, Format { syntax, utf8_names: takes_utf8_names(choice.params) }));
        }
    }
    best.map(|(_, format)| format)
}

/// Whether the Accept-Encoding headers take gzip.
pub fn accepts_gzip<'a>(accept_encoding: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut named, mut any) = (None, false);
    for choice in accept_encoding.into_iter().flat_map(choices) {
        if choice.name.eq_ignore_ascii_case("gzip") {
            named = Some(choice.weight > 0);
        } else if choice.name == "*" {
            any = choice.weight > 0;
        }
    }
    named.unwrap_or(any)
}

/// Any other escaping than none is underscores, which every scraper takes.
fn takes_utf8_names(params: &str) -> bool {
    param(params, "escaping") == Some("allow-utf-8")
}

fn syntax_of(media: &str) -> Option<Syntax> {
    let known = [
        ("text/plain", Syntax::Text),
        ("application/openmetrics-text", Syntax::OpenMetrics),
        ("application/vnd.google.protobuf", Syntax::Protobuf),
    ];
    known.into_iter().find(|(name, _)| media.eq_ignore_ascii_case(name)).map(|(_, syntax)| syntax)
}

fn choices(header: &str) -> impl Iterator<Item = Choice<'_>> {
    header.split(',').map(|item| {
        let (name, params) = item.split_once(';').unwrap_or((item, ""));
        Choice { name: name.trim(), params, weight: 0 }.weighed()
    })
}

impl Choice<'_> {
    /// A weight that cannot be read counts as absent, which is 1.
    fn weighed(self) -> Self {
        let weight = param(self.params, "q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        Self { weight: (weight.clamp(0.0, 1.0) * 1000.0) as u32, ..self }
    }
}

/// The value of parameter `wanted`, without its quotes.
fn param<'a>(params: &'a str, wanted: &str) -> Option<&'a str> {
    params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_the_content_type_decides_the_parser() {
        let check = |value: &str, want: Option<(Syntax, bool)>| {
            let want = want.map(|(syntax, utf8_names)| Format { syntax, utf8_names });
            assert_eq!(Format::from_content_type(value), want, "{value}");
        };
        check("text/plain", Some((Syntax::Text, false)));
        check("text/plain; version=0.0.4", Some((Syntax::Text, false)));
        check("TEXT/Plain;version=0.0.4;charset=utf-8", Some((Syntax::Text, false)));
        check("text/plain; version=1.0.0; escaping=allow-utf-8", Some((Syntax::Text, true)));
        check("text/plain; version=1.0.0; escaping=underscores", Some((Syntax::Text, false)));
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        check(openmetrics, Some((Syntax::OpenMetrics, false)));
        check("application/openmetrics-text; version=\"0.0.1\"", Some((Syntax::OpenMetrics, false)));
        check("application/openmetrics-text; version=2.0.0", None);
        let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=";
        check(&format!("{protobuf}delimited"), Some((Syntax::Protobuf, false)));
        check(&format!("{protobuf}text"), None);
        check("text/html", None);
        check("application/json; version=0.0.4", None);
        check("", None);
    }

    #[test]
    fn p3_the_heaviest_format_is_preferred() {
        let check = |accept: &[&str], want| {
            let syntax = preferred(accept.iter().copied()).map(|format| format.syntax);
            assert_eq!(syntax, want, "{accept:?}");
        };
        let debian = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        check(&[debian], Some(Syntax::OpenMetrics));
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2";
        check(&[native], Some(Syntax::Protobuf));
        check(&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Some(Syntax::Text));
        check(&["text/plain;q=0.3", "application/openmetrics-text;q=0.9"], Some(Syntax::OpenMetrics));
        check(&["application/openmetrics-text;q=0,text/plain;q=0.1"], Some(Syntax::Text));
        check(&["application/openmetrics-text;q=0"], None);
        check(&["image/png"], None);
        check(&[], None);
    }

    #[test]
    fn p5_names_are_escaped_unless_the_preferred_format_asks_for_utf_8() {
        let check = |accept: &str, want| {
            assert_eq!(preferred([accept]).map(|format| format.utf8_names), Some(want), "{accept}");
        };
        check("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.1", true);
        check("text/plain;version=0.0.4;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4", false);
        check("application/openmetrics-text; version=1.0.0; escaping=\"allow-utf-8\"", true);
        check("application/openmetrics-text;version=1.0.0;escaping=dots", false);
        check("*/*", false);
    }

    #[test]
    fn p4_our_own_content_type_says_what_the_page_is_in() {
        for syntax in [Syntax::Text, Syntax::OpenMetrics, Syntax::Protobuf] {
            for utf8_names in [false, true] {
                let format = Format { syntax, utf8_names };
                assert_eq!(Format::from_content_type(format.content_type()), Some(format));
            }
        }
    }

    #[test]
    fn gzip_is_taken_only_where_it_is_offered() {
        let check =
            |headers: &[&str], want| assert_eq!(accepts_gzip(headers.iter().copied()), want, "{headers:?}");
        check(&["gzip"], true);
        check(&["deflate", "gzip;q=0.5"], true);
        check(&["*"], true);
        check(&["*", "gzip;q=0"], false);
        check(&["gzip; q=0.000"], false);
        check(&["identity"], false);
        check(&[], false);
    }
}
