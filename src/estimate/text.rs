//! An estimate as text.

use std::fmt::{self, Formatter};

use super::told::{Estimate, Over, PresetCost, RuleCost, SignalCost, Total, Unselected, Unsettled};

/// Writes `estimate` as a person reads it.
pub(super) fn write(estimate: &Estimate, f: &mut Formatter<'_>) -> fmt::Result {
    let Estimate {
        source,
        series,
        native_histograms,
        interval_seconds,
        rules,
        presets,
        signals,
        unselected,
        total,
        over,
        unsettled,
    } = estimate;
    write!(f, "{} series in {source}", count(*series))?;
    if *native_histograms > 0 {
        write!(f, ", {} of them native histograms", count(*native_histograms))?;
    }
    writeln!(f, "; a sample of each every {interval_seconds} s\n")?;
    write_rules(rules, f)?;
    if !presets.is_empty() {
        write_presets(presets, f)?;
    }
    if !signals.is_empty() {
        write_signals(signals, f)?;
    }
    write_unselected(unselected, f)?;
    write_total(total, *series, f)?;
    write_over(over, f)?;
    unsettled.map_or(Ok(()), |unsettled| write_unsettled(unsettled, f))
}

fn write_rules(rules: &[RuleCost], f: &mut Formatter<'_>) -> fmt::Result {
    let (taking, idle): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.series > 0);
    let rows = taking.into_iter().map(|rule| {
        let most = if rule.at_most { "at most " } else { "" };
        let absent = match rule.absences {
            0 => String::new(),
            absences => format!(", at most {} absent", count(absences)),
        };
        let nanos = rule.nanos_per_sample.map_or_else(|| "-".to_owned(), |nanos| format!("{nanos:.0}"));
        vec![
            rule.rule.clone(),
            count(rule.series),
            format!("{most}{}{absent}", count(rule.sent)),
            format!("{most}{}", rate(rule.samples_per_second)),
            size(rule.bytes),
            nanos,
            cpu(rule.cpu),
        ]
    });
    let heads = ["rule", "series", "sent", "samples/s", "bytes", "ns/sample", "CPU"];
    table(&heads, 1, &rows.collect::<Vec<_>>(), f)?;
    if !idle.is_empty() {
        let names: Vec<&str> = idle.iter().map(|rule| rule.rule.as_str()).collect();
        writeln!(f, "nothing for {}", names.join(", "))?;
    }
    writeln!(f)
}

fn write_presets(presets: &[PresetCost], f: &mut Formatter<'_>) -> fmt::Result {
    let rows = presets.iter().map(|preset| {
        vec![
            preset.preset.to_string(),
            count(preset.series),
            count(preset.sent),
            rate(preset.samples_per_second),
            size(preset.bytes),
            cpu(preset.cpu),
        ]
    });
    table(&["preset", "series", "sent", "samples/s", "bytes", "CPU"], 1, &rows.collect::<Vec<_>>(), f)?;
    writeln!(f)
}

fn write_signals(signals: &[SignalCost], f: &mut Formatter<'_>) -> fmt::Result {
    let rows = signals.iter().map(|signal| {
        vec![
            signal.entry.clone(),
            signal.signal.to_owned(),
            count(signal.parts),
            count(signal.groups),
            count(signal.series),
            count(signal.made),
            count(signal.max_series),
            size(signal.bytes),
        ]
    });
    let heads = ["signal", "kind", "made of", "groups", "makes", "made", "max_series", "bytes"];
    table(&heads, 2, &rows.collect::<Vec<_>>(), f)?;
    writeln!(f)
}

fn write_unselected(unselected: &Unselected, f: &mut Formatter<'_>) -> fmt::Result {
    let Unselected { series, excluded, own, most } = unselected;
    if *series > 0 {
        let named: Vec<_> = most.iter().map(|(name, many)| format!("{name} ({})", count(*many))).collect();
        writeln!(f, "no rule takes {} series: {}", count(*series), named.join(", "))?;
    }
    if *excluded > 0 {
        writeln!(f, "rules exclude {} series", count(*excluded))?;
    }
    if *own > 0 {
        writeln!(f, "{} series are Sidelong's own", count(*own))?;
    }
    Ok(())
}

fn write_total(total: &Total, read: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let Total {
        scored, parts, made, sent, of_workloads, samples_per_second, bytes, nanos_per_sample, ..
    } = total;
    writeln!(f, "scored     {} series, {} of them made of others", count(*scored), count(*made))?;
    if *parts > 0 {
        writeln!(f, "kept       {} series more, of which others are made", count(*parts))?;
    }
    let share = 100.0 * *sent as f64 / read.max(1) as f64;
    writeln!(
        f,
        "added      {} series ({share:.1} % of those read), {} for workloads",
        count(*sent),
        count(*of_workloads)
    )?;
    if total.absences > 0 {
        writeln!(f, "absent     at most {} series more, while others are missing", count(total.absences))?;
    }
    writeln!(f, "sent       {} samples/s", rate(*samples_per_second))?;
    writeln!(f, "memory     {}", size(*bytes))?;
    write!(f, "CPU        {} of one core, {nanos_per_sample:.0} ns a sample", cpu(total.cpu))?;
    if total.cpu_of_signals > 0.0 && *made > 0 {
        write!(f, ", {} of it for signals", cpu(total.cpu_of_signals))?;
    }
    writeln!(f)?;
    writeln!(
        f,
        "           measured on this machine, by this binary: to find and to score; to decode and to forward comes on top"
    )
}

fn write_over(over: &[Over], f: &mut Formatter<'_>) -> fmt::Result {
    for Over { option, limit, wanted } in over {
        let (wanted, limit) = (count(*wanted), count(*limit));
        writeln!(f, "\ntoo many: {option} is {limit}, and there would be {wanted}; raise it, or take less")?;
    }
    Ok(())
}

fn write_unsettled(Unsettled { samples, needed }: Unsettled, f: &mut Formatter<'_>) -> fmt::Result {
    let (samples, needed) = (count(samples as usize), count(needed as usize));
    writeln!(
        f,
        "\nnot settled: signals were tried out with {samples} samples of each series and take {needed} (step, \
         signals.watermark): they may make more, and take more memory, than is said above"
    )
}

/// Rows under their heads; the first `left` columns stand to the left.
fn table(heads: &[&str], left: usize, rows: &[Vec<String>], f: &mut Formatter<'_>) -> fmt::Result {
    let heads = heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>();
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        })
        .collect();
    for row in [&heads].into_iter().chain(rows) {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// `12 345`
fn count(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { count(rate.round() as usize) }
}

fn size(bytes: usize) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

/// A share of a core.
fn cpu(seconds: f64) -> String {
    let percent = 100.0 * seconds;
    if percent < 0.1 { format!("{percent:.4} %") } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((count(0), count(1_234_567)), ("0".to_owned(), "1 234 567".to_owned()));
        assert_eq!(
            (size(1_023), size(1_536), size(5 << 40)),
            ("1023 B".into(), "1.5 KiB".into(), "5120.0 GiB".into())
        );
        assert_eq!((rate(0.066), rate(1_234.4)), ("0.07".to_owned(), "1 234".to_owned()));
        assert_eq!((cpu(0.000_01), cpu(0.25)), ("0.0010 %".to_owned(), "25.0 %".to_owned()));
    }
}
