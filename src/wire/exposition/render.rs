//! The families of scores that are appended to a page, in the page's own format.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::format::{Format, Syntax};
use super::number::write_value;
use super::page::Page;
use crate::batch::is_stale_marker;
use crate::inject::ScoreSample;
use crate::series::labels::{Pair, Spelling};
use crate::wire::varint;

/// How many score series a page can still take before its scrape job would refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Samples.
    pub samples: usize,
    /// Labels of one series, its name among them.
    pub labels: usize,
    /// Bytes of one label's name.
    pub name_bytes: usize,
    /// Bytes of one label's value, the series' name among them.
    pub value_bytes: usize,
}

/// Scores spelled in the format of a page, and what became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreFamilies {
    /// Whole lines, or whole delimited messages.
    pub bytes: Vec<u8>,
    /// Series written.
    pub appended: usize,
    /// Series left out since the scrape job's limits leave no room ([`Room`]).
    pub over_limit: usize,
    /// Series left out since the page has a family of that name itself (P30).
    pub clashing: usize,
    /// Series left out since two of their labels, or they and another series, have one name once escaped.
    pub ambiguous: usize,
}

/// Labels of one score series with names as the format may spell them.
type Labels<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The series of a score as a format spells it, up to its value. It is kept with the labels, since the next page
/// of the target has it too.
struct Spelled<'a>(&'a Spelling);

/// Indexes of what is kept beside the bytes: the longest name and value, and what escaping did to the names.
const LONGEST_NAME: usize = 0;
const LONGEST_VALUE: usize = 1;
const ESCAPING: usize = 2;

/// What stands at [`ESCAPING`]: every name is as it was, some are escaped, two labels have one name for it.
const AS_IT_WAS: u32 = 0;
const ESCAPED: u32 = 1;
const AMBIGUOUS: u32 = 2;

/// `MetricType.GAUGE` of `metrics.proto`.
const GAUGE: u64 = 1;

// === impl Room ===

impl Room {
    /// A page whose scrape job has no limits.
    pub const ENDLESS: Self =
        Self { samples: usize::MAX, labels: usize::MAX, name_bytes: usize::MAX, value_bytes: usize::MAX };

    fn fits(&self, labels: usize, spelled: &Spelled<'_>) -> bool {
        let [name, value, _] = spelled.0.numbers.map(|number| number as usize);
        labels <= self.labels && name <= self.name_bytes && value <= self.value_bytes
    }
}

// === impl Spelled ===

impl Spelled<'_> {
    fn is_escaped(&self) -> bool {
        self.0.numbers[ESCAPING] == ESCAPED
    }
}

// === impl ScoreFamilies ===

impl ScoreFamilies {
    /// Spells `scores` for the end of `page`, grouped by their names in order of first appearance.
    ///
    /// Stale markers are left out: a series that is missing on a page ends there (P18). A timestamp is
    /// written only where the page itself gave one to the scored sample.
    pub fn render(scores: &[ScoreSample], page: &Page, room: Room) -> Self {
        let mut families = Self::default();
        let mut names: Vec<&'static Pair> = Vec::new();
        for score in scores {
            if !names.iter().any(|name| std::ptr::eq(*name, score.name)) {
                names.push(score.name);
            }
        }
        for name in names {
            let members = scores
                .iter()
                .filter(|score| std::ptr::eq(score.name, name) && !is_stale_marker(score.sample.value));
            families.family(name.value(), members, page, room);
        }
        families
    }

