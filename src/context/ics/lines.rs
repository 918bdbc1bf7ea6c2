//! The lines of a calendar file: unfolded, and cut into name, parameters and value.

use super::error::{Cause, IcsError};

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, from 1.
    pub(super) number: usize,
    /// In capitals.
    pub(super) name: String,
    /// Names in capitals, values without quotes.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) value: String,
}

/// All lines of `bytes` that are not empty.
pub(super) fn unfold(bytes: &[u8]) -> Result<Vec<Line>, IcsError> {
    if bytes.len() as u64 > super::MAX_BYTES {
        return Err(IcsError { line: 1, cause: Cause::TooLarge });
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut whole: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line, whole.last_mut()) {
            // A fold may stand within a character.
            ([b' ' | b'\t', rest @ ..], Some((_, before))) => before.extend_from_slice(rest),
            _ => whole.push((at + 1, line.to_vec())),
        }
    }
    let has_text = |(_, line): &(usize, Vec<u8>)| !line.trim_ascii().is_empty();
    whole.into_iter().filter(has_text).map(|(number, line)| Line::read(number, line)).collect()
}

// === impl Line ===

impl Line {
    fn read(number: usize, bytes: Vec<u8>) -> Result<Self, IcsError> {
        let error = |cause| IcsError { line: number, cause };
        let text = String::from_utf8(bytes).map_err(|_| error(Cause::NotText))?;
        let (head, value) = cut(&text, ':').ok_or_else(|| error(Cause::NoProperty))?;
        let mut parts = pieces(head);
        let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            return Err(error(Cause::NoProperty));
        }
        // Of the old vCalendar some parameters have no value.
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_ascii_uppercase(), value.trim_matches('"').to_owned())
        };
        Ok(Self { number, parameters: parts.map(parameter).collect(), name, value: value.trim().to_owned() })
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value.eq_ignore_ascii_case(value)
    }

    pub(super) fn error(&self, cause: Cause) -> IcsError {
        IcsError { line: self.number, cause }
    }

    /// What is wrong with the value, and what could stand there.
    pub(super) fn wrong(&self, value: &str, example: &'static str) -> IcsError {
        self.error(Cause::Value { name: self.name.clone(), value: value.to_owned(), example })
    }
}

/// `text` before and behind the first `at` that is not within quotes.
fn cut(text: &str, at: char) -> Option<(&str, &str)> {
    let mut quoted = false;
    let place = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == at && !quoted
    });
    let (before, behind) = text.split_at(place?.0);
    Some((before, behind.strip_prefix(at)?))
}

/// `text` cut at every semicolon that is not within quotes.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, behind) = cut(text, ';').map_or((text, None), |(piece, behind)| (piece, Some(behind)));
        rest = behind;
        Some(piece)
    })
}
