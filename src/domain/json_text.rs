//! Strings of JSON (RFC 8259, 7).

/// Returns the number of bytes before the first that a string cannot contain as it is: a quotation mark, a backslash or
/// a control character. Compares eight bytes at once.
#[inline(always)]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        // `(x - n) & !x` sets the high bit of each byte of `x` that is below `n`. A borrow can set it wrongly in higher
        // bytes, but the lowest high bit that is set is right, and only that one is used. Flipping the bit 0x02 turns
        // the quotation mark (0x22) into 0x20 and keeps control characters below 0x20, so one comparison with 0x21
        // finds both. A backslash (0x5c) is the byte that is below 1 after an XOR with 0x5c.
        let (flipped, zero_at_backslash) = (word ^ (ONES * 2), word ^ (ONES * 0x5c));
        let below_mask = flipped.wrapping_sub(ONES * 0x21) & !flipped;
        let backslash_mask = zero_at_backslash.wrapping_sub(ONES) & !zero_at_backslash;
        let found = (below_mask | backslash_mask) & (ONES * 0x80);
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + rest.iter().take_while(|byte| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_length_ends_at_the_first_byte_that_needs_an_escape(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let needs_escape = |byte: &u8| *byte < 0x20 || matches!(*byte, b'"' | b'\\');
            let first = bytes.iter().position(needs_escape).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), first);
        }
    }
}
