//! Draws the table: a function of the board and of the terminal's size, nothing else.

use std::fmt::Write;

use super::board::{Board, Delay, Happening, Notice, Phase, Row, UnderWay};

/// The terminal that is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Whether colours are wanted.
    pub colour: bool,
}

/// How a piece of text looks.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// Collects lines that fit the canvas.
struct Drawing {
    canvas: Canvas,
    lines: Vec<String>,
}

/// Cells of a score bar; the score 1 stands at a third of it.
const BAR: usize = 12;
const FULL_BAR_SCORE: f64 = 3.0;
/// Columns of a row besides its series.
const FIGURES: usize = 64;

/// The lines of `board`, at most as many as the canvas has, none longer than it is wide.
pub fn render(board: &Board, canvas: Canvas) -> Vec<String> {
    let mut drawing = Drawing { canvas, lines: Vec::new() };
    drawing.head(board);
    drawing.under_way(board);
    drawing.top(board);
    drawing.lately(board);
    drawing.lines.truncate(canvas.height);
    drawing.lines
}

/// One line about `notice`, as the table and the plain output have it.
pub fn notice(notice: &Notice) -> String {
    let at = clock(notice.at_ms);
    match &notice.what {
        Happening::Began(title) => format!("{at}  begins  {title}"),
        Happening::Found(title, delay) => {
            format!("{at}  found   {title}, {}, by {}", after(delay), delay.series)
        }
        Happening::Missed(title) => format!("{at}  missed  {title}"),
        Happening::False(series) => format!("{at}  false   alert on {series}"),
    }
}

/// Day and time of a moment of stream time, for example `Thu 14:20`.
pub fn clock(at_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let minutes = at_ms.div_euclid(60_000);
    let day = DAYS[minutes.div_euclid(24 * 60).rem_euclid(7) as usize];
    format!("{day} {:02}:{:02}", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))
}

