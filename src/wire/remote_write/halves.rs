//! Cuts a request of version 1.0 in two, for a receiver that finds it too large.

use crate::wire::compression::{Buffer, Cap, SnappyEncoder, declared_snappy_len, decompress_snappy};
use crate::wire::varint;

/// The key of a series entry.
const TIMESERIES: u8 = 0x0a;

/// The first and the second half of the series of `body`, each a request of its own, with their number.
///
/// `body` is one of our own: its length is believed. `None` if it holds anything but two or more series.
pub fn halves(body: &[u8]) -> Option<[(Vec<u8>, usize); 2]> {
    let mut raw = Buffer::new();
    let cap = Cap { bytes: declared_snappy_len(body).ok()?, ratio: usize::MAX };
    decompress_snappy(body, cap, &mut raw).ok()?;
    let starts = starts(&raw)?;
    let half = starts.len() / 2;
    let (first, second) = raw.split_at(*starts.get(half).filter(|_| half > 0)?);
    Some([(compressed(first)?, half), (compressed(second)?, starts.len() - half)])
}

/// Where each series entry begins.
fn starts(raw: &[u8]) -> Option<Vec<usize>> {
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < raw.len() {
        starts.push(at);
        if raw[at] != TIMESERIES {
            return None;
        }
        at += 1;
        let len = varint::read(raw, &mut at)?;
        at = at.checked_add(usize::try_from(len).ok()?).filter(|end| *end <= raw.len())?;
    }
    Some(starts)
}

fn compressed(raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Buffer::new();
    SnappyEncoder::new().compress(raw, &mut out).ok()?;
    Some(out.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::generated::prometheus::{Label, TimeSeries, WriteRequest};
    use prost::Message;

    fn request(count: usize) -> WriteRequest {
        let series = |n: usize| TimeSeries {
            labels: vec![Label { name: "n".to_owned(), value: "v".repeat(n % 300) }],
            ..TimeSeries::default()
        };
        WriteRequest { timeseries: (0..count).map(series).collect(), ..WriteRequest::default() }
    }

    fn decoded(body: &[u8]) -> WriteRequest {
        let mut raw = Buffer::new();
        decompress_snappy(body, Cap::default(), &mut raw).expect("snappy");
        WriteRequest::decode(&*raw).expect("a request")
    }

    #[test]
    fn halves_hold_all_series_in_order() {
        for count in [2, 3, 400, 401] {
            let whole = request(count);
            let [(first, a), (second, b)] =
                halves(&compressed(&whole.encode_to_vec()).expect("short")).expect("halves");
            let (first, second) = (decoded(&first), decoded(&second));
            assert_eq!((first.timeseries.len(), second.timeseries.len()), (a, b));
            assert!(a.abs_diff(b) <= 1 && a > 0);
            assert_eq!([first.timeseries, second.timeseries].concat(), whole.timeseries);
        }
    }

    #[test]
    fn what_has_no_halves_is_left_whole() {
        for count in [0, 1] {
            assert_eq!(halves(&compressed(&request(count).encode_to_vec()).expect("short")), None);
        }
        assert_eq!(halves(b"\x02\x04\x0a\x05"), None, "a series that is cut short");
        assert_eq!(halves(b"\x04\x0c\x0a\x00\x12\x00"), None, "not only series");
        assert_eq!(halves(b""), None);
    }
}
