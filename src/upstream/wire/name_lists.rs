//! Lists of names that many rows of a page have in common, stored once.

use crate::domain::connection_state::WithheldNames;

/// Maximum number of lists that are shared. An upstream can send any number of different ones, and each new one is
/// compared with all of these.
const LISTS_MAX: usize = 32;

/// Collects distinct names in the order in which they are added, as one text.
#[derive(Default)]
pub(super) struct NameCollector {
    text: String,
    /// The end of each name, without its [`WithheldNames::END`].
    ends: Vec<usize>,
}

impl NameCollector {
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Adds a name, unless it was added already.
    pub(super) fn add(&mut self, name: &str) {
        debug_assert!(!name.contains(WithheldNames::END), "names have no line ends");
        if !self.names().any(|known| known == name.as_bytes()) {
            self.text.push_str(name);
            self.ends.push(self.text.len());
            self.text.push(WithheldNames::END);
        }
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = self.text.as_bytes().get(start..*end).unwrap_or_default();
            start = end + WithheldNames::END.len_utf8();
            name
        })
    }
}

/// The lists of one page.
#[derive(Default)]
pub(super) struct NameLists {
    lists: Vec<WithheldNames>,
    /// The memory of the last [`NameCollector`], for the next one.
    spare: NameCollector,
}

impl NameLists {
    /// Returns an empty collector for the names of one row.
    pub(super) fn begin(&mut self) -> NameCollector {
        let mut names = std::mem::take(&mut self.spare);
        names.text.clear();
        names.ends.clear();
        names
    }

    /// Returns the names as a list. Equal names share one, if they are among the first [`LISTS_MAX`] different lists.
    pub(super) fn list(&mut self, names: NameCollector) -> WithheldNames {
        self.spare = names;
        let text = &*self.spare.text;
        if let Some(list) = self.lists.iter().find(|list| list.text() == text) {
            return list.clone();
        }
        let list = WithheldNames::from_text(text);
        if self.lists.len() < LISTS_MAX {
            self.lists.push(list.clone());
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lists: &mut NameLists, names: &[&str]) -> WithheldNames {
        let mut text = lists.begin();
        names.iter().for_each(|name| text.add(name));
        lists.list(text)
    }

    #[test]
    fn equal_lists_are_stored_once() {
        let mut lists = NameLists::default();
        let (first, other) = (list(&mut lists, &["a", "", "b", "a"]), list(&mut lists, &["b", "a"]));
        assert!(first.iter().eq(["a", "", "b"]) && other.iter().eq(["b", "a"]), "{first:?} {other:?}");
        assert!(std::ptr::eq(first.text(), list(&mut lists, &["a", "", "b"]).text()));
        assert!(list(&mut lists, &[]).iter().eq([""; 0]));
    }

    #[test]
    fn the_number_of_stored_lists_is_bounded() {
        let mut lists = NameLists::default();
        let names: Vec<_> = (0..2 * LISTS_MAX).map(|number| number.to_string()).collect();
        for name in &names {
            assert!(list(&mut lists, &[name.as_str()]).iter().eq([name]));
        }
        assert_eq!(lists.lists.len(), LISTS_MAX);
    }
}
