//! Base-128 varints, the integers of protobuf and of snappy's header.

/// Reads a varint at `at` and moves `at` behind it. `None` if the bytes end or it has more than 64 bits
/// (protobuf allows ten bytes, the last of them 0 or 1).
#[inline(always)]
pub(crate) fn read(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let second = *bytes.get(*at)?;
    *at += 1;
    let value = u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7;
    if second < 0x80 { Some(value) } else { read_rest(bytes, at, value) }
}

#[cold]
fn read_rest(bytes: &[u8], at: &mut usize, mut value: u64) -> Option<u64> {
    for shift in (14..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (shift < 63 || byte < 2).then_some(value);
        }
    }
    None
}

/// Appends `value` as a varint.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`write()`] makes of `value`.
#[inline]
pub(crate) fn len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_it_wrote_and_knows_its_length(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            let mut at = 0;
            prop_assert_eq!(read(&out, &mut at), Some(value));
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn agrees_with_prost_on_any_bytes(bytes in prop::collection::vec(prop_oneof![0x80u8..=0xff, any::<u8>()], 0..12)) {
            let mut at = 0;
            let ours = read(&bytes, &mut at);
            let mut rest = &bytes[..];
            let theirs = prost::encoding::decode_varint(&mut rest).ok();
            prop_assert_eq!(ours, theirs);
            if ours.is_some() {
                prop_assert_eq!(at, bytes.len() - rest.len());
            }
        }
    }
}
