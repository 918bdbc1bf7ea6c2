//! Who pushes: the tenant header as a name.

use http::HeaderValue;

use crate::series::ScopeName;

/// Begins a byte that is no text. Where the header has the character itself, its bytes are written so, too: no two
/// headers have one name.
const ESCAPE: char = char::REPLACEMENT_CHARACTER;

/// The scope of who shows `header`; nobody is the tenant without a name. A header may hold bytes that are no text:
/// they pass as they are, so whom they name is a tenant like any other.
pub(super) fn scope_name(header: Option<&HeaderValue>) -> ScopeName {
    ScopeName::Tenant(header.map(|header| name(header.as_bytes())).unwrap_or_default().into())
}

fn name(header: &[u8]) -> String {
    let mut name = String::with_capacity(header.len());
    for chunk in header.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ESCAPE => escape(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut name),
                c => name.push(c),
            }
        }
        escape(chunk.invalid(), &mut name);
    }
    name
}

fn escape(bytes: &[u8], name: &mut String) {
    bytes.iter().for_each(|byte| name.push_str(&format!("{ESCAPE}{byte:02x}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_its_own_name() {
        let check = |text: &str| assert_eq!(name(text.as_bytes()), text);
        check("team-a");
        check("müller");
        check("");
        assert_eq!(scope_name(None), ScopeName::Tenant("".into()));
    }

    #[test]
    fn no_two_headers_have_one_name() {
        let headers: [&[u8]; 7] =
            [b"", b"\xff", b"\xfe", b"a\xff", b"\xff\xff", "\u{fffd}ff".as_bytes(), "\u{fffd}".as_bytes()];
        let names: std::collections::HashSet<_> = headers.iter().map(|header| name(header)).collect();
        assert_eq!(names.len(), headers.len(), "{names:?}");
        assert_eq!(name(b"a\xff"), "a\u{fffd}ff");
    }
}
