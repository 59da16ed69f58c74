//! Deterministic pseudorandom numbers.
//!
//! Each number is the hash of another one by the finalizer of SplitMix64 (Steele, Lea, Flood 2014), a bijection of 64
//! bits. So the fields of a row follow from its serial number, without state. Rejected: a crate, whose sequences may
//! change between versions.

/// Hashes `n` to 64 bits.
pub(super) fn scatter(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns an element of `all`, chosen by `n`; the empty string if the list is empty.
pub(super) fn pick(all: &[&'static str], n: u64) -> &'static str {
    let index = n.checked_rem(all.len() as u64).unwrap_or_default();
    all.get(index as usize).copied().unwrap_or_default()
}

/// Returns a UUID derived from `n`.
pub(super) fn uuid(n: u64) -> String {
    let (a, b) = (scatter(n), scatter(!n));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | ((b >> 48) & 0x3fff),
        b & 0xffff_ffff_ffff
    )
}
