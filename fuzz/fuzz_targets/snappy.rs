//! Any bytes as a snappy block: no panic, and never more than the cap.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::wire::compression::{Buffer, Cap, declared_snappy_len, decompress_snappy};

fuzz_target!(|body: &[u8]| {
    let (cap, mut into) = (Cap { bytes: 1 << 20, ratio: 64 }, Buffer::new());
    match decompress_snappy(body, cap, &mut into) {
        Ok(()) => assert_eq!(declared_snappy_len(body), Ok(into.len())),
        Err(_) => assert!(into.is_empty()),
    }
    assert!(into.capacity() <= cap.bytes);
});
