//! A connection's cursor: where an item stands in its list.
//!
//! Version, walk direction, the list's binding, the upstream page's cursor, the index in that page, how
//! many rows were seen up to it, the item's order value and id, the rows before it that share that value,
//! and a truncated HMAC over all of it; base64url. Resuming goes by the *item*, so rows that come and go
//! elsewhere neither repeat nor hide others; an offset, the rejected choice, does both. What this layer
//! did not write, or wrote for another list, is refused.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ties::Ties;
use crate::domain::global_id::IdKey;
use crate::domain::input::{BadInput, BadInputReason};

/// Written before everything else; a later layout gets another number.
const VERSION: u8 = 1;
/// In the number of ties: they are not whole.
const TIES_IN_PART: u8 = 0x80;
const BINDING_BYTES: usize = 8;
const MAC_BYTES: usize = 12;
/// Longer than any cursor of ours: an upstream's cursor of 4 KiB would already be no cursor.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Which way the scan ran that an item was met in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanDirection {
    /// As the connection's own order says.
    ListOrder,
    /// The other way round, from the list's end.
    Reversed,
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which way its scan ran.
    pub(crate) scan_direction: ScanDirection,
    /// The upstream's cursor of the page that holds it.
    pub(crate) page: Option<Arc<str>>,
    /// Its index in that page.
    pub(crate) index: u16,
    /// How many rows of the scan were seen up to it and with it; 0 where that is not known.
    pub(crate) seen: u32,
    /// The moment that the scan is ordered by, in microseconds; `None` where the item has none.
    pub(crate) order_micros: Option<i64>,
    /// The rows that share its order value and came before it.
    pub(crate) ties: Ties,
    /// The item's own id.
    pub(crate) id: Box<str>,
}

impl Cursor {
    /// The cursor as answers show it.
    pub(crate) fn encode(&self, binding: [u8; BINDING_BYTES], ids: &IdKey) -> String {
        let scan_direction = match self.scan_direction {
            ScanDirection::ListOrder => 0,
            ScanDirection::Reversed => 1,
        };
        let mut bytes = vec![VERSION, scan_direction];
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

    /// Reads a cursor of the scan with this binding.
    ///
    /// # Errors
    /// `BAD_CURSOR`, with the cause, for any other text.
    pub(crate) fn parse(text: &str, binding: [u8; BINDING_BYTES], ids: &IdKey) -> Result<Self, BadInput> {
        let refused = |cause: &str| {
            Err(BadInput::new(
                BadInputReason::BadCursor,
                format!(
                    "This cursor {cause}: give one that this list answered, as it was, or leave it out to begin again."
                ),
            ))
        };
        let damaged = || refused("is damaged, or was not made here");
        if text.len() > TEXT_BYTES_MAX {
            return damaged();
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else {
            return damaged();
        };
        let Some((signed, told)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return damaged();
        };
        if !same(&mac(ids, signed), told) {
            return damaged();
        }
        let Some(([version, scan_direction], rest)) = signed.split_first_chunk::<2>() else {
            return damaged();
        };
        let scan_direction = match (*version, *scan_direction) {
            (VERSION, 0) => ScanDirection::ListOrder,
            (VERSION, 1) => ScanDirection::Reversed,
            _ => return refused("is of another version of this service"),
        };
        let Some((bound, rest)) = rest.split_first_chunk::<BINDING_BYTES>() else {
            return damaged();
        };
        if *bound != binding {
            return refused("belongs to another list: its filter, its order or its parent was another one");
        }
        Self::read(scan_direction, rest).map_or_else(damaged, Ok)
    }

    fn read(scan_direction: ScanDirection, bytes: &[u8]) -> Option<Self> {
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
            seen: u32::from_be_bytes(*seen),
            order_micros: Some(i64::from_be_bytes(*micros)).filter(|micros| *micros != i64::MIN),
            ties: Ties { hashes, is_whole },
            id: std::str::from_utf8(id).ok()?.into(),
        })
    }
}

fn mac(ids: &IdKey, bytes: &[u8]) -> [u8; MAC_BYTES] {
    let mut truncated = [0; MAC_BYTES];
    for (byte, signed) in truncated.iter_mut().zip(ids.sign("cursor", &[bytes])) {
        *byte = signed;
    }
    truncated
}

/// Compares in a time that does not tell how much was right.
fn same(ours: &[u8; MAC_BYTES], theirs: &[u8; MAC_BYTES]) -> bool {
    ours.iter().zip(theirs).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
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
        fn a_cursor_reads_back_as_itself(
            page in proptest::option::of(".{0,60}"), index: u16, seen: u32, id in "ca_[a-z0-9]{1,400}",
            order_micros in proptest::option::of(0i64..4_000_000_000_000_000), opposite: bool,
            hashes in proptest::collection::vec(any::<u32>(), 0..=TIES_MAX), is_whole: bool,
        ) {
            let scan_direction = if opposite { ScanDirection::Reversed } else { ScanDirection::ListOrder };
            let ties = Ties { hashes, is_whole };
            let cursor = Cursor { scan_direction, index, seen, ties, ..cursor(page, order_micros, &id) };
            prop_assert_eq!(Cursor::parse(&cursor.encode(LIST, &key()), LIST, &key()).unwrap(), cursor);
        }

        #[test]
        fn a_mangled_cursor_is_refused(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
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

        /// Fuzzed past its signature, which nobody else can make.
        #[test]
        fn whatever_is_signed_is_no_cursor_or_prints_as_the_same_text(
            places in prop::array::uniform14(any::<u8>()), ties in 0..3_u8, flags: u8,
            rest in prop::collection::vec(any::<u8>(), 0..12), id in prop::option::of("[a-z\u{e9}]{0,4}"),
            page in prop::option::of((0..3_u8, prop::collection::vec(prop::num::u8::ANY, 0..4))),
        ) {
            let mut bytes = vec![VERSION, flags & 1];
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
        fn no_text_is_taken_for_a_cursor(text in ".{0,200}") {
            cause(&text, LIST);
        }
    }

    #[test]
    fn a_foreign_cursor_says_so() {
        let text = cursor(None, None, "ca_1").encode(LIST, &key());
        assert!(cause(&text, *b"another!").contains("another list"));
        assert!(Cursor::parse(&text, LIST, &IdKey::from_secret("other")).is_err());
    }

    #[test]
    fn an_old_cursor_says_so() {
        let mut bytes = vec![0, 0];
        bytes.extend(LIST);
        bytes.extend(mac(&key(), &bytes.clone()));
        assert!(cause(&URL_SAFE_NO_PAD.encode(bytes), LIST).contains("another version"));
    }
}