    fn family<'a>(
        &mut self,
        name: &str,
        members: impl Iterator<Item = &'a ScoreSample> + Clone,
        page: &Page,
        room: Room,
    ) {
        let spelled = spell_name(name, page.format(), true);
        if page.has_family(&spelled) {
            self.clashing += members.count();
            return;
        }
        let (mut body, format) = (Vec::new(), page.format());
        let mut twins = None;
        for score in members.clone() {
            let kept = spelling(score, format);
            let spelled = Spelled(&kept);
            // What is written as it is stays: of two series that escaping makes one, neither is the right one.
            if spelled.is_escaped()
                && twins.get_or_insert_with(|| twins_of(members.clone(), format)).contains(&kept.bytes)
            {
                self.ambiguous += 1;
            } else if self.admit(score, &spelled, room) {
                let timestamp_ms = Some(score.sample.timestamp_ms).filter(|&t| t != page.scraped_at_ms());
                let (series, value) = (&*spelled.0.bytes, score.sample.value);
                match page.format().syntax {
                    Syntax::Protobuf => put_metric(&mut body, series, value, timestamp_ms),
                    syntax => write_line(&mut body, series, value, timestamp_ms, syntax),
                }
            }
        }
        if !body.is_empty() {
            put_family(&mut self.bytes, &spelled, &body, page.format().syntax);
        }
    }

    /// Whether `score` may be written; counts why not.
    fn admit(&mut self, score: &ScoreSample, spelled: &Spelled<'_>, room: Room) -> bool {
        if self.appended >= room.samples || !room.fits(score.labels.pairs().len() + 1, spelled) {
            self.over_limit += 1;
            return false;
        }
        if spelled.0.numbers[ESCAPING] == AMBIGUOUS {
            self.ambiguous += 1;
            return false;
        }
        self.appended += 1;
        true
    }
}

/// A number for each way in which a format spells labels.
fn way(format: Format) -> u32 {
    format.syntax as u32 * 2 + u32::from(format.utf8_names)
}

/// The series of `score` up to its value.
fn spelling(score: &ScoreSample, format: Format) -> Arc<Spelling> {
    score.labels.spelling(score.name, way(format), || spell(score, format))
}

/// The series that more than one of `members` is spelled as.
#[cold]
fn twins_of<'a>(members: impl Iterator<Item = &'a ScoreSample>, format: Format) -> HashSet<Box<[u8]>> {
    let mut met: HashMap<Box<[u8]>, u32> = HashMap::new();
    members.for_each(|score| *met.entry(spelling(score, format).bytes.clone()).or_default() += 1);
    met.into_iter().filter(|(_, count)| *count > 1).map(|(bytes, _)| bytes).collect()
}

/// Spells the series of `score` up to its value.
#[cold]
fn spell(score: &ScoreSample, format: Format) -> Spelling {
    let pairs = score.labels.pairs();
    let mut labels: Labels<'_> =
        pairs.iter().map(|pair| (spell_name(pair.name(), format, false), pair.value())).collect();
    let escaped = labels.iter().any(|(name, _)| matches!(name, Cow::Owned(_)));
    if escaped {
        labels.sort_unstable(); // so that equal labels are equal bytes
    }
    let twice = labels.windows(2).any(|pair| matches!(pair, [one, next] if one.0 == next.0));
    let mut bytes = Vec::with_capacity(256);
    match format.syntax {
        Syntax::Protobuf => put_labels(&mut bytes, &labels),
        _ => write_series(&mut bytes, &spell_name(score.name.value(), format, true), &labels),
    }
    let all = || pairs.iter().map(AsRef::as_ref).chain([score.name]);
    let mut numbers = [0; 3];
    numbers[LONGEST_NAME] = all().map(|pair| pair.name().len()).max().unwrap_or_default() as u32;
    numbers[LONGEST_VALUE] = all().map(|pair| pair.value().len()).max().unwrap_or_default() as u32;
    numbers[ESCAPING] = match (escaped, twice) {
        (false, _) => AS_IT_WAS,
        (true, false) => ESCAPED,
        (true, true) => AMBIGUOUS,
    };
    Spelling { bytes: bytes.into(), numbers }
}

/// A name as `format` may have it: as it is, else with underscores (P5).
fn spell_name(name: &str, format: Format, metric: bool) -> Cow<'_, str> {
    if format.utf8_names || is_legacy(name, metric) {
        return Cow::Borrowed(name);
    }
    let legacy = |(at, c): (usize, char)| {
        let fits =
            c.is_ascii_alphabetic() || c == '_' || (metric && c == ':') || (at > 0 && c.is_ascii_digit());
        if fits { c } else { '_' }
    };
    Cow::Owned(name.chars().enumerate().map(legacy).collect())
}

