//! Draws the view: a function of it and of the terminal's size, nothing else.

use super::view::{Door, View};
use crate::cli::logging::printable;
use crate::terminal::{Canvas, Drawing, Style, short, span};

/// From here on room is short.
const NEARLY_FULL: f64 = 0.9;

/// The lines of `view`.
pub(super) fn draw(view: &View, canvas: Canvas) -> Vec<String> {
    let mut drawing = Drawing::new(canvas);
    head(&mut drawing, view);
    doors(&mut drawing, view);
    scoring(&mut drawing, view);
    scores(&mut drawing, view);
    room(&mut drawing, view);
    drawing.rows(&view.rows);
    if view.rows.is_empty() {
        drawing.line(&[(Style::Dim, "  no series has a score above 0")]);
    }
    drawing.finish()
}

fn head(drawing: &mut Drawing, view: &View) {
    let ready = if view.ready { (Style::Green, "ready") } else { (Style::Red, "not ready") };
    let more = format!(
        "   up {}   model {}   {} resident",
        span(view.uptime_ms),
        view.model,
        bytes(view.resident_bytes)
    );
    drawing.line(&[
        (Style::Bold, &format!("Sidelong {}", view.version)),
        (Style::Plain, &format!(" at {}   ", view.url)),
        ready,
        (Style::Plain, &more),
        (Style::Dim, if view.live { "        q leaves" } else { "" }),
    ]);
    if let Some(trouble) = &view.trouble {
        drawing.line(&[(Style::Red, &printable(trouble))]);
    }
}

fn doors(drawing: &mut Drawing, view: &View) {
    drawing.title("DOOR  REQUESTS/S  SAMPLES/S       IN/S      OUT/S  REFUSED/S");
    door(drawing, "push", &view.push);
    door(drawing, "pull", &view.pull);
}

fn door(drawing: &mut Drawing, name: &str, door: &Door) {
    let figures = format!(
        "{name:<4} {:>11} {:>10} {:>10} {:>10} ",
        short(door.requests),
        short(door.samples),
        bytes(door.bytes_in),
        bytes(door.bytes_out)
    );
    let refused = format!("{:>10}", short(door.refused));
    drawing.line(&[(Style::Plain, &figures), (worth_a_look(door.refused), &refused)]);
}

fn scoring(drawing: &mut Drawing, view: &View) {
    let scoring = &view.scoring;
    drawing.title("SCORING");
    drawing.line(&[
        (Style::Plain, &format!("  scored {}/s   ", short(scoring.scored))),
        (worth_a_look(scoring.anomalous), &format!("anomalous {}/s   ", short(scoring.anomalous))),
        (Style::Plain, &format!("unselected {}/s   ", short(scoring.unselected))),
        reasons("unscored", &scoring.unscored).as_piece(),
    ]);
}

fn scores(drawing: &mut Drawing, view: &View) {
    let scores = &view.scores;
    let sent = format!(
        "  scores sent {}/s   on pages {}/s   queue {}   retries {}/s   ",
        short(scores.sent),
        short(scores.appended),
        bytes(scores.queue_bytes),
        short(scores.retries)
    );
    drawing.line(&[(Style::Plain, &sent), reasons("dropped", &scores.dropped).as_piece()]);
    if scores.paused + scores.returning > 0.0 {
        let pauses = format!(
            "  scores give way to samples: paused for {} tenants, coming back for {}",
            count(scores.paused),
            count(scores.returning)
        );
        drawing.line(&[(Style::Yellow, &pauses)]);
    }
}

fn room(drawing: &mut Drawing, view: &View) {
    let room = &view.room;
    drawing.title("ROOM");
    drawing.line(&[
        share("  series", room.series, count).as_piece(),
        share("   score series", room.score_series, count).as_piece(),
        share("   learned", room.state_bytes, bytes).as_piece(),
    ]);
    let rest = format!(
        "  bodies {}   scorer backlog {}   tenants {}   targets {}",
        bytes(room.body_bytes),
        bytes(room.backlog_bytes),
        count(room.tenants),
        count(room.targets)
    );
    drawing.line(&[(Style::Plain, &rest)]);
}

/// A piece of a line that has a text of its own.
struct Piece(Style, String);

// === impl Piece ===

impl Piece {
    fn as_piece(&self) -> (Style, &str) {
        (self.0, &self.1)
    }
}

fn share(name: &str, (used, of): (f64, f64), number: fn(f64) -> String) -> Piece {
    let share = if of > 0.0 { used / of } else { 0.0 };
    let style = if share >= NEARLY_FULL { Style::Yellow } else { Style::Plain };
    Piece(style, format!("{name} {} of {} ({:.1} %)", number(used), number(of), share * 100.0))
}

/// A sum, and what it is made of.
fn reasons(name: &str, reasons: &[(String, f64)]) -> Piece {
    let sum = reasons.iter().fold(0.0, |sum, (_, rate)| sum + rate);
    let each = reasons.iter().map(|(reason, rate)| format!("{} {}", printable(reason), short(*rate)));
    let each: Vec<_> = each.collect();
    let made_of = if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) };
    Piece(worth_a_look(sum), format!("{name} {}/s{made_of}", short(sum)))
}

fn worth_a_look(rate: f64) -> Style {
    if rate > 0.0 { Style::Yellow } else { Style::Plain }
}

fn bytes(bytes: f64) -> String {
    format!("{}B", short(bytes))
}

/// A whole number.
fn count(count: f64) -> String {
    if count < 1_000.0 { format!("{count:.0}") } else { short(count) }
}
