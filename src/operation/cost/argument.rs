//! Arguments and numbers of the cost computation.
//!
//! Costs are computed in `f64`, which saturates instead of overflowing, and rounded up at the end.

/// The part of an argument's value that the cost depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Argument {
    /// Omitted, or null.
    None,
    Number(f64),
    /// A list of this many items.
    Items(usize),
    Boolean(bool),
    Other,
}

impl Argument {
    /// Creates the value of a number; `Other` without one.
    pub(super) fn number(number: Option<f64>) -> Self {
        number.map_or(Self::Other, |number| Self::Number(number.max(0.0)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths lie far below 2^52")]
pub(super) fn to_f64(number: usize) -> f64 {
    number as f64
}

/// Rounds a cost up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates, as is meant")]
pub(super) fn rounded_up(number: f64) -> u64 {
    number.ceil() as u64
}