/// A length of stream time, for example `2h05m`, `7m` or `30s`.
pub fn span(ms: i64) -> String {
    match (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, _) => format!("{minutes}m"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// A value in few characters: `12.3M`, `845`, `0.042`.
fn short(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞".to_owned() } else { "-∞".to_owned() };
    }
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let size = value.abs();
    let (scaled, unit) = UNITS
        .iter()
        .find(|(from, _)| size >= *from)
        .map_or((value, ""), |(from, unit)| (value / from, *unit));
    let decimals = match scaled.abs() {
        _ if value == 0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || !unit.is_empty() => 2,
        _ => 3,
    };
    format!("{scaled:.decimals$}{unit}")
}

fn after(delay: &Delay) -> String {
    let plural = if delay.samples == 1 { "" } else { "s" };
    format!("after {} sample{plural} ({})", delay.samples, span(delay.ms))
}

fn bar(score: f64) -> String {
    let cells = (score.clamp(0.0, FULL_BAR_SCORE) / FULL_BAR_SCORE * BAR as f64).round() as usize;
    let threshold = (BAR as f64 / FULL_BAR_SCORE) as usize;
    let cell = |at: usize| match at {
        at if at < cells => '█',
        at if at == threshold => '┊',
        _ => '·',
    };
    (0..BAR).map(cell).collect()
}

fn figures(row: &Row) -> String {
    let unit = if row.is_rate { "/s" } else { "" };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{}{unit}", short(value)));
    let expected = row.expected;
    let band = expected.map_or("-".to_owned(), |e| format!("{} .. {}", short(e.lower), short(e.upper)));
    format!("{:>10} {:>10}  {band}", number(row.value), number(expected.map(|e| e.value)))
}

// === impl Drawing ===

impl Drawing {
    fn head(&mut self, board: &Board) {
        let doing = match board.phase {
            Phase::Learning(share) => format!("learning what is usual: {:.0} %", share * 100.0),
            Phase::Live(past, all) => format!("{past:.0} s of {all:.0} s at {:.0}x", board.speed),
        };
        self.line(&[
            (Style::Bold, "Sidelong demo"),
            (Style::Plain, &format!("   {}   {doing}", clock(board.stream_ms))),
        ]);
        let of = format!(
            "{} nodes, {} series on the page, {} scored, {} samples scored, seed {}",
            board.instances,
            board.series,
            board.scored,
            short(board.samples as f64),
            board.seed
        );
        self.line(&[(Style::Dim, &of)]);
        let balance = board.balance;
        self.line(&[
            (Style::Plain, &format!("injected {}   ", balance.injected)),
            (Style::Green, &format!("found {}   ", balance.found)),
            (
                if balance.missed > 0 { Style::Red } else { Style::Plain },
                &format!("missed {}   ", balance.missed),
            ),
            (Style::Plain, &format!("open {}   ", balance.pending)),
            (
                if balance.false_alerts > 0 { Style::Yellow } else { Style::Plain },
                &format!("false alerts {}", balance.false_alerts),
            ),
            (Style::Dim, "        q leaves"),
        ]);
    }

    fn under_way(&mut self, board: &Board) {
        self.title("INJECTED, UNDER WAY");
        for event in &board.under_way {
            self.event(event);
        }
        if board.under_way.is_empty() {
            self.line(&[(Style::Dim, "  nothing")]);
        }
    }

    fn event(&mut self, event: &UnderWay) {
        let title = &event.title;
        let (kind, channel) = (title.kind.name(), title.channel.name());
        let since = clock(event.since_ms);
        let what = format!("  {kind:<15} {channel:<8} {:<13} since {since}   ", title.target);
        let (style, found) = match &event.found {
            Some(delay) => (Style::Green, format!("found {}", after(delay))),
            None => (Style::Yellow, "not found yet".to_owned()),
        };
        self.line(&[(Style::Plain, &what), (style, &found)]);
    }

    fn top(&mut self, board: &Board) {
        let width = self.series_width();
        self.title(&format!(
            " SCORE {:<BAR$}   {:<width$} {:>10} {:>10}  {}",
            "", "SERIES", "VALUE", "EXPECTED", "BAND"
        ));
        for row in &board.top {
            self.row(row, width);
        }
    }

    fn row(&mut self, row: &Row, width: usize) {
        let style = match (row.score >= 1.0, row.is_struck) {
            (true, true) => Style::Red,
            (true, false) => Style::Yellow,
            _ => Style::Plain,
        };
        let mark = if row.is_struck { '*' } else { ' ' };
        let series = fit(&row.series, width);
        self.line(&[
            (style, &format!("{:>6.2} {}", row.score, bar(row.score))),
            (Style::Plain, &format!(" {mark} {series:<width$} {}", figures(row))),
        ]);
    }

    fn lately(&mut self, board: &Board) {
        self.title("LATELY");
        for entry in &board.lately {
            let style = match entry.what {
                Happening::Began(_) => Style::Plain,
                Happening::Found(..) => Style::Green,
                Happening::Missed(_) => Style::Red,
                Happening::False(_) => Style::Yellow,
            };
            self.line(&[(style, &format!("  {}", notice(entry)))]);
        }
    }

    fn series_width(&self) -> usize {
        self.canvas.width.saturating_sub(FIGURES).max(20)
    }

    fn title(&mut self, text: &str) {
        self.lines.push(String::new());
        self.line(&[(Style::Bold, text)]);
    }

    /// One line of styled pieces, cut at the canvas' width.
    fn line(&mut self, pieces: &[(Style, &str)]) {
        let mut left = self.canvas.width;
        let mut line = String::new();
        for (style, text) in pieces {
            let text = fit(text, left);
            left -= text.chars().count();
            style.paint(text.as_ref(), self.canvas.colour, &mut line);
        }
        self.lines.push(line.trim_end().to_owned());
    }
}

/// The first `width` characters of `text`, the last of them an ellipsis where something is cut.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect()
}

// === impl Style ===

