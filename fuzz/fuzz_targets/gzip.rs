//! Any bytes as gzip: no panic, never more than the cap, and the same whole as in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::wire::compression::{Buffer, Cap, CompressionError, Gunzip, decompress_gzip};

fn in_pieces(body: &[u8], cap: Cap) -> Result<Vec<u8>, CompressionError> {
    let (mut gunzip, mut got, mut out) = (Gunzip::new(cap), Vec::new(), [0; 113]);
    for mut piece in body.chunks(7) {
        loop {
            match gunzip.step(&mut piece, &mut out)? {
                0 => break,
                written => got.extend_from_slice(&out[..written]),
            }
        }
    }
    gunzip.finish().map(|()| got)
}

fuzz_target!(|body: &[u8]| {
    let (cap, mut into) = (Cap { bytes: 1 << 20, ratio: 64 }, Buffer::new());
    let whole = decompress_gzip(body, cap, &mut into);
    assert!(into.len() <= cap.bytes);
    if let (Ok(()), Ok(pieces)) = (whole, in_pieces(body, cap)) {
        assert_eq!(&*into, &pieces[..]);
    }
});
