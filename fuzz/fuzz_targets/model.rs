//! Any bytes as a manifest and as each kind of blob: no panic, no memory beyond a few times the bytes, and what is taken is
//! written again as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidelong::wire::model::{
    decode_forest, decode_golden, decode_manifest, decode_parameters, decode_signed, encode_forest, encode_golden,
    encode_manifest, encode_parameters, encode_signed,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = decode_signed(bytes) {
        assert_eq!(decode_signed(&encode_signed(&signed)).as_ref(), Ok(&signed));
    }
    if let Ok(manifest) = decode_manifest(bytes) {
        assert_eq!(decode_manifest(&encode_manifest(&manifest)).as_ref(), Ok(&manifest));
    }
    if let Ok(hybrid) = decode_parameters(bytes) {
        assert_eq!(decode_parameters(&encode_parameters(&hybrid)).as_ref(), Ok(&hybrid));
    }
    if let Ok(forest) = decode_forest(bytes) {
        assert_eq!(decode_forest(&encode_forest(&forest)).as_ref(), Ok(&forest));
        assert!(forest.path(&[0.0; 4]).is_finite());
    }
    if let Ok(golden) = decode_golden(bytes) {
        assert_eq!(decode_golden(&encode_golden(&golden)).as_ref(), Ok(&golden));
    }
});
