//! Lists of names that many rows of a page have in common, stored once.

use std::sync::Arc;

/// Ends each name in a [`NameCollector`]. No name contains it.
const END: char = '\n';

/// Maximum number of lists that are shared. An upstream can send any number of different ones, and each new one is
/// compared with all of these.
const LISTS_MAX: usize = 32;

/// Collects distinct names in the order in which they are added, as one text: it needs one piece of memory for any
/// number of names.
#[derive(Default)]
pub(super) struct NameCollector {
    text: String,
    count: usize,
}

impl NameCollector {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds a name, unless it was added already.
    pub(super) fn add(&mut self, name: &str) {
        debug_assert!(!name.contains(END), "names have no line ends");
        if !self.names().any(|known| known == name) {
            self.text.push_str(name);
            self.text.push(END);
            self.count += 1;
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator(END)
    }
}

/// The lists of one page.
#[derive(Default)]
pub(super) struct NameLists(Vec<(NameCollector, Arc<[Box<str>]>)>);

impl NameLists {
    /// Returns the names as a list. Equal names share one, if they are among the first [`LISTS_MAX`] different lists.
    pub(super) fn list(&mut self, names: NameCollector) -> Arc<[Box<str>]> {
        if let Some((_, list)) = self.0.iter().find(|(known, _)| known.text == names.text) {
            return Arc::clone(list);
        }
        let list: Arc<[Box<str>]> = names.names().map(Box::from).collect();
        if self.0.len() < LISTS_MAX {
            self.0.push((names, Arc::clone(&list)));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lists: &mut NameLists, names: &[&str]) -> Arc<[Box<str>]> {
        let mut text = NameCollector::default();
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
        assert_eq!(lists.0.len(), LISTS_MAX);
    }
}
