//! Enums that the code defines, each variant with the text that stands for it in responses, logs or metrics.
//!
//! For the enums of upstreams, which may get new values, see [`super::open_enum`].

/// Declares an enum, the list `ALL` of its variants, and a method that returns the text of a variant.
macro_rules! text_enum {
    (
        $(#[$meta:meta])* pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
        }
        $(#[$method_meta:meta])* pub fn $method:ident;
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            $(#[$method_meta])*
            #[must_use]
            pub const fn $method(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}
pub(crate) use text_enum;
