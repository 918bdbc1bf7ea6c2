//! The demo on a terminal, or line by line where there is none.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::board::Phase;
use super::engine::{Demo, DemoError, Play};
use super::render::{notice, render};
use super::summary::Summary;
use crate::terminal::Screen;

/// How the demo is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Show {
    /// What is played.
    pub play: Play,
    /// Seconds of stream time in a second of ours, after the learning.
    pub speed: f64,
    /// How long it runs after the learning.
    pub duration: Duration,
    /// Whether a table is drawn on a terminal; else a line is printed for whatever happens.
    pub on_terminal: bool,
    /// Whether the table has colours.
    pub colour: bool,
}

/// Time from one frame to the next.
const FRAME: Duration = Duration::from_millis(100);
/// Of a frame, the part that may go into scraping; what is not done then waits for the next frame.
const WORK: Duration = Duration::from_millis(60);

/// Where the demo shows itself.
enum Stage {
    Table(Screen),
    Lines,
}

/// Plays until the duration is over, `stop` says so, or a person leaves.
///
/// # Errors
///
/// A page that cannot be scored, a terminal that cannot be drawn on.
pub fn run(show: &Show, stop: &Receiver<()>) -> Result<Summary, DemoError> {
    let mut demo = Demo::new(show.play)?;
    let stage = if show.on_terminal { Stage::Table(Screen::open(show.colour)?) } else { Stage::Lines };
    if stage.learn(&mut demo, show, stop)? {
        stage.live(&mut demo, show, stop)?;
    }
    drop(stage);
    Ok(demo.summary())
}

// === impl Stage ===

impl Stage {
    /// Lives through the quiet time as fast as it goes. `false` where somebody left.
    fn learn(&self, demo: &mut Demo, show: &Show, stop: &Receiver<()>) -> Result<bool, DemoError> {
        self.say("learning what is usual")?;
        while demo.next_ms() < show.play.live_from_ms {
            let began = Instant::now();
            while demo.next_ms() < show.play.live_from_ms && began.elapsed() < FRAME {
                demo.scrape()?;
            }
            self.draw(demo, Phase::Learning(demo.learned()), show.speed)?;
            if self.wait(Duration::ZERO, stop)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn live(&self, demo: &mut Demo, show: &Show, stop: &Receiver<()>) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            let past = began.elapsed().min(show.duration);
            let due_ms = show.play.live_from_ms + (past.as_secs_f64() * show.speed * 1000.0) as i64;
            let frame = Instant::now();
            while demo.next_ms() <= due_ms && frame.elapsed() < WORK {
                for happened in demo.scrape()? {
                    self.say(&notice(&happened))?;
                }
            }
            let phase = Phase::Live(past.as_secs_f64(), show.duration.as_secs_f64());
            self.draw(demo, phase, show.speed)?;
            let is_over = past >= show.duration;
            if is_over || self.wait(FRAME.saturating_sub(frame.elapsed()), stop)? {
                return Ok(());
            }
        }
    }

    /// Prints a line where there is no table.
    fn say(&self, line: &str) -> io::Result<()> {
        match self {
            Self::Table(_) => Ok(()),
            Self::Lines => writeln!(io::stdout().lock(), "{line}"),
        }
    }

    fn draw(&self, demo: &Demo, phase: Phase, speed: f64) -> io::Result<()> {
        match self {
            Self::Table(screen) => screen.draw(|canvas| render(&demo.board(phase, speed), canvas)),
            Self::Lines => Ok(()),
        }
    }

    /// Waits for the next frame; whether somebody wants to leave.
    fn wait(&self, time: Duration, stop: &Receiver<()>) -> io::Result<bool> {
        match self {
            Self::Table(screen) => Ok(screen.is_left(time)? || stop.try_recv().is_ok()),
            Self::Lines => match stop.recv_timeout(time) {
                Ok(()) => Ok(true),
                Err(RecvTimeoutError::Timeout) => Ok(false),
                // Nobody can say stop any more: the duration ends it.
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(time);
                    Ok(false)
                }
            },
        }
    }
}
