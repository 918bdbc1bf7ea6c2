//! Holds back the end of an OpenMetrics page, so that scores can stand before it.

use bytes::Bytes;
use memchr::memrchr;

use crate::wire::exposition::EOF;

/// The longest end of a page: `# EOF` and its line feed.
const LONGEST: &[u8] = b"# EOF\n";

/// Lets all bytes of a page pass but a last line that is, or may become, `# EOF`.
#[derive(Debug)]
pub(super) struct EofHold {
    held: Bytes,
    /// Whether what comes after `held` begins a line, were `held` empty.
    at_line_start: bool,
}

// === impl EofHold ===

impl EofHold {
    pub(super) fn new() -> Self {
        Self { held: Bytes::new(), at_line_start: true }
    }

    /// Takes the next bytes of the page and gives those that may pass.
    pub(super) fn push(&mut self, chunk: Bytes) -> Bytes {
        let mut pass = self.joined(chunk);
        let whole_lines = pass.strip_suffix(b"\n").unwrap_or(&pass);
        let last_line = match memrchr(b'\n', whole_lines) {
            Some(feed) => feed + 1,
            None if self.at_line_start => 0,
            None => pass.len(),
        };
        if LONGEST.starts_with(pass.get(last_line..).unwrap_or_default()) {
            self.held = pass.split_off(last_line);
        }
        if let Some(&last) = pass.last() {
            self.at_line_start = last == b'\n';
        }
        pass
    }

    /// Ends the page: what was held back, which is the end of a whole page or the stump of a cut one.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// What is held back now.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// What was held back and `chunk`, which are copied together only where a chunk ends in such a line.
    fn joined(&mut self, chunk: Bytes) -> Bytes {
        if self.held.is_empty() {
            return chunk;
        }
        [&self.finish()[..], &chunk].concat().into()
    }
}

/// Whether `held` is a whole end of a page.
pub(super) fn is_whole(held: &[u8]) -> bool {
    held.strip_suffix(b"\n").unwrap_or(held) == EOF
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let mut hold = EofHold::new();
        let passed: Vec<_> = chunks.iter().map(|chunk| hold.push(Bytes::copy_from_slice(chunk))).collect();
        (passed.concat(), hold.finish().to_vec())
    }

    #[test]
    fn p12_only_the_last_line_is_held_back_and_only_if_it_is_the_end() {
        let check = |chunks: &[&str], passed: &str, held: &str| {
            let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let want = (passed.as_bytes().to_vec(), held.as_bytes().to_vec());
            assert_eq!(run(&chunks), want, "{chunks:?}");
        };
        check(&["a 1\n# EOF\n"], "a 1\n", "# EOF\n");
        check(&["a 1\n# EOF"], "a 1\n", "# EOF");
        check(&["a 1\n#", " E", "OF", "\n"], "a 1\n", "# EOF\n");
        check(&["# EOF\n"], "", "# EOF\n");
        check(&["a 1\n# EOF\n", "b 2\n"], "a 1\n# EOF\nb 2\n", "");
        check(&["a 1\n# EOF\n", "# EOF\n"], "a 1\n# EOF\n", "# EOF\n");
        check(&["a 1\n# E"], "a 1\n", "# E");
        check(&["a 1\n# TYPE b gauge\n"], "a 1\n# TYPE b gauge\n", "");
        check(&["a", "# EOF\n"], "a# EOF\n", "");
        check(&["a 1", "\n", "# EOF\n"], "a 1\n", "# EOF\n");
        check(&["a 1\n\n"], "a 1\n\n", "");
        check(&[], "", "");
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(pieces in proptest::collection::vec(
            prop_oneof![Just("# EOF\n"), Just("#"), Just(" "), Just("EOF"), Just("\n"), Just("a 1\n"), Just("")],
            0..12,
        )) {
            let chunks: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let (passed, held) = run(&chunks);
            prop_assert_eq!([passed, held.clone()].concat(), pieces.concat().into_bytes());
            let text = pieces.concat();
            let ends = text == "# EOF" || text == "# EOF\n" || text.ends_with("\n# EOF") || text.ends_with("\n# EOF\n");
            prop_assert_eq!(is_whole(&held), ends);
        }
    }
}
