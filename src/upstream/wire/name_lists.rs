//! Lists of names that many rows of a page have in common, stored once.

use std::sync::Arc;

/// Ends each name in a [`NameCollector`]. No name contains it.
const END: char = '\n';

/// Maximum number of lists that are shared. An upstream can send any number of different ones, and each new one is
/// compared with all of these.
const LISTS_MAX: usize = 32;

/// Collects distinct names in the order in which they are added, as one text.
#[derive(Default)]
pub(super) struct NameCollector {
    text: String,
    /// The end of each name, without its [`END`].
    ends: Vec<usize>,
}

impl NameCollector {
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Adds a name, unless it was added already.
    pub(super) fn add(&mut self, name: &str) {
        debug_assert!(!name.contains(END), "names have no line ends");
        if !self.names().any(|known| known == name.as_bytes()) {
            self.text.push_str(name);
            self.ends.push(self.text.len());
            self.text.push(END);
        }
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = self.text.as_bytes().get(start..*end).unwrap_or_default();
            start = end + END.len_utf8();
            name
        })
    }
}

/// A list of names that rows share.
type SharedNames = Arc<[Box<str>]>;

/// The lists of one page.
#[derive(Default)]
pub(super) struct NameLists {
    /// Each list, and its names as one text.
    lists: Vec<(Box<str>, SharedNames)>,
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
    pub(super) fn list(&mut self, names: NameCollector) -> SharedNames {
        self.spare = names;
        let text = &*self.spare.text;
        if let Some((_, list)) = self.lists.iter().find(|(known, _)| **known == *text) {
            return Arc::clone(list);
        }
        let list: SharedNames = text.split_terminator(END).map(Box::from).collect();
        if self.lists.len() < LISTS_MAX {
            self.lists.push((text.into(), Arc::clone(&list)));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lists: &mut NameLists, names: &[&str]) -> Arc<[Box<str>]> {
        let mut text = lists.begin();
        names.iter().for_each(|name| text.add(name));
        lists.list(text)
    }

    #[test]
    fn equal_lists_are_stored_once() {
        let mut lists = NameLists::default();
        let (first, other) = (list(&mut lists, &["a", "", "b", "a"]), list(&mut lists, &["b", "a"]));
        assert_eq!((first.join("|"), other.join("|")), ("a||b".to_owned(), "b|a".to_owned()));
        assert!(Arc::ptr_eq(&first, &list(&mut lists, &["a", "", "b"])));
        assert!(list(&mut lists, &[]).is_empty());
    }

    #[test]
    fn the_number_of_stored_lists_is_bounded() {
        let mut lists = NameLists::default();
        let names: Vec<_> = (0..2 * LISTS_MAX).map(|number| number.to_string()).collect();
        for name in &names {
            assert_eq!(list(&mut lists, &[name.as_str()]).join(""), *name);
        }
        assert_eq!(lists.lists.len(), LISTS_MAX);
    }
}
