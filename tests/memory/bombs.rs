//! Bombs, each of which would take many times its own size if it were believed.

use super::Alone;
use sidelong::batch::Batch;
use sidelong::config::sections::{Limits, Scrape};
use sidelong::wire::compression::{
    Buffer, Cap, CompressionError, Gunzip, decompress_gzip, decompress_snappy,
};
use sidelong::wire::exposition::{Format, Page, PageError, PageLimits, Syntax};
use sidelong::wire::remote_write::v2::SymbolTable;
use sidelong::wire::remote_write::{ElementLimits, Walked, receive, v1, v2};
use std::io::Write;

/// What a body may decode to by default.
const DECODED: usize = 32 << 20;
/// What the test's own threads and messages take meanwhile.
const NOISE: usize = 128 << 10;

fn snappy(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(raw).unwrap()
}

/// The header of a snappy block that declares `length`, and junk up to 47 bytes.
fn lie(length: u32) -> Vec<u8> {
    let mut body = Vec::new();
    write_varint(length, &mut body);
    body.resize(47, b'x');
    body
}

/// So many bytes of zeros as gzip, a thousandth of that on the wire.
fn gzip_zeros(bytes: usize) -> Vec<u8> {
    let piece = vec![0; 4 << 20];
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    member.write_all(&piece).unwrap();
    member.finish().unwrap().repeat(bytes / piece.len())
}

/// `element` over and over, up to the limit of a body.
fn filled(element: &[u8]) -> Vec<u8> {
    element.repeat((DECODED - 16) / element.len())
}

/// A delimited field.
fn field(key: u8, content: Vec<u8>) -> Vec<u8> {
    let mut field = vec![key];
    write_varint(content.len() as u32, &mut field);
    field.extend(content);
    field
}

