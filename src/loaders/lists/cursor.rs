//! Cursors of connections: the position of an item in its list.
//!
//! A cursor is base64url of: a version, the scan direction with flags, the binding to its list, the index in the
//! upstream page, the number of rows up to the item, the item's timestamp, its ties and id, the upstream's cursor of the
//! page, and a truncated HMAC. A cursor that this service did not create, or created for another list, is rejected.
//!
//! A read continues after the *item*, so rows that are added or removed elsewhere are neither repeated nor skipped.
//! Rejected: an offset, which does both.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::ties::Ties;
use crate::domain::global_id::IdKey;
use crate::domain::input::{BadInput, BadInputReason};

/// First byte of every cursor. It changes with the layout.
const VERSION: u8 = 1;
/// Flag in the byte with the scan direction: the list's pages overlap.
const PAGES_OVERLAP: u8 = 0x02;
/// Flag in the byte with the number of ties: the ties are not complete.
const TIES_IN_PART: u8 = 0x80;
const BINDING_BYTES: usize = 8;
const MAC_BYTES: usize = 12;
/// Maximum length of a cursor. A cursor with an upstream cursor of 4 KiB is shorter.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Direction of the scan in which an item was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanDirection {
    /// In the order of the connection.
    ListOrder,
    /// In the opposite order, from the end of the list.
    Reversed,
}

/// Position of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Direction of its scan.
    pub(crate) scan_direction: ScanDirection,
    /// Upstream cursor of its page.
    pub(crate) page: Option<Arc<str>>,
    /// Its index in that page.
    pub(crate) index: u16,
    /// Whether pages up to this one repeat rows. A read from this page could not recognize rows of the pages before it.
    /// It therefore starts at the first page if it goes back, or if the cursor is not exact.
    pub(crate) pages_overlap: bool,
    /// Number of rows of the scan up to and including it; 0 if unknown.
    pub(crate) seen: u32,
    /// Timestamp by which the scan is ordered, in microseconds; `None` if the item has none.
    pub(crate) order_micros: Option<i64>,
    /// Preceding rows with the same order value.
    pub(crate) ties: Ties,
    /// Id of the item.
    pub(crate) id: Box<str>,
}

impl Cursor {
    /// Whether the timestamp and the ties alone tell which rows with a timestamp precede the item.
    pub(crate) fn is_exact(&self) -> bool {
        self.order_micros.is_some() && self.ties.is_whole
    }

