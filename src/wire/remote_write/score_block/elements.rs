//! The two kinds of snappy elements that are written (format description, sections 2.1 and 2.2).

/// The longest copy of one element.
const COPY: usize = 64;

/// Writes a copy of `len` bytes that stand `offset` bytes back: elements with two-byte offsets (tag 10).
#[inline]
pub(super) fn write_copy(out: &mut Vec<u8>, offset: usize, len: usize) {
    // The offset is the same for all elements of a copy: source and target move on together.
    let [low, high] = (offset as u16).to_le_bytes();
    let mut left = len;
    while left > 0 {
        let len = left.min(COPY);
        out.extend_from_slice(&[((len - 1) << 2) as u8 | 2, low, high]);
        left -= len;
    }
}

/// Writes a literal (tag 00): its length less one in the tag up to 60, else in bytes behind.
pub(super) fn write_literal(out: &mut Vec<u8>, bytes: &[u8]) {
    let Some(len) = bytes.len().checked_sub(1) else { return };
    if len < 60 {
        out.push((len << 2) as u8);
    } else {
        let digits = (len as u32).to_le_bytes();
        let used = 4 - (len as u32).leading_zeros() as usize / 8;
        out.push(((59 + used) << 2) as u8);
        out.extend_from_slice(&digits[..used]);
    }
    out.extend_from_slice(bytes);
}
