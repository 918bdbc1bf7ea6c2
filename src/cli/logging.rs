//! Where log lines go, and what they look like.

use std::fmt::Write as _;
use std::io;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_limit::LogLimit;

/// How much is logged. ERROR says that data is lost or that an operator is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Every request.
    Debug,
    /// What changes: start, reload, stop.
    #[default]
    Info,
    /// What went wrong and was dealt with.
    Warn,
    /// What an operator must see to.
    Error,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Time, level, message and fields in one line.
    #[default]
    Text,
    /// One JSON object in a line.
    Json,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already")]
pub struct LoggingError;

/// Sends log lines of `level` and above to the standard error. Control characters that come from outside
/// are written as escapes, so that no label value can forge a line or colour a terminal. One place in the code
/// is heard ten times in a minute, and then says how often it was not.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), LoggingError> {
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(level))
        .with_ansi(false)
        .with_target(false)
        .with_writer(Escaping);
    let limit = LogLimit::default();
    let done = match format {
        LogFormat::Text => builder.finish().with(limit).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(limit).try_init(),
    };
    done.map_err(|_| LoggingError)
}

/// `text` on any number of lines, with every other control character as an escape.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes whole log lines to the standard error, escaped.
struct Escaping;

// === impl Escaping ===

impl<'a> MakeWriter<'a> for Escaping {
    type Writer = EscapingWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapingWriter(io::stderr())
    }
}

/// The formatter hands over one event at a time, its line feed included.
struct EscapingWriter<W>(W);

impl<W: io::Write> io::Write for EscapingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut escaped = one_line(text.strip_suffix('\n').unwrap_or(&text));
        escaped.push('\n');
        self.0.write_all(escaped.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c.is_control() { escape(c, &mut out) } else { out.push(c) }
    }
    out
}

fn escape(c: char, out: &mut String) {
    // Writing to a String cannot fail.
    let _ok = write!(out, "{}", c.escape_default());
}

// === impl LogLevel ===

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn b20_control_characters_are_escaped_and_a_line_stays_one_line() {
        let mut writer = EscapingWriter(Vec::new());
        writer.write_all(b"a\x1b[31mb\nerror: forged\r\0\n").unwrap();
        let line = String::from_utf8(writer.0).unwrap();
        assert_eq!(line, "a\\u{1b}[31mb\\nerror: forged\\r\\u{0}\n");
    }

    #[test]
    fn an_error_text_may_have_several_lines_but_no_colours() {
        assert_eq!(printable("a\n  b\x1b[2J"), "a\n  b\\u{1b}[2J");
    }
}
