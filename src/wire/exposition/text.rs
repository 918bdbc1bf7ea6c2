//! One line of Prometheus text or OpenMetrics, read where it stands.
//!
//! The grammar is the lenient one of Prometheus' own lexers rather than that of the specifications
//! (T20): a line that Prometheus would take must not be lost to us.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr};

use super::format::Syntax;

/// Prometheus' ordinary NaN (`model/value/value.go`), which its parsers put in place of any other.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Line {
    /// A comment, metadata or nothing.
    Silent,
    /// OpenMetrics' `# EOF`.
    End,
    /// A sample.
    Sample(SampleLine),
    /// Something else: passed on and counted.
    Unknown,
}

/// Where the parts of a sample line stand in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SampleLine {
    /// First byte of the metric name or of the brace before it.
    pub(super) start: usize,
    /// First byte after the labels.
    pub(super) end: usize,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
}

/// A cursor over the bytes of one line.
struct Scanner<'a> {
    line: &'a [u8],
    at: usize,
}

/// A name or value as it stands in the line.
#[derive(Clone, Copy)]
struct Token<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

/// Bytes of a legacy metric name after its first; a label name knows no colon.
static NAME_BYTES: [bool; 256] = name_bytes();

/// Reads one line, given without its line feed.
#[inline]
pub(super) fn read_line(line: &[u8], syntax: Syntax) -> Line {
    let mut scanner = Scanner { line, at: 0 };
    scanner.blanks();
    match scanner.peek() {
        None => Line::Silent,
        Some(b'#') if syntax == Syntax::OpenMetrics && line == b"# EOF" => Line::End,
        Some(b'#') => Line::Silent,
        Some(_) => scanner.sample(syntax).map_or(Line::Unknown, Line::Sample),
    }
}

/// Where the series of `line` ends, if it is a sample without an exemplar: found in a fraction of the time
/// that walking the labels takes, and right only if these very bytes were walked before.
#[inline]
pub(super) fn guess_series_end(line: &[u8]) -> Option<usize> {
    match memrchr(b'}', line) {
        Some(brace) => Some(brace + 1),
        None => memchr2(b' ', b'\t', line),
    }
}

/// Reads a line whose first `end` bytes are known to be a series.
#[inline]
pub(super) fn read_known(line: &[u8], end: usize, syntax: Syntax) -> Option<SampleLine> {
    Scanner { line, at: end }.tail(0, end, syntax)
}

/// Calls `each` for the labels of `series`, the bytes from [`SampleLine::start`] to its end.
pub(super) fn for_each_label(series: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let mut scanner = Scanner { line: series, at: 0 };
    // The line was read once already: there is nothing to refuse now.
    let _checked = scanner.series(|name, value| each(&name.unescaped(), &value.unescaped()));
}

const fn name_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || b == b'_' || b == b':';
        byte += 1;
    }
    table
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    #[inline]
    fn sample(&mut self, syntax: Syntax) -> Option<SampleLine> {
        let start = self.at;
        let end = self.series(|_, _| ())?;
        self.tail(start, end, syntax)
    }

    /// What stands behind the series that ends at `end`.
    #[inline]
    fn tail(&mut self, start: usize, end: usize, syntax: Syntax) -> Option<SampleLine> {
        self.blanks();
        let value = value(self.word())?;
        self.blanks();
        let timestamp_ms = match self.peek() {
            None => None,
            Some(b'#') if syntax == Syntax::OpenMetrics => None,
            Some(_) => Some(timestamp(self.word(), syntax)?),
        };
        self.blanks();
        // What follows can only be an exemplar, which nobody here reads.
        let done = self.peek().is_none() || (syntax == Syntax::OpenMetrics && self.peek() == Some(b'#'));
        done.then_some(SampleLine { start, end, value, timestamp_ms })
    }

    /// Walks name and labels; gives the end of the last of them.
    #[inline(always)]
    fn series(&mut self, mut each: impl FnMut(Token<'a>, Token<'a>)) -> Option<usize> {
        let mut named = false;
        if self.peek() != Some(b'{') {
            each(Token::plain(b"__name__"), self.name()?);
            named = true;
        }
        let end = self.at;
        self.blanks();
        if self.peek() != Some(b'{') {
            // A name and its value need something between them.
            return (self.at > end || self.peek().is_none()).then_some(end);
        }
        self.at += 1;
        while !self.closed() {
            self.label(!named, &mut each)?;
            named = true;
            self.blanks();
            if self.peek() != Some(b'}') {
                self.take(b',')?;
            }
        }
        named.then_some(self.at)
    }

    /// Steps over the closing brace if it is next.
    #[inline]
    fn closed(&mut self) -> bool {
        self.blanks();
        self.take(b'}').is_some()
    }

    /// One label inside the braces, or the quoted metric name, which must come first.
    #[inline(always)]
    fn label(&mut self, unnamed: bool, each: &mut impl FnMut(Token<'a>, Token<'a>)) -> Option<()> {
        let quoted = self.peek() == Some(b'"');
        let name = if quoted { self.quoted()? } else { self.name()? };
        self.blanks();
        if quoted && unnamed && matches!(self.peek(), Some(b',' | b'}')) {
            each(Token::plain(b"__name__"), name);
            return Some(());
        }
        // Labels of a series without a name: Prometheus refuses the line.
        if unnamed || (!quoted && memchr(b':', name.bytes).is_some()) {
            return None;
        }
        self.take(b'=')?;
        self.blanks();
        each(name, self.quoted()?);
        Some(())
    }

    #[inline]
    fn name(&mut self) -> Option<Token<'a>> {
        let rest = self.line.get(self.at..)?;
        let len = rest.iter().position(|&b| !NAME_BYTES[b as usize]).unwrap_or(rest.len());
        let bytes = rest.get(..len)?;
        self.at += len;
        (!bytes.first()?.is_ascii_digit()).then_some(Token { bytes, escaped: false })
    }

    #[inline]
    fn quoted(&mut self) -> Option<Token<'a>> {
        self.take(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += memchr2(b'"', b'\\', self.line.get(self.at..)?)?;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Some(Token { bytes: self.line.get(start..self.at - 1)?, escaped });
            }
            escaped = true;
            self.at += 2;
        }
    }

    #[inline]
    fn word(&mut self) -> &'a [u8] {
        let rest = self.line.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&b| b == b' ' || b == b'\t').unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }
}