    /// Encodes the cursor for a response.
    pub(crate) fn encode(&self, binding: [u8; BINDING_BYTES], ids: &IdKey) -> String {
        let scan_direction = match self.scan_direction {
            ScanDirection::ListOrder => 0,
            ScanDirection::Reversed => 1,
        };
        let flags = if self.pages_overlap { PAGES_OVERLAP } else { 0 };
        let mut bytes = vec![VERSION, scan_direction | flags];
        bytes.extend(binding);
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(self.seen.to_be_bytes());
        bytes.extend(self.order_micros.unwrap_or(i64::MIN).to_be_bytes());
        let Ties { hashes, is_whole } = &self.ties;
        let in_part = if *is_whole { 0 } else { TIES_IN_PART };
        bytes.push(u8::try_from(hashes.len()).unwrap_or(0) | in_part);
        for hash in hashes {
            bytes.extend(hash.to_be_bytes());
        }
        let id_bytes = u16::try_from(self.id.len()).unwrap_or(u16::MAX);
        bytes.extend(id_bytes.to_be_bytes());
        bytes.extend(self.id.bytes().take(usize::from(id_bytes)));
        if let Some(page) = &self.page {
            bytes.push(1);
            bytes.extend(page.bytes());
        }
        let mac = mac(ids, &bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses a cursor of the scan with this binding.
    ///
    /// # Errors
    /// `BAD_CURSOR` with the cause, for any other text.
    pub(crate) fn parse(text: &str, binding: [u8; BINDING_BYTES], ids: &IdKey) -> Result<Self, BadInput> {
        let refused = |cause: &str| {
            Err(BadInput::new(
                BadInputReason::BadCursor,
                format!(
                    "This cursor {cause}. Pass a cursor that this list returned, unchanged, or omit it to start from the beginning."
                ),
            ))
        };
        let damaged = || refused("is damaged or was not created by this service");
        if text.len() > TEXT_BYTES_MAX {
            return damaged();
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else {
            return damaged();
        };
        let Some((signed, received)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return damaged();
        };
        // In constant time, which reveals nothing about the number of equal bytes.
        if !bool::from(mac(ids, signed).ct_eq(received)) {
            return damaged();
        }
        let Some(([version, flags], rest)) = signed.split_first_chunk::<2>() else {
            return damaged();
        };
        let scan_direction = match (*version, *flags & !PAGES_OVERLAP) {
            (VERSION, 0) => ScanDirection::ListOrder,
            (VERSION, 1) => ScanDirection::Reversed,
            _ => return refused("is of another version of this service"),
        };
        let Some((bound, rest)) = rest.split_first_chunk::<BINDING_BYTES>() else {
            return damaged();
        };
        if *bound != binding {
            return refused("belongs to another list, with another filter, order or parent");
        }
        let pages_overlap = flags & PAGES_OVERLAP != 0;
        Self::read(scan_direction, pages_overlap, rest).map_or_else(damaged, Ok)
    }

    fn read(scan_direction: ScanDirection, pages_overlap: bool, bytes: &[u8]) -> Option<Self> {
        let (index, bytes) = bytes.split_first_chunk::<2>()?;
        let (seen, bytes) = bytes.split_first_chunk::<4>()?;
        let (micros, bytes) = bytes.split_first_chunk::<8>()?;
        let (ties, bytes) = bytes.split_first()?;
        let is_whole = ties & TIES_IN_PART == 0;
        let (ties, bytes) = bytes.split_at_checked(usize::from(ties & !TIES_IN_PART) * 4)?;
        let (id_bytes, bytes) = bytes.split_first_chunk::<2>()?;
        let (id, page) = bytes.split_at_checked(usize::from(u16::from_be_bytes(*id_bytes)))?;
        let page = match page.split_first() {
            None => None,
            Some((1, page)) => Some(std::str::from_utf8(page).ok()?.into()),
            Some(_) => return None,
        };
        let hashes = ties.as_chunks::<4>().0.iter().map(|hash| u32::from_be_bytes(*hash)).collect();
        Some(Self {
            scan_direction,
            page,
            index: u16::from_be_bytes(*index),
            pages_overlap,
            seen: u32::from_be_bytes(*seen),
            order_micros: Some(i64::from_be_bytes(*micros)).filter(|micros| *micros != i64::MIN),
            ties: Ties { hashes, is_whole },
            id: std::str::from_utf8(id).ok()?.into(),
        })
    }
}

fn mac(ids: &IdKey, bytes: &[u8]) -> [u8; MAC_BYTES] {
    ids.sign("cursor", &[bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaders::lists::ties::TIES_MAX;
    use proptest::prelude::*;

    const LIST: [u8; 8] = *b"the list";

    fn key() -> IdKey {
        IdKey::from_secret("test")
    }

    fn cursor(page: Option<String>, order_micros: Option<i64>, id: &str) -> Cursor {
        let page = page.map(Into::into);
        Cursor {
            scan_direction: ScanDirection::ListOrder,
            page,
            index: 7,
            pages_overlap: false,
            seen: 8,
            order_micros,
            ties: Ties::NONE,
            id: id.into(),
        }
    }

    fn cause(text: &str, list: [u8; 8]) -> String {
        let refused = Cursor::parse(text, list, &key()).unwrap_err();
        assert_eq!(refused.reason, BadInputReason::BadCursor);
        refused.message
    }

    proptest! {
        #[test]
        fn an_encoded_cursor_parses_to_itself(
            page in proptest::option::of(".{0,60}"), index: u16, seen: u32, id in "ca_[a-z0-9]{1,400}",
            order_micros in proptest::option::of(0i64..4_000_000_000_000_000), opposite: bool, pages_overlap: bool,
            hashes in proptest::collection::vec(any::<u32>(), 0..=TIES_MAX), is_whole: bool,
        ) {
            let scan_direction = if opposite { ScanDirection::Reversed } else { ScanDirection::ListOrder };
            let ties = Ties { hashes, is_whole };
            let cursor = Cursor { scan_direction, index, pages_overlap, seen, ties, ..cursor(page, order_micros, &id) };
            prop_assert_eq!(Cursor::parse(&cursor.encode(LIST, &key()), LIST, &key()).unwrap(), cursor);
        }

        #[test]
        fn a_damaged_cursor_is_rejected(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let whole = cursor(Some("page".into()), Some(1_000_000), "ca_1").encode(LIST, &key());
            let mut bytes = whole.clone().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text != whole {
                prop_assert!(cause(&text, LIST).contains("damaged"));
            }
            let cut: String = whole.chars().take(cut.index(whole.len())).collect();
            prop_assert!(cause(&cut, LIST).contains("damaged"));
        }

        /// The bytes are signed with the right key, so that the test reaches the parser behind the signature check.
        #[test]
        fn signed_bytes_are_rejected_or_encode_to_the_same_text(
            places in prop::array::uniform14(any::<u8>()), ties in 0..3_u8, flags: u8,
            rest in prop::collection::vec(any::<u8>(), 0..12), id in prop::option::of("[a-z\u{e9}]{0,4}"),
            page in prop::option::of((0..3_u8, prop::collection::vec(prop::num::u8::ANY, 0..4))),
        ) {
            let mut bytes = vec![VERSION, flags & (1 | PAGES_OVERLAP)];
            bytes.extend(LIST);
            bytes.extend(places);
            bytes.push(ties | (flags & TIES_IN_PART));
            match id {
                None => bytes.extend(rest),
                Some(id) => {
                    bytes.extend(vec![7; usize::from(ties) * 4]);
                    bytes.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
                    bytes.extend(id.bytes());
                    bytes.extend(page.into_iter().flat_map(|(mark, page)| [vec![mark], page].concat()));
                }
            }
            bytes.extend(mac(&key(), &bytes.clone()));
            let text = URL_SAFE_NO_PAD.encode(bytes);
            if let Ok(cursor) = Cursor::parse(&text, LIST, &key()) {
                prop_assert_eq!(cursor.encode(LIST, &key()), text);
            }
        }

        #[test]
        fn random_text_is_rejected(text in ".{0,200}") {
            cause(&text, LIST);
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_rejected_with_that_cause() {
        let text = cursor(None, None, "ca_1").encode(LIST, &key());
        assert!(cause(&text, *b"another!").contains("another list"));
        assert!(Cursor::parse(&text, LIST, &IdKey::from_secret("other")).is_err());
    }

    #[test]
    fn a_cursor_of_another_version_is_rejected_with_that_cause() {
        let mut bytes = vec![0, 0];
        bytes.extend(LIST);
        bytes.extend(mac(&key(), &bytes.clone()));
        assert!(cause(&URL_SAFE_NO_PAD.encode(bytes), LIST).contains("another version"));
    }
}