impl Style {
    fn paint(self, text: &str, colour: bool, line: &mut String) {
        let code = match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Red => Some("31"),
            Self::Green => Some("32"),
            Self::Yellow => Some("33"),
        };
        match code.filter(|_| colour && !text.is_empty()) {
            // Writing into a String cannot fail.
            Some(code) => drop(write!(line, "\x1b[{code}m{text}\x1b[0m")),
            None => line.push_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::{Balance, Expected, Title};
    use super::*;
    use crate::simulate::synth::{Channel, Kind, MONDAY_MS};

    const CANVAS: Canvas = Canvas { width: 120, height: 40, colour: false };

    fn title() -> Title {
        Title { kind: Kind::LevelShift, channel: Channel::Network, target: "node-1:9100".to_owned() }
    }

    fn delay() -> Delay {
        Delay {
            samples: 1,
            ms: 120_000,
            series: "node_network_receive_bytes_total{instance=\"node-1:9100\"}".to_owned(),
        }
    }

    fn row(series: &str, score: f64, is_rate: bool) -> Row {
        let expected = Some(Expected { value: 3.1e6, lower: 2.84e6, upper: 3.3e6 });
        Row {
            series: series.to_owned(),
            score,
            value: Some(7_654_321.0),
            expected,
            is_rate,
            is_struck: score > 1.0,
        }
    }

    fn board() -> Board {
        let at_ms = MONDAY_MS + 3 * 86_400_000 + 2 * 3_600_000;
        Board {
            seed: 1,
            instances: 4,
            stream_ms: at_ms,
            speed: 900.0,
            phase: Phase::Live(18.2, 60.0),
            series: 176,
            scored: 120,
            samples: 512_345,
            balance: Balance { injected: 3, found: 2, missed: 0, pending: 1, false_alerts: 1 },
            under_way: vec![
                UnderWay { title: title(), since_ms: at_ms - 600_000, found: Some(delay()) },
                UnderWay {
                    title: Title {
                        kind: Kind::Drift,
                        channel: Channel::Memory,
                        target: "node-0:9100".to_owned(),
                    },
                    since_ms: at_ms - 300_000,
                    found: None,
                },
            ],
            top: vec![
                row("node_network_receive_bytes_total{instance=\"node-1:9100\",device=\"eth0\"}", 4.21, true),
                row("node_load1{instance=\"node-0:9100\"}", 0.33, false),
                Row {
                    value: None,
                    expected: None,
                    ..row("node_load5{instance=\"node-0:9100\"}", 0.0, false)
                },
            ],
            lately: vec![
                Notice { at_ms: at_ms - 480_000, what: Happening::Found(title(), delay()) },
                Notice { at_ms: at_ms - 600_000, what: Happening::Began(title()) },
                Notice { at_ms: at_ms - 7_200_000, what: Happening::False("node_load1{}".to_owned()) },
                Notice { at_ms: at_ms - 9_000_000, what: Happening::Missed(title()) },
            ],
        }
    }

    #[test]
    fn the_table_is_readable() {
        insta::assert_snapshot!(render(&board(), CANVAS).join("\n"));
    }

    #[test]
    fn nothing_is_wider_or_longer_than_the_terminal() {
        let canvas = Canvas { width: 60, height: 10, colour: false };
        let lines = render(&board(), canvas);
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = render(&board(), Canvas { colour: true, ..CANVAS }).join("\n");
        assert!(coloured.contains("\x1b[31m"));
        let mut plain = coloured;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"] {
            plain = plain.replace(code, "");
        }
        let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, render(&board(), CANVAS));
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, want: &str| assert_eq!(short(value), want);
        check(0.0, "0");
        check(0.04216, "0.042");
        check(9.876, "9.88");
        check(845.4, "845");
        check(12_345_678.0, "12.3M");
        check(-1_500.0, "-1.50k");
        check(2.5e9, "2.50G");
        check(f64::NEG_INFINITY, "-∞");
    }

    #[test]
    fn times_and_spans_are_short() {
        assert_eq!(clock(MONDAY_MS), "Mon 00:00");
        assert_eq!(clock(MONDAY_MS + 3 * 86_400_000 + 51_600_000), "Thu 14:20");
        let check = |ms: i64, want: &str| assert_eq!(span(ms), want);
        check(30_000, "30s");
        check(7 * 60_000, "7m");
        check(125 * 60_000, "2h05m");
    }
}