// === impl Token ===

impl<'a> Token<'a> {
    fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, escaped: false }
    }

    /// Undoes `\\`, `\"` and `\n`; a backslash before anything else stays, as in Prometheus.
    fn unescaped(&self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut bytes = self.bytes.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let undone = match (byte, bytes.peek()) {
                (b'\\', Some(b'n')) => Some(b'\n'),
                (b'\\', Some(&after @ (b'\\' | b'"'))) => Some(after),
                _ => None,
            };
            out.push(undone.unwrap_or(byte));
            if undone.is_some() {
                bytes.next();
            }
        }
        Cow::Owned(out)
    }
}

/// A sample value as Go's `ParseFloat` takes it, but for the forms that Prometheus bars (`0x1p-2`, `1_000`).
#[inline]
fn value(word: &[u8]) -> Option<f64> {
    if let Some(integer) = small_integer(word) {
        return Some(integer as f64);
    }
    let text = std::str::from_utf8(word).ok()?;
    let value: f64 = text.parse().ok()?;
    if value.is_finite() {
        return Some(value);
    }
    let spelled_out = word.iter().all(|b| !b.is_ascii_digit());
    let signed = matches!(word.first(), Some(b'+' | b'-'));
    match (value.is_nan(), spelled_out) {
        (true, _) => (!signed).then_some(f64::from_bits(NORMAL_NAN_BITS)),
        (false, named) => named.then_some(value),
    }
}

/// A few decimal digits: most counters, and ten times as fast as the general way.
#[inline]
fn small_integer(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 15 {
        return None;
    }
    word.iter().try_fold(0, |sum: u64, b| {
        let digit = b.wrapping_sub(b'0');
        (digit < 10).then(|| sum * 10 + u64::from(digit))
    })
}

