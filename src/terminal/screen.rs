//! A terminal that is taken over for a while.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use crossterm::{cursor, event, execute, queue, style, terminal};

use super::drawing::Canvas;

/// A terminal in raw mode on its alternate screen; dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Screen {
    colour: bool,
}

// === impl Screen ===

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// A terminal that cannot be drawn on.
    pub fn open(colour: bool) -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self { colour };
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Shows the lines that `frame` makes for the terminal as large as it is now.
    ///
    /// # Errors
    /// A terminal that cannot be drawn on.
    pub fn draw(&self, frame: impl FnOnce(Canvas) -> Vec<String>) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let canvas = Canvas { width: width.into(), height: height.into(), colour: self.colour };
        let lines = frame(canvas);
        let mut out = io::stdout().lock();
        queue!(out, terminal::BeginSynchronizedUpdate)?;
        for (row, line) in (0u16..).zip(&lines) {
            let clear = terminal::Clear(terminal::ClearType::UntilNewLine);
            queue!(out, cursor::MoveTo(0, row), style::Print(line), clear)?;
        }
        if lines.len() < usize::from(height) {
            let below = cursor::MoveTo(0, lines.len() as u16);
            queue!(out, below, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        }
        queue!(out, terminal::EndSynchronizedUpdate)?;
        out.flush()
    }

    /// Whether q, Escape or Ctrl-C is pressed within `time`.
    ///
    /// # Errors
    /// A terminal that cannot be read from.
    pub fn is_left(&self, time: Duration) -> io::Result<bool> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !event::poll(left)? {
                return Ok(false);
            }
            if let Event::Key(key) = event::read()?
                && leaves(&key)
            {
                return Ok(true);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let shown = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let cooked = terminal::disable_raw_mode();
        if let Some(error) = shown.err().or(cooked.err()) {
            eprintln!("cannot give the terminal back as it was: {error}");
        }
    }
}

fn leaves(key: &KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}