/// Whether `name` is in `[a-zA-Z_:][a-zA-Z0-9_:]*`, without the colon for a label.
fn is_legacy(name: &str, metric: bool) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (metric && b == b':');
    name.bytes().all(fits) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn help(name: &str) -> &'static str {
    match name {
        _ if name.ends_with("anomaly_score") => {
            "Anomaly score of the series named by the other labels; 1 and above is an anomaly."
        }
        _ if name.ends_with("yhat_lower") => "Lower end of the band in which the value was expected.",
        _ if name.ends_with("yhat_upper") => "Upper end of the band in which the value was expected.",
        _ if name.ends_with("anomaly_confidence") => "How far the anomaly score is to be trusted, 0 to 1.",
        _ if name.ends_with("anomaly_part") => "Share of the anomaly score that is due to the part.",
        _ if name.contains("yhat_") => {
            "Forecast of the value, or an edge of its band, for as long after its timestamp as the name says."
        }
        _ if name.ends_with("yhat") => "Value that was expected.",
        _ => "Written by Sidelong beside the series named by the other labels.",
    }
}

/// Puts what describes a family before its `body`.
fn put_family(out: &mut Vec<u8>, name: &str, body: &[u8], syntax: Syntax) {
    if syntax == Syntax::Protobuf {
        let mut family = Vec::with_capacity(body.len() + 128);
        put_bytes(&mut family, 1, name.as_bytes());
        put_bytes(&mut family, 2, help(name).as_bytes());
        put_varint(&mut family, 3, GAUGE);
        family.extend_from_slice(body);
        varint::write(out, family.len() as u64);
        out.extend_from_slice(&family);
        return;
    }
    for (word, text) in [("HELP", help(name)), ("TYPE", "gauge")] {
        out.extend_from_slice(b"# ");
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        write_name(out, name, true);
        out.push(b' ');
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(body);
}

// --- text ---

fn write_series(out: &mut Vec<u8>, name: &str, labels: &Labels<'_>) {
    let quoted = !is_legacy(name, true);
    if !quoted {
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'{');
    if quoted {
        write_quoted(out, name);
    }
    for (at, (label, text)) in labels.iter().enumerate() {
        if quoted || at > 0 {
            out.push(b',');
        }
        write_name(out, label, false);
        out.push(b'=');
        write_quoted(out, text);
    }
    out.extend_from_slice(b"} ");
}

fn write_line(out: &mut Vec<u8>, series: &[u8], value: f64, timestamp_ms: Option<i64>, syntax: Syntax) {
    out.extend_from_slice(series);
    write_value(out, value);
    if let Some(timestamp_ms) = timestamp_ms {
        out.push(b' ');
        write_timestamp(out, timestamp_ms, syntax);
    }
    out.push(b'\n');
}

fn write_name(out: &mut Vec<u8>, name: &str, metric: bool) {
    if is_legacy(name, metric) {
        out.extend_from_slice(name.as_bytes());
    } else {
        write_quoted(out, name);
    }
}

fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_timestamp(out: &mut Vec<u8>, timestamp_ms: i64, syntax: Syntax) {
    let text = match syntax {
        Syntax::OpenMetrics => seconds(timestamp_ms),
        _ => timestamp_ms.to_string(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Seconds that Prometheus, which multiplies and cuts off, reads as `timestamp_ms`.
fn seconds(timestamp_ms: i64) -> String {
    let sign = if timestamp_ms < 0 { "-" } else { "" };
    let millis = timestamp_ms.unsigned_abs();
    let mut text = format!("{sign}{}.{:03}", millis / 1000, millis % 1000);
    if !text.parse().is_ok_and(|seconds: f64| (seconds * 1000.0) as i64 == timestamp_ms) {
        // The nearest float lies just below the millisecond: a little more is cut off again.
        text.push('2');
    }
    text
}

// --- protobuf ---

fn put_labels(out: &mut Vec<u8>, labels: &Labels<'_>) {
    for (name, value) in labels {
        let mut pair = Vec::with_capacity(name.len() + value.len() + 8);
        put_bytes(&mut pair, 1, name.as_bytes());
        put_bytes(&mut pair, 2, value.as_bytes());
        put_bytes(out, 1, &pair);
    }
}

fn put_metric(out: &mut Vec<u8>, labels: &[u8], value: f64, timestamp_ms: Option<i64>) {
    let mut metric = Vec::with_capacity(labels.len() + 32);
    metric.extend_from_slice(labels);
    let mut gauge = vec![1 << 3 | 1];
    gauge.extend_from_slice(&value.to_bits().to_le_bytes());
    put_bytes(&mut metric, 2, &gauge);
    if let Some(timestamp_ms) = timestamp_ms {
        put_varint(&mut metric, 6, timestamp_ms as u64);
    }
    put_bytes(out, 4, &metric);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint::write(out, value);
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
