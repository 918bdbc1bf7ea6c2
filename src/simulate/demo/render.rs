//! Draws the table: a function of the board and of the terminal's size, nothing else.

use super::board::{Board, Delay, Happening, Notice, Phase, UnderWay};
use crate::terminal::{Canvas, Drawing, Style, short, span};

/// The lines of `board`, at most as many as the canvas has, none longer than it is wide.
pub fn render(board: &Board, canvas: Canvas) -> Vec<String> {
    let mut drawing = Drawing::new(canvas);
    head(&mut drawing, board);
    under_way(&mut drawing, board);
    drawing.rows(&board.top);
    lately(&mut drawing, board);
    drawing.finish()
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

fn after(delay: &Delay) -> String {
    let plural = if delay.samples == 1 { "" } else { "s" };
    format!("after {} sample{plural} ({})", delay.samples, span(delay.ms))
}

fn head(drawing: &mut Drawing, board: &Board) {
    let doing = match board.phase {
        Phase::Learning(share) => format!("learning what is usual: {:.0} %", share * 100.0),
        Phase::Live(past, all) => format!("{past:.0} s of {all:.0} s at {:.0}x", board.speed),
    };
    drawing.line(&[
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
    drawing.line(&[(Style::Dim, &of)]);
    let balance = board.balance;
    drawing.line(&[
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

fn under_way(drawing: &mut Drawing, board: &Board) {
    drawing.title("INJECTED, UNDER WAY");
    for event in &board.under_way {
        event_line(drawing, event);
    }
    if board.under_way.is_empty() {
        drawing.line(&[(Style::Dim, "  nothing")]);
    }
}

fn event_line(drawing: &mut Drawing, event: &UnderWay) {
    let title = &event.title;
    let (kind, channel) = (title.kind.name(), title.channel.name());
    let since = clock(event.since_ms);
    let what = format!("  {kind:<15} {channel:<8} {:<13} since {since}   ", title.target);
    let (style, found) = match &event.found {
        Some(delay) => (Style::Green, format!("found {}", after(delay))),
        None => (Style::Yellow, "not found yet".to_owned()),
    };
    drawing.line(&[(Style::Plain, &what), (style, &found)]);
}

fn lately(drawing: &mut Drawing, board: &Board) {
    drawing.title("LATELY");
    for entry in &board.lately {
        let style = match entry.what {
            Happening::Began(_) => Style::Plain,
            Happening::Found(..) => Style::Green,
            Happening::Missed(_) => Style::Red,
            Happening::False(_) => Style::Yellow,
        };
        drawing.line(&[(style, &format!("  {}", notice(entry)))]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::{Balance, Title};
    use super::*;
    use crate::simulate::synth::{Channel, Kind, MONDAY_MS};
    use crate::terminal::{Expected, Row};

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
            is_struck: score >= 1.0,
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
    fn times_are_short() {
        assert_eq!(clock(MONDAY_MS), "Mon 00:00");
        assert_eq!(clock(MONDAY_MS + 3 * 86_400_000 + 51_600_000), "Thu 14:20");
    }
}
