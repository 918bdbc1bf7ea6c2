//! `sidelong archive cat`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::PlaceArgs;
use crate::archive::{Row, Window};
use crate::backtest::{Moment, Series};
use crate::batch::is_stale_marker;
use crate::cli::source::now;
use crate::rules::Selector;

/// Print samples with what was said of them, by series and time.
///
/// Days come in their order, and in each day shards in theirs. A number is printed so that reading it gives the same bits.
/// A stale marker, by which Prometheus says that a series has ended, is printed as stale, and a NaN of other bits than the
/// usual ones with them. What was not said is left out.
#[derive(Clone, Debug, Args)]
pub(super) struct CatArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Which series, as a PromQL selector; all by default. Series of tenants and targets have the labels __tenant__ and
    /// __target__.
    #[arg(value_name = "SELECTOR")]
    selector: Option<Selector>,
    /// Samples from this moment on: -7d, Unix seconds, or a date with or without a time, in UTC.
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    from: Option<String>,
    /// Samples until before this moment.
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    to: Option<String>,
    /// How samples are printed.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The columns timestamp (in milliseconds), series, value, score, expected, lower and upper.
    Csv,
    /// A JSON object in each line, with values as texts, as Prometheus writes them.
    Json,
}

/// One sample as JSON.
#[derive(Serialize)]
struct Line<'a> {
    timestamp_ms: i64,
    labels: BTreeMap<&'a str, &'a str>,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper: Option<String>,
}

pub(super) fn run(args: &CatArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let archive = args.place.open()?;
    let moment = |text: &Option<String>| {
        text.as_ref().map(|text| Moment::read(text, now())).transpose().map(|moment| moment.map(|at| at.0))
    };
    let window = Window {
        selector: args.selector.clone(),
        from_ms: moment(&args.from)?.unwrap_or(i64::MIN),
        to_ms: moment(&args.to)?.unwrap_or(i64::MAX),
    };
    if args.format == Format::Csv {
        writeln!(out, "timestamp,series,value,score,expected,lower,upper")?;
    }
    archive.for_each_series(&window, &mut |series, rows| {
        let series: Series = series.all_labels().into_iter().collect();
        for row in rows {
            match args.format {
                Format::Csv => write_csv(out, &series, &row?)?,
                Format::Json => write_json(out, &series, &row?)?,
            }
        }
        Ok(())
    })
}

fn write_csv(out: &mut impl Write, series: &Series, row: &Row) -> anyhow::Result<()> {
    let quoted = series.to_string().replace('"', "\"\"");
    write!(out, "{},\"{quoted}\",{}", row.sample.timestamp_ms, number(row.sample.value))?;
    for said in said(row) {
        write!(out, ",{}", said.unwrap_or_default())?;
    }
    Ok(writeln!(out)?)
}

fn write_json(out: &mut impl Write, series: &Series, row: &Row) -> anyhow::Result<()> {
    let [score, expected, lower, upper] = said(row);
    let line = Line {
        timestamp_ms: row.sample.timestamp_ms,
        labels: series.labels().collect(),
        value: number(row.sample.value),
        score,
        expected,
        lower,
        upper,
    };
    Ok(writeln!(out, "{}", serde_json::to_string(&line)?)?)
}

fn said(row: &Row) -> [Option<String>; 4] {
    let judged = &row.judged;
    let all = [judged.score, judged.expected, judged.lower, judged.upper];
    all.map(|value| (!value.is_nan()).then(|| number(value)))
}

/// A number with all its bits, spelled as Prometheus does where that says all.
fn number(value: f64) -> String {
    if is_stale_marker(value) {
        "stale".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else if value.to_bits() == ORDINARY_NAN {
        "NaN".to_owned()
    } else if value.is_nan() {
        format!("NaN:{:016x}", value.to_bits())
    } else {
        value.to_string() // the shortest that reads back
    }
}

/// The NaN that Prometheus writes (`model/value/value.go`).
const ORDINARY_NAN: u64 = 0x7ff8_0000_0000_0001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_with_all_their_bits() {
        let bits = [ORDINARY_NAN, crate::batch::STALE_MARKER_BITS, 0x7ff8_0000_0000_0000];
        assert_eq!(bits.map(|bits| number(f64::from_bits(bits))), ["NaN", "stale", "NaN:7ff8000000000000"]);
        assert_eq!([-0.0, 0.1 + 0.2, 1e300].map(number)[..2], ["-0", "0.30000000000000004"]);
        assert_eq!(number(f64::NEG_INFINITY), "-Inf");
        assert_eq!(number(1e300).parse::<f64>().unwrap().to_bits(), 1e300_f64.to_bits());
    }
}
