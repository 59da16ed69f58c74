//! Enums of the upstreams, which may get new values at any time.
//!
//! Both upstreams' enums grew within a year (docs/upstreams.md#composio-account), so all of them are open: a known
//! value becomes a variant, and an unknown value is stored as text. Rejected: failing on a new value. One row with a
//! new value would make the whole page unreadable.

use std::fmt::Debug;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum of values that this version knows.
pub trait OpenEnum: Copy + Eq + Debug + Send + Sync + 'static {
    /// The variants for known values.
    const KNOWN: &'static [Self];
    /// The variant for an unknown value.
    const UNKNOWN: Self;

    /// Returns the variant of a value (exact comparison).
    fn parse_known(word: &str) -> Option<Self>;

    /// Returns the upstream's spelling; empty for [`Self::UNKNOWN`].
    fn as_str(self) -> &'static str;
}

/// A value of an open enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenValue<V> {
    /// A value that this version knows.
    Known(V),
    /// Any other value, as text.
    Other(Box<str>),
}

impl<V: OpenEnum> OpenValue<V> {
    /// Reads a value as the upstream spells it.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        V::parse_known(word).map_or_else(|| Self::Other(word.into()), Self::Known)
    }

    /// Returns the variant; [`OpenEnum::UNKNOWN`] if the value is not known.
    #[must_use]
    pub fn kind(&self) -> V {
        match self {
            Self::Known(known) => *known,
            Self::Other(_) => V::UNKNOWN,
        }
    }

    /// Returns the heap use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::Other(raw) => raw.len(),
        }
    }

    /// Returns the value as the upstream spells it.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Known(known) => known.as_str(),
            Self::Other(raw) => raw,
        }
    }
}

/// Serializes the upstream's spelling, so that a replica of another version can read a value that it does not know.
impl<V: OpenEnum> Serialize for OpenValue<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.raw())
    }
}

impl<'de, V: OpenEnum> Deserialize<'de> for OpenValue<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(deserializer).map(|word| Self::parse(&word))
    }
}

/// Declares an enum and implements [`OpenEnum`] for it.
macro_rules! open_enum {
    (
        $(#[$meta:meta])* $name:ident, unknown: $(#[$unknown_meta:meta])* $unknown:ident,
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* #[doc = concat!("`", $word, "`")] $variant,)+
            $(#[$unknown_meta])* $unknown,
        }

        impl $crate::domain::open_enum::OpenEnum for $name {
            const KNOWN: &'static [Self] = &[$(Self::$variant),+];
            const UNKNOWN: Self = Self::$unknown;

            fn parse_known(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::$unknown => "",
                }
            }
        }
    };
}
pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accounts::AccountStatus;

    #[test]
    fn known_values_become_variants_and_unknown_values_stay_text() {
        let known = OpenValue::<AccountStatus>::parse("EXPIRED");
        assert_eq!((known.kind(), known.raw()), (AccountStatus::Expired, "EXPIRED"));
        let new = OpenValue::<AccountStatus>::parse("PAUSED");
        assert_eq!((new.kind(), new.raw()), (AccountStatus::Unknown, "PAUSED"));
        assert_eq!((known.weight_bytes(), new.weight_bytes()), (0, "PAUSED".len()));
        let near = OpenValue::<AccountStatus>::parse("expired");
        assert_eq!((near.kind(), near.raw()), (AccountStatus::Unknown, "expired"));
    }
}
