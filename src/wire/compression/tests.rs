use proptest::prelude::*;

use super::*;
use crate::wire::varint;

const SMALL: Cap = Cap { bytes: 1 << 20, ratio: 64 };

fn snappy(raw: &[u8]) -> Vec<u8> {
    let mut out = Buffer::new();
    SnappyEncoder::new().compress(raw, &mut out).unwrap();
    out.to_vec()
}

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress_gzip(raw, &mut out).unwrap();
    out
}

fn gunzip(body: &[u8], cap: Cap) -> Result<Vec<u8>, CompressionError> {
    let mut into = Buffer::new();
    let result = decompress_gzip(body, cap, &mut into);
    assert!(into.capacity() <= cap.bytes, "held {}", into.capacity());
    result.map(|()| into.to_vec())
}

#[test]
fn r7_declared_length_is_checked_first() {
    // The shape of prometheus/client_golang#1917: 47 bytes that declare 2,704,094,487.
    let mut body = Vec::new();
    varint::write(&mut body, 2_704_094_487);
    body.resize(47, b'x');
    let mut into = Buffer::new();
    let want = CompressionError::TooLong { bytes: 2_704_094_487, limit: 32 << 20 };
    assert_eq!(decompress_snappy(&body, Cap::default(), &mut into), Err(want));
    assert_eq!(into.capacity(), 0, "nothing may be allocated for a lie");

    let mut body = Vec::new();
    varint::write(&mut body, 30 << 20);
    body.resize(47, b'x');
    let result = decompress_snappy(&body, Cap::default(), &mut into);
    assert!(matches!(result, Err(CompressionError::Ratio { .. })), "{result:?}");
    assert_eq!(into.capacity(), 0);
}

#[test]
fn r5_the_framed_format_is_named_and_refused() {
    let framed = b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcd\x00";
    let check = |result: Result<(), CompressionError>| assert_eq!(result, Err(CompressionError::Framed));
    check(declared_snappy_len(framed).map(drop));
    check(decompress_snappy(framed, SMALL, &mut Buffer::new()));
}

#[test]
fn r6_a_damaged_snappy_block_is_an_error() {
    let check = |body: &[u8]| {
        let mut into = Buffer::new();
        assert!(decompress_snappy(body, SMALL, &mut into).is_err(), "{body:?}");
        assert!(into.is_empty());
    };
    let whole = snappy(&b"anomaly".repeat(50));
    check(b"");
    check(b"\xff\xff\xff\xff\xff\x0f");
    check(b"\x80");
    check(b"\x05abc");
    check(&[&whole[..], b"junk"].concat());
    (0..whole.len()).for_each(|cut| check(&whole[..cut]));
}

#[test]
fn a_buffer_reads_as_the_last_block_only() {
    let mut into = Buffer::new();
    decompress_snappy(&snappy(&[7; 1000]), SMALL, &mut into).unwrap();
    decompress_snappy(&snappy(b"short"), SMALL, &mut into).unwrap();
    assert_eq!(&*into, b"short");
    assert!(decompress_snappy(b"\x05abc", SMALL, &mut into).is_err());
    assert_eq!(&*into, b"");
    into.shrink_above(100);
    assert_eq!(into.capacity(), 0);
}

#[test]
fn b5_gzip_bombs_stop_at_the_cap() {
    let bomb = gzip(&vec![0; 8 << 20]);
    let result = gunzip(&bomb, SMALL);
    assert!(matches!(result, Err(CompressionError::TooLong { .. })), "{result:?}");
    let result = gunzip(&bomb, Cap { bytes: 64 << 20, ratio: 64 });
    assert!(matches!(result, Err(CompressionError::Ratio { .. })), "{result:?}");
}

#[test]
fn b5_a_gzip_body_may_be_as_long_as_the_cap_and_no_longer() {
    for cap in [1, 1000, 64 << 10, (64 << 10) + 1, 200_000] {
        let cap = Cap { bytes: cap, ratio: 64 };
        assert_eq!(gunzip(&gzip(&vec![7; cap.bytes]), cap).unwrap().len(), cap.bytes);
        let result = gunzip(&gzip(&vec![7; cap.bytes + 1]), cap);
        assert!(matches!(result, Err(CompressionError::TooLong { .. })), "{result:?}");
    }
}

#[test]
fn b5_gzip_members_concatenate_and_junk_behind_them_does_not() {
    let two = [gzip(b"first "), gzip(b"second")].concat();
    assert_eq!(gunzip(&two, SMALL).unwrap(), b"first second");
    let junk = [gzip(b"first"), b"junk that is no member".to_vec()].concat();
    assert!(matches!(gunzip(&junk, SMALL), Err(CompressionError::Gzip(_))));
    let many = gzip(b"").repeat(5000);
    assert_eq!(gunzip(&many, SMALL), Err(CompressionError::GzipMembers(4096)));
}

#[test]
fn b5_a_cut_gzip_body_is_an_error_at_every_byte() {
    let whole = gzip(b"node_load1 0.25\n");
    for cut in 0..whole.len() {
        assert!(gunzip(&whole[..cut], SMALL).is_err(), "cut at {cut}");
    }
}

#[test]
fn gunzip_hands_out_what_it_has_before_the_body_ends() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, b"first line\n").unwrap();
    std::io::Write::flush(&mut encoder).unwrap();
    let (mut out, mut gunzip) = ([0; 64], Gunzip::new(SMALL));
    let written = gunzip.step(&mut &encoder.get_ref()[..], &mut out).unwrap();
    assert_eq!(&out[..written], b"first line\n");
    assert_eq!(gunzip.finish(), Err(CompressionError::GzipTruncated));
}

proptest! {
    #[test]
    fn snappy_round_trips(raw: Vec<u8>, times in 1usize..40) {
        let raw = raw.repeat(times);
        let mut into = Buffer::new();
        let packed = snappy(&raw);
        decompress_snappy(&packed, SMALL, &mut into).unwrap();
        prop_assert_eq!(&*into, &raw[..]);
        prop_assert_eq!(declared_snappy_len(&packed), Ok(raw.len()));
    }

    #[test]
    fn gzip_is_the_same_whatever_the_pieces(raw: Vec<u8>, times in 1usize..40, bite in 1usize..50, room in 1usize..300) {
        let raw = raw.repeat(times);
        let body = [gzip(&raw), gzip(&raw)].concat();
        let (mut got, mut out, mut gunzip) = (Vec::new(), vec![0; room], Gunzip::new(SMALL));
        for mut piece in body.chunks(bite) {
            loop {
                let written = gunzip.step(&mut piece, &mut out).unwrap();
                got.extend_from_slice(&out[..written]);
                if written == 0 { break }
            }
        }
        gunzip.finish().unwrap();
        prop_assert_eq!(&got, &raw.repeat(2));
        prop_assert_eq!(self::gunzip(&body, SMALL).unwrap(), got);
    }

    #[test]
    fn b22_no_bytes_make_a_decoder_panic(body: Vec<u8>) {
        drop(decompress_snappy(&body, SMALL, &mut Buffer::new()));
        drop(gunzip(&body, SMALL));
        drop(gunzip(&[b"\x1f\x8b\x08\x00\0\0\0\0\0\0", &body[..]].concat(), SMALL));
    }
}