fn write_varint(mut rest: u32, into: &mut Vec<u8>) {
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// A name, and what decodes a decompressed body.
type Decoder = (&'static str, fn(&[u8]));

/// Decoding as each door does it.
fn decoders() -> [Decoder; 4] {
    // Whether it is taken is another test's business.
    [
        ("1.0 in gateway mode", |raw| {
            let mut batch = Batch::default();
            batch.histograms.wanted = true;
            drop(v1::decode(raw, 7, &ElementLimits::default(), Some(&mut Walked::default()), &mut batch));
        }),
        ("2.0 in gateway mode", |raw| {
            let (mut symbols, mut batch) = (SymbolTable::new(), Batch::default());
            batch.histograms.wanted = true;
            drop(v2::decode(raw, 7, &ElementLimits::default(), &mut symbols, &mut batch));
        }),
        ("1.0 in loop-back mode", |raw| {
            drop(receive::v1(raw, 7, &ElementLimits::default(), i64::MAX, &mut Batch::default()));
        }),
        ("2.0 in loop-back mode", |raw| {
            let (mut symbols, mut batch) = (SymbolTable::new(), Batch::default());
            drop(receive::v2(raw, 7, &ElementLimits::default(), i64::MAX, &mut symbols, &mut batch));
        }),
    ]
}

#[test]
fn the_limits_measured_against_are_the_defaults() {
    assert_eq!(Cap::default().bytes, DECODED);
    assert_eq!(Limits::default().max_decoded_size.as_usize(), DECODED);
}

#[test]
fn b4_a_snappy_body_that_lies_about_its_length_allocates_nothing() {
    let heap = Alone::with_the_heap();
    for declared in [2_704_094_487, u32::MAX, DECODED as u32 + 1, DECODED as u32, 4 << 20] {
        let body = lie(declared);
        let (result, peak) = heap.peak_of(|| decompress_snappy(&body, Cap::default(), &mut Buffer::new()));
        assert!(result.is_err(), "{declared}");
        assert!(peak < NOISE, "{peak} bytes for 47 that declare {declared}");
    }
}

#[test]
fn f11_snappy_zeros_take_no_more_than_twice_the_cap() {
    let heap = Alone::with_the_heap();
    let too_many = snappy(&vec![0; 40 << 20]);
    let (result, peak) = heap.peak_of(|| decompress_snappy(&too_many, Cap::default(), &mut Buffer::new()));
    assert!(matches!(result, Err(CompressionError::TooLong { .. })), "{result:?}");
    assert!(peak < NOISE, "{peak} bytes for a body over the cap");
    let allowed = snappy(&vec![0; DECODED]);
    assert!(allowed.len() * 20 < DECODED, "a twentieth on the wire");
    for (door, decode) in decoders() {
        let ((), peak) = heap.peak_of(|| {
            let mut raw = Buffer::new();
            decompress_snappy(&allowed, Cap::default(), &mut raw).unwrap();
            decode(&raw);
        });
        assert!(peak < 2 * DECODED, "{door}: {peak} bytes");
    }
}

/// Elements of two bytes or of one, sixteen or thirty-two million of them, of every kind that is counted.
#[test]
fn b4_bodies_of_the_smallest_elements_take_no_more_than_twice_the_cap() {
    let heap = Alone::with_the_heap();
    let bombs = [
        ("1.0 series without anything", filled(b"\x0a\x00")),
        ("1.0 metadata without anything", filled(b"\x1a\x00")),
        ("1.0 series of empty labels", field(0x0a, filled(b"\x0a\x00"))),
        (
            "1.0 series of empty samples, exemplars and histograms",
            field(0x0a, filled(b"\x12\x00\x1a\x00\x22\x00")),
        ),
        ("1.0 series of one empty sample each", filled(b"\x0a\x02\x12\x00")),
        (
            "1.0 series of ten thousand empty histograms each",
            filled(&field(0x0a, b"\x22\x00".repeat(10_000))),
        ),
        ("2.0 symbols", filled(b"\x22\x00")),
        ("2.0 series without anything", filled(b"\x2a\x00")),
        ("2.0 label references", field(0x2a, field(0x0a, filled(b"\x00")))),
        (
            "2.0 series of empty samples, histograms and exemplars",
            field(0x2a, filled(b"\x12\x00\x1a\x00\x22\x00")),
        ),
        ("2.0 series of one empty sample each", filled(b"\x2a\x02\x12\x00")),
    ];
    for (what, raw) in bombs {
        // To the other version it is unknown fields alone.
        let version = what.split(' ').next();
        for (door, decode) in decoders().into_iter().filter(|(door, _)| door.split(' ').next() == version) {
            let ((), peak) = heap.peak_of(|| decode(&raw));
            assert!(raw.len() + peak < 2 * DECODED, "{what}, as {door}: {peak} bytes beside the body");
        }
    }
}

#[test]
fn b4_sixteen_million_empty_series_take_a_fraction_of_what_they_are() {
    let heap = Alone::with_the_heap();
    let bodies = [filled(b"\x0a\x00"), filled(b"\x2a\x00")];
    for (door, decode) in decoders() {
        let raw = &bodies[usize::from(door.starts_with("2.0"))];
        let ((), peak) = heap.peak_of(|| decode(raw));
        assert!(peak < DECODED / 8, "{door}: {peak} bytes beside the body");
    }
}

#[test]
fn f11_gzip_of_a_thousand_to_one_takes_no_more_than_twice_the_cap() {
    let heap = Alone::with_the_heap();
    let bomb = gzip_zeros(2 * DECODED);
    assert!(bomb.len() * 900 < 2 * DECODED, "{} bytes", bomb.len());
    for cap in [Cap::default(), Cap { ratio: usize::MAX, ..Cap::default() }] {
        let (result, peak) = heap.peak_of(|| decompress_gzip(&bomb, cap, &mut Buffer::new()));
        assert!(result.is_err());
        assert!(peak < 2 * cap.bytes, "{peak} bytes in one piece");
        let (result, peak) = heap.peak_of(|| {
            let (mut gunzip, mut room, mut rest) = (Gunzip::new(cap), vec![0; 32 << 10], &*bomb);
            while gunzip.step(&mut rest, &mut room)? > 0 {}
            gunzip.finish()
        });
        assert!(result.is_err());
        assert!(peak < NOISE, "{peak} bytes as it streams");
    }
}

#[test]
fn f11_a_page_of_nothing_but_the_shortest_samples_takes_no_more_than_twice_its_limits() {
    let heap = Alone::with_the_heap();
    let limits = PageLimits { body_size: DECODED, samples: Scrape::default().page_sample_limit as usize };
    let page = |syntax, unit: &[u8]| {
        let bytes = unit.repeat(2 * limits.body_size / unit.len());
        heap.peak_of(|| {
            let mut page = Page::new();
            page.start(Format { syntax, utf8_names: true }, limits, 7, 1);
            bytes.chunks(64 << 10).try_for_each(|chunk| page.push(chunk))
        })
    };
    for (syntax, unit) in [
        (Syntax::Text, &b"a 1\n"[..]),
        (Syntax::Text, b"#"),
        (Syntax::OpenMetrics, b"a 1\n"),
        (Syntax::Protobuf, b"\x04\x0a\x00\x22\x00"),
        (Syntax::Protobuf, b"\x00"),
    ] {
        let (result, peak) = page(syntax, unit);
        assert!(
            matches!(result, Err(PageError::Samples { .. } | PageError::BodySize { .. })),
            "{syntax:?} of {unit:?}: {result:?}"
        );
        assert!(peak < 2 * limits.body_size, "{syntax:?} of {unit:?}: {peak} bytes");
    }
}