/// Milliseconds: text has them as an integer, OpenMetrics seconds as a float (P17).
fn timestamp(word: &[u8], syntax: Syntax) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    match syntax {
        Syntax::OpenMetrics => {
            let seconds: f64 = text.parse().ok()?;
            seconds.is_finite().then_some((seconds * 1000.0) as i64)
        }
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(line: &str, syntax: Syntax) -> Option<SampleLine> {
        match read_line(line.as_bytes(), syntax) {
            Line::Sample(sample) => Some(sample),
            _ => None,
        }
    }

    fn labels(line: &str) -> Vec<(String, String)> {
        let found = sample(line, Syntax::Text).expect("a sample");
        let mut labels = Vec::new();
        for_each_label(&line.as_bytes()[found.start..found.end], &mut |name, value| {
            let owned = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            labels.push((owned(name), owned(value)));
        });
        labels
    }

    #[test]
    fn p19_values_are_read_as_prometheus_reads_them() {
        let check = |text: &str, want: Option<f64>| {
            let got = sample(&format!("m {text}"), Syntax::Text).map(|s| s.value.to_bits());
            assert_eq!(got, want.map(f64::to_bits), "{text}");
        };
        check("1", Some(1.0));
        check("0001", Some(1.0));
        check("-0", Some(-0.0));
        check("999999999999999", Some(999_999_999_999_999.0));
        check("18446744073709551615", Some(18_446_744_073_709_551_615.0));
        check("1.5e-3", Some(0.0015));
        check(".5", Some(0.5));
        check("+Inf", Some(f64::INFINITY));
        check("-inf", Some(f64::NEG_INFINITY));
        check("Infinity", Some(f64::INFINITY));
        check("NaN", Some(f64::from_bits(NORMAL_NAN_BITS)));
        check("4.9406564584124654e-324", Some(5e-324));
        for barred in ["", "+NaN", "1e999", "0x1p-2", "1_000", "1,5", "abc", "--1"] {
            check(barred, None);
        }
    }

    #[test]
    fn p17_timestamps_are_milliseconds_in_text_and_seconds_in_openmetrics() {
        let check = |line: &str, syntax, want: Option<Option<i64>>| {
            assert_eq!(sample(line, syntax).map(|s| s.timestamp_ms), want, "{line}");
        };
        check("m 1", Syntax::Text, Some(None));
        check("m 1 1395066363000", Syntax::Text, Some(Some(1_395_066_363_000)));
        check("m 1 -5", Syntax::Text, Some(Some(-5)));
        check("m 1 1.5", Syntax::Text, None);
        check("m 1 2 3", Syntax::Text, None);
        check("m 1 1520879607.789", Syntax::OpenMetrics, Some(Some(1_520_879_607_789)));
        check("m 1 1e3", Syntax::OpenMetrics, Some(Some(1_000_000)));
        check("m 1 NaN", Syntax::OpenMetrics, None);
        check("m_total 1 # {trace_id=\"} 1\"} 0.5 1", Syntax::OpenMetrics, Some(None));
        check("m_total 1 12 # {} 0.5", Syntax::OpenMetrics, Some(Some(12_000)));
        check("m_total 1 # {} 0.5", Syntax::Text, None);
    }

    #[test]
    fn labels_are_unescaped_and_named() {
        let check = |line: &str, want: &[(&str, &str)]| {
            let want: Vec<_> = want.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(labels(line), want, "{line}");
        };
        check("m 1", &[("__name__", "m")]);
        check("m{} 1", &[("__name__", "m")]);
        check("job:rate:sum\t1", &[("__name__", "job:rate:sum")]);
        check("m{a=\"b\"}1", &[("__name__", "m"), ("a", "b")]);
        check(" m { a = \"b\" , c=\"\", } 1", &[("__name__", "m"), ("a", "b"), ("c", "")]);
        check(r#"m{p="/a/{id},x=y"} 1"#, &[("__name__", "m"), ("p", "/a/{id},x=y")]);
        check(r#"m{a="\\\"\n\x",b="ü"} 1"#, &[("__name__", "m"), ("a", "\\\"\n\\x"), ("b", "ü")]);
        check(r#"{"my.metric"} 1"#, &[("__name__", "my.metric")]);
        check(r#"{"my.\"m",a="b","c.d"="e"} 1"#, &[("__name__", "my.\"m"), ("a", "b"), ("c.d", "e")]);
        check(r#"m{"c.d"="e"} 1"#, &[("__name__", "m"), ("c.d", "e")]);
    }

    #[test]
    fn lines_that_are_no_samples_are_told_apart() {
        let check = |line: &[u8], syntax, want| assert_eq!(read_line(line, syntax), want, "{line:?}");
        for silent in ["", "  ", "# HELP m text", "#", "# TYPE m counter", "\t# x"] {
            check(silent.as_bytes(), Syntax::Text, Line::Silent);
        }
        check(b"# EOF", Syntax::OpenMetrics, Line::End);
        check(b"# EOF", Syntax::Text, Line::Silent);
        for unknown in [
            "m",
            "m ",
            "1m 1",
            "m{a=\"b\" 1",
            "m{a=\"b} 1",
            "m{a=b} 1",
            "m{=\"b\"} 1",
            "m{a} 1",
            "m{a:b=\"c\"} 1",
            "{} 1",
            "{a=\"b\"} 1",
            "{a=\"b\",\"m\"} 1",
            "m{\"n\"} 1",
            "m{,} 1",
            "m 1\r",
            "m{a=\"\\",
            "ü 1",
        ] {
            check(unknown.as_bytes(), Syntax::Text, Line::Unknown);
        }
    }
}
