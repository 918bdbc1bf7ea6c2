//! Looks at the bytes of a request head for what hyper repairs in silence.
//!
//! hyper refuses two different lengths, obsolete line folding and bad chunks by itself. It lets pass a
//! `Content-Length` beside a `Transfer-Encoding`, and the same length twice, by dropping one of them; both
//! are the tools of request smuggling, and we refuse them (safety B-16).
//!
//! The watch sees bytes as they are read. It knows where a head starts only while no byte ran ahead of the
//! request before it; after that it says [`Framing::Unseen`], and a request with a `Transfer-Encoding` is
//! refused then. No sender in the wild pipelines chunked requests.

use memchr::memchr;

/// What was seen of the newest request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The whole head was seen and its framing is plain.
    Plain,
    /// The whole head was seen and says its length in more than one way.
    Ambiguous,
    /// The head, or a part of it, came before we looked.
    Unseen,
}

/// Where the watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Within a head.
    Head,
    /// Behind a head, within its body.
    Body,
    /// A byte ran ahead of its request: nothing is known any more.
    Lost,
}

/// Watches the bytes of one connection.
#[derive(Debug)]
pub(super) struct HeadWatch {
    state: State,
    /// The first bytes of the current line, in lower case.
    line: [u8; LINE],
    line_len: usize,
    /// Whether a line of this head was not blank; blank lines before a request line are part of no request.
    started: bool,
    lengths: u8,
    encodings: u8,
    /// Bytes seen behind the head.
    body: u64,
    /// The last five bytes behind the head: the end of a chunked body.
    tail: [u8; 5],
    /// What the head said of its body: a length, or none if it is chunked.
    length: Option<u64>,
}

/// As much of a line as tells the two headers apart.
const LINE: usize = "transfer-encoding:".len();

impl Default for HeadWatch {
    fn default() -> Self {
        Self {
            state: State::Head,
            line: [0; LINE],
            line_len: 0,
            started: false,
            lengths: 0,
            encodings: 0,
            body: 0,
            tail: [0; 5],
            length: Some(0),
        }
    }
}

impl HeadWatch {
    /// Takes note of bytes that were read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while self.state == State::Head && !bytes.is_empty() {
            bytes = self.read_line(bytes);
        }
        if self.state == State::Body {
            self.read_body(bytes);
        }
    }

    /// Takes one line, or a part of it, and gives back the rest.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = part.len().min(LINE - self.line_len.min(LINE));
        let at = self.line_len.min(LINE);
        self.line[at..at + room].copy_from_slice(&part[..room]);
        self.line[at..at + room].make_ascii_lowercase();
        self.line_len += part.len();
        match end {
            Some(end) => {
                self.end_line();
                &bytes[end + 1..]
            }
            None => &[],
        }
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.line_len.min(LINE)];
        let blank = line.is_empty() || line == b"\r";
        let (length, encoding) =
            (line.starts_with(b"content-length:"), line.starts_with(b"transfer-encoding:"));
        self.lengths = self.lengths.saturating_add(u8::from(length));
        self.encodings = self.encodings.saturating_add(u8::from(encoding));
        self.line_len = 0;
        if blank && self.started {
            self.state = State::Body;
        }
        self.started |= !blank;
    }

    fn read_body(&mut self, bytes: &[u8]) {
        self.body += bytes.len() as u64;
        let new = bytes.len().min(5);
        self.tail.rotate_left(new);
        self.tail[5 - new..].copy_from_slice(&bytes[bytes.len() - new..]);
    }

    /// Takes note of the `length` of the body behind the head that was just read (0 without a
    /// `Content-Length`), none if it is chunked.
    pub(super) fn expect(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// Whether nothing is missing of the body that is expected, as far as the watch can tell.
    pub(super) fn is_whole(&self) -> bool {
        self.state != State::Body
            || match self.length {
                Some(length) => self.body >= length,
                None => self.tail == *b"0\r\n\r\n",
            }
    }

    /// What was seen of the head that was just handed to the service.
    pub(super) fn framing(&self) -> Framing {
        match self.state {
            State::Body if self.lengths.saturating_add(self.encodings) > 1 => Framing::Ambiguous,
            State::Body => Framing::Plain,
            State::Head | State::Lost => Framing::Unseen,
        }
    }

    /// Forgets the head whose request is done.
    pub(super) fn next(&mut self) {
        let on_time = self.is_whole() && self.length.is_none_or(|length| self.body == length);
        let lost = self.state != State::Body || !on_time;
        *self = Self { state: if lost { State::Lost } else { State::Head }, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watched<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> HeadWatch {
        let mut watch = HeadWatch::default();
        pieces.into_iter().for_each(|piece| watch.read(piece));
        watch
    }

    #[test]
    fn b16_a_length_said_twice_is_ambiguous() {
        let check = |head: &str, want| assert_eq!(watched([head.as_bytes()]).framing(), want, "{head:?}");
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Plain);
        check("\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Framing::Plain);
        check("POST / HTTP/1.1\ncontent-length: 3\n\nabc", Framing::Plain);
        check("POST / HTTP/1.1\r\nContent-Length-X: 3\r\nContent-Length: 3\r\n\r\n", Framing::Plain);
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Plain);
        check(
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
            Framing::Ambiguous,
        );
        check("POST / HTTP/1.1\r\nContent-Length:3\r\nContent-Length:3\r\n\r\n", Framing::Ambiguous);
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n", Framing::Unseen);
    }

    #[test]
    fn b16_a_byte_that_ran_ahead_makes_the_next_head_unseen() {
        let check = |first: &str, length, want| {
            let mut watch = watched([first.as_bytes()]);
            watch.expect(length);
            watch.next();
            watch.read(b"GET / HTTP/1.1\r\n\r\n");
            assert_eq!(watch.framing(), want, "{first:?}");
        };
        check("GET / HTTP/1.1\r\n\r\n", Some(0), Framing::Plain);
        check("GET / HTTP/1.1\r\n\r\nG", Some(0), Framing::Unseen);
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Some(3), Framing::Plain);
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST", Some(3), Framing::Unseen);
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        check(chunked, None, Framing::Plain);
        check(&format!("{chunked}GET"), None, Framing::Unseen);
    }

    #[test]
    fn a_body_is_whole_when_its_last_byte_has_come() {
        let check = |first: &str, length, then: &str| {
            let mut watch = watched([first.as_bytes()]);
            watch.expect(length);
            assert_eq!(watch.is_whole(), then.is_empty(), "{first:?}");
            watch.read(then.as_bytes());
            assert!(watch.is_whole(), "{first:?} {then:?}");
        };
        check("GET / HTTP/1.1\r\n\r\n", Some(0), "");
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Some(3), "");
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Some(3), "c");
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None, "0\r\n\r\n");
    }

    proptest! {
        #[test]
        fn however_a_head_is_cut_into_reads_the_answer_is_the_same(
            lines in proptest::collection::vec(
                prop_oneof!["Content-Length: 3", "Transfer-Encoding: chunked", "[a-zA-Z-]{1,30}: x{0,40}"], 0..6),
            cuts in proptest::collection::vec(0usize..400, 0..6),
        ) {
            let text = format!("POST / HTTP/1.1\r\n{}\r\n", lines.iter().map(|l| format!("{l}\r\n")).collect::<String>());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
            prop_assert_eq!(watched(pieces).framing(), watched([text.as_bytes()]).framing());
        }
    }
}
