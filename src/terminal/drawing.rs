//! Lines of text that fit a terminal.

use std::fmt::Write;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the terminal is.
    Plain,
    /// Of headings.
    Bold,
    /// Of what is said in passing.
    Dim,
    /// Of what is wrong.
    Red,
    /// Of what is well.
    Green,
    /// Of what is worth a look.
    Yellow,
}

/// Collects lines that fit the canvas.
#[derive(Debug)]
pub struct Drawing {
    pub(super) canvas: Canvas,
    lines: Vec<String>,
}

// === impl Drawing ===

impl Drawing {
    /// An empty one.
    pub fn new(canvas: Canvas) -> Self {
        Self { canvas, lines: Vec::new() }
    }

    /// The lines, at most as many as the canvas has.
    pub fn finish(mut self) -> Vec<String> {
        self.lines.truncate(self.canvas.height);
        self.lines
    }

    /// A heading below an empty line.
    pub fn title(&mut self, text: &str) {
        self.lines.push(String::new());
        self.line(&[(Style::Bold, text)]);
    }

    /// One line of styled pieces, cut at the canvas' width.
    pub fn line(&mut self, pieces: &[(Style, &str)]) {
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
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect()
}

/// A value in few characters: `12.3M`, `845`, `0.042`.
pub fn short(value: f64) -> String {
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

/// A length of time, for example `2h05m`, `7m` or `30s`.
pub fn span(ms: i64) -> String {
    match (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, _) => format!("{minutes}m"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
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
    use super::*;

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
    fn spans_are_short() {
        let check = |ms: i64, want: &str| assert_eq!(span(ms), want);
        check(30_000, "30s");
        check(7 * 60_000, "7m");
        check(125 * 60_000, "2h05m");
    }

    #[test]
    fn lines_are_cut_at_the_edges() {
        let mut drawing = Drawing::new(Canvas { width: 8, height: 2, colour: false });
        drawing.line(&[(Style::Plain, "samples"), (Style::Red, " and scores")]);
        drawing.title("two lines more");
        assert_eq!(drawing.finish(), ["samples…", ""]);
    }
}
