//! From text to [`Selector`]: Prometheus' grammar of a vector selector, with quoted UTF-8 names.

use super::{MAX_SELECTOR_BYTES, MatchOp, Matcher, NAME, Selector, SelectorError};

/// Reads one selector; nothing may follow it but white space.
pub(super) fn selector(text: &str) -> Result<Selector, SelectorError> {
    if text.len() > MAX_SELECTOR_BYTES {
        return Err(SelectorError::TooLong { bytes: text.len() });
    }
    let mut parser = Parser { chars: text.chars().collect(), at: 0 };
    let mut matchers = Vec::new();
    parser.skip_space();
    if let Some(name) = parser.identifier(is_metric_start, is_metric_part) {
        matchers.push(Matcher::try_new(NAME.to_owned(), MatchOp::Equal, name, 1)?);
        parser.skip_space();
    }
    let named = !matchers.is_empty();
    if parser.peek() == Some('{') {
        parser.at += 1;
        parser.matchers(named, &mut matchers)?;
    } else if !named {
        return Err(parser.unexpected("a metric name or {"));
    }
    parser.end()?;
    Selector::try_new(matchers)
}

/// Whether `name` can stand in front of the braces without quotes.
pub(super) fn is_metric_name(name: &str) -> bool {
    is_identifier(name, is_metric_start, is_metric_part)
}

/// Whether `name` can stand as a label without quotes.
pub(super) fn is_label_name(name: &str) -> bool {
    is_identifier(name, is_label_start, is_label_part)
}

/// The text as characters, so that positions count what a person sees.
struct Parser {
    chars: Vec<char>,
    at: usize,
}

// === impl Parser ===

impl Parser {
    /// What stands between the braces, the closing one included.
    fn matchers(&mut self, mut named: bool, out: &mut Vec<Matcher>) -> Result<(), SelectorError> {
        loop {
            self.skip_space();
            if self.take('}') {
                return Ok(());
            }
            let matcher = self.matcher(&mut named)?;
            out.push(matcher);
            self.skip_space();
            if !self.take(',') && self.peek() != Some('}') {
                return Err(self.unexpected(", or }"));
            }
        }
    }

    /// One matcher, or a quoted metric name.
    fn matcher(&mut self, named: &mut bool) -> Result<Matcher, SelectorError> {
        let start = self.at + 1;
        let (label, quoted) = self.label()?;
        self.skip_space();
        let is_name_alone = quoted && matches!(self.peek(), Some(',' | '}'));
        let (label, op, value) = if is_name_alone {
            (NAME.to_owned(), MatchOp::Equal, label)
        } else {
            let op = self.operator()?;
            self.skip_space();
            (label, op, self.string("a quoted value")?)
        };
        if label == NAME && op == MatchOp::Equal && std::mem::replace(named, true) {
            return Err(SelectorError::NameTwice { at: start });
        }
        Matcher::try_new(label, op, value, start)
    }

    fn label(&mut self) -> Result<(String, bool), SelectorError> {
        if let Some(name) = self.identifier(is_label_start, is_label_part) {
            return Ok((name, false));
        }
        match self.string("a label name or }") {
            Ok(name) if name.is_empty() => Err(self.unexpected("a name that is not empty before")),
            other => other.map(|name| (name, true)),
        }
    }

    fn operator(&mut self) -> Result<MatchOp, SelectorError> {
        let two = (self.peek(), self.chars.get(self.at + 1).copied());
        let (op, width) = match two {
            (Some('='), Some('~')) => (MatchOp::Regex, 2),
            (Some('!'), Some('~')) => (MatchOp::NotRegex, 2),
            (Some('!'), Some('=')) => (MatchOp::NotEqual, 2),
            (Some('='), _) => (MatchOp::Equal, 1),
            _ => return Err(self.unexpected("=, !=, =~ or !~")),
        };
        self.at += width;
        Ok(op)
    }

    /// A text in double quotes, single quotes or backticks; backticks know no escapes.
    fn string(&mut self, wanted: &'static str) -> Result<String, SelectorError> {
        let quote = match self.peek() {
            Some(quote @ ('"' | '\'' | '`')) => quote,
            _ => return Err(self.unexpected(wanted)),
        };
        let start = self.at + 1;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek().ok_or(SelectorError::UnterminatedString { at: start })? {
                c if c == quote => break,
                '\n' if quote != '`' => return Err(SelectorError::UnterminatedString { at: start }),
                '\\' if quote != '`' => self.escape(quote, &mut bytes)?,
                c => {
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        String::from_utf8(bytes).map_err(|_| SelectorError::BadEscape { at: start })
    }

    /// One escape of Go's string syntax.
    fn escape(&mut self, quote: char, out: &mut Vec<u8>) -> Result<(), SelectorError> {
        let start = self.at + 1;
        let bad = SelectorError::BadEscape { at: start };
        let letter = *self.chars.get(self.at + 1).ok_or_else(|| bad.clone())?;
        self.at += 2;
        let byte = match letter {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            c if c == quote => c as u8,
            'x' => self.number(2, 16).and_then(|n| u8::try_from(n).ok()).ok_or(bad)?,
            '0'..='7' => {
                self.at -= 1;
                self.number(3, 8).and_then(|n| u8::try_from(n).ok()).ok_or(bad)?
            }
            'u' | 'U' => {
                let digits = if letter == 'u' { 4 } else { 8 };
                let c = self.number(digits, 16).and_then(char::from_u32).ok_or(bad)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(bad),
        };
        out.push(byte);
        Ok(())
    }

    /// The number in the next `digits` characters.
    fn number(&mut self, digits: usize, radix: u32) -> Option<u32> {
        let text = self.chars.get(self.at..self.at + digits)?;
        let number =
            text.iter().try_fold(0u32, |n, c| n.checked_mul(radix)?.checked_add(c.to_digit(radix)?))?;
        self.at += digits;
        Some(number)
    }

    fn identifier(&mut self, start: fn(char) -> bool, part: fn(char) -> bool) -> Option<String> {
        self.peek().filter(|c| start(*c))?;
        let rest = self.chars.get(self.at..)?;
        let name: String = rest.iter().take_while(|c| part(**c)).collect();
        self.at += name.len(); // identifiers are ASCII: as many characters as bytes
        Some(name)
    }

    fn end(&mut self) -> Result<(), SelectorError> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some('[' | '(' | '+' | '-' | '*' | '/' | '@' | '<' | '>') => {
                Err(SelectorError::NotASelector { at: self.at + 1, found: self.found() })
            }
            Some(_) => Err(self.unexpected("the end of the selector")),
        }
    }

    fn unexpected(&self, wanted: &'static str) -> SelectorError {
        SelectorError::Unexpected { at: self.at + 1, wanted, found: self.found() }
    }

    /// The next few characters, quoted for an error text.
    fn found(&self) -> String {
        let rest: String = self.chars.iter().skip(self.at).take(16).collect();
        if rest.is_empty() { "the end".to_owned() } else { format!("{rest:?}") }
    }

    fn take(&mut self, wanted: char) -> bool {
        let taken = self.peek() == Some(wanted);
        self.at += usize::from(taken);
        taken
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }
}

fn is_identifier(name: &str, start: fn(char) -> bool, part: fn(char) -> bool) -> bool {
    name.starts_with(start) && name.chars().all(part)
}

fn is_metric_start(c: char) -> bool {
    is_label_start(c) || c == ':'
}

fn is_metric_part(c: char) -> bool {
    is_metric_start(c) || c.is_ascii_digit()
}

fn is_label_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_label_part(c: char) -> bool {
    is_label_start(c) || c.is_ascii_digit()
}
