//! Words that an upstream uses for a closed idea, and may add to at any time.
//!
//! Both upstreams' enums grew within a year (UPSTREAMS.md A3), so every one is open: a known word
//! becomes a variant, an unknown one is kept raw. The rejected choice was to fail on a new word,
//! which loses a page for one letter.

use std::fmt::Debug;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of words that this layer knows.
pub trait OpenEnum: Copy + Eq + Debug + Send + Sync + 'static {
    /// What an unknown word stands for.
    const UNKNOWN: Self;

    /// The variant of a word, spelt exactly as the upstream spells it.
    fn parse_known(word: &str) -> Option<Self>;

    /// The upstream's spelling; empty for [`Self::UNKNOWN`], which no upstream spells.
    fn as_str(self) -> &'static str;
}

/// One word of an upstream: known, or kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenValue<V> {
    /// A word that this layer knows.
    Known(V),
    /// Any other, raw.
    Other(Box<str>),
}

impl<V: OpenEnum> OpenValue<V> {
    /// Reads a word as the upstream wrote it.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        V::parse_known(word).map_or_else(|| Self::Other(word.into()), Self::Known)
    }

    /// The variant; [`OpenEnum::UNKNOWN`] for a word that is not known.
    #[must_use]
    pub fn kind(&self) -> V {
        match self {
            Self::Known(known) => *known,
            Self::Other(_) => V::UNKNOWN,
        }
    }

    /// How many bytes it holds outside of itself.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::Other(raw) => raw.len(),
        }
    }

    /// The word in the upstream's own spelling.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Known(known) => known.as_str(),
            Self::Other(raw) => raw,
        }
    }
}

/// In the upstream's own spelling, so that a word which another version does not know stays what it is.
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

/// Declares an enum and its [`OpenEnum`] from one list.
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
    fn a_known_word_is_its_variant_and_an_unknown_one_stays_raw() {
        let known = OpenValue::<AccountStatus>::parse("EXPIRED");
        assert_eq!((known.kind(), known.raw()), (AccountStatus::Expired, "EXPIRED"));
        let new = OpenValue::<AccountStatus>::parse("PAUSED");
        assert_eq!((new.kind(), new.raw()), (AccountStatus::Unknown, "PAUSED"));
        assert_eq!((known.weight_bytes(), new.weight_bytes()), (0, "PAUSED".len()));
        let near = OpenValue::<AccountStatus>::parse("expired");
        assert_eq!((near.kind(), near.raw()), (AccountStatus::Unknown, "expired"));
    }
}
