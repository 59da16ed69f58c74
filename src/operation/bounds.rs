//! Bounds on a document's depth and width, checked before anything walks it with its fragments spread out.
//!
//! A few hundred bytes of fragments that spread each other twice stand for billions of fields, and validation walks all
//! fragments once for each operation. So the parsed text is measured before validation: each fragment once, which costs
//! what the text costs. A document within the bounds is validated in a time that is linear in its tokens. Entry point:
//! [`check`], called by [`super::document`].

use std::collections::HashMap;

use apollo_compiler::ast::{Definition, Document, Selection};

/// Selection sets that may be nested, fragments counted: the executor's own bound.
pub(crate) const MAX_DEPTH: usize = 32;

/// Selections of all operations of a document, fragments spread out. GraphiQL's introspection has some 150.
pub(crate) const MAX_SELECTIONS: usize = 10_000;

/// Operations of a document.
pub(crate) const MAX_OPERATIONS: usize = 50;

/// Size of a selection set with its fragments spread out.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    selections: usize,
}

/// Why a document is too large; its `Display` is for the client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLarge {
    #[error("The operation nests selections more than {MAX_DEPTH} levels deep, fragments counted.")]
    Deep,
    #[error("The document has more than {MAX_OPERATIONS} operations.")]
    Many,
    #[error(
        "The document has more than {MAX_SELECTIONS} selections in all its operations, fragments spread out."
    )]
    Wide,
}

impl TooLarge {
    /// Its `extensions.reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Deep => "DEPTH",
            Self::Many => "OPERATIONS",
            Self::Wide => "SELECTIONS",
        }
    }
}

/// Measures a document that is parsed but not validated.
///
/// # Errors
/// The first bound that it exceeds.
pub(crate) fn check(document: &Document) -> Result<(), TooLarge> {
    let mut measure = Measure { definitions: HashMap::new(), sizes: HashMap::new() };
    let mut operations = Vec::new();
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(&operation.selection_set),
            Definition::FragmentDefinition(fragment) => {
                // A second fragment of the name is a validation error, and is measured like the first.
                measure.definitions.entry(&fragment.name).or_default().push(&fragment.selection_set);
            }
            _ => {}
        }
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(TooLarge::Many);
    }
    let mut selections = 0_usize;
    for operation in operations {
        selections = selections.saturating_add(measure.set(operation, MAX_DEPTH)?.selections);
    }
    // Validation walks the fragments that no operation spreads, too.
    let fragments: Vec<&str> = measure.definitions.keys().copied().collect();
    for name in fragments {
        measure.fragment(name, MAX_DEPTH)?;
    }
    if selections > MAX_SELECTIONS { Err(TooLarge::Wide) } else { Ok(()) }
}

struct Measure<'a> {
    definitions: HashMap<&'a str, Vec<&'a Vec<Selection>>>,
    /// None while a fragment is being measured: it spreads itself then, which validation refuses.
    sizes: HashMap<&'a str, Option<Size>>,
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a [Selection], levels_left: usize) -> Result<Size, TooLarge> {
        let mut size = Size::default();
        for selection in set {
            let inner = match selection {
                Selection::Field(field) if field.selection_set.is_empty() => None,
                Selection::Field(field) => Some(self.nested(&field.selection_set, levels_left)?),
                Selection::InlineFragment(inline) => Some(self.nested(&inline.selection_set, levels_left)?),
                Selection::FragmentSpread(spread) => Some(self.fragment(&spread.fragment_name, levels_left)?),
            };
            size.selections = size.selections.saturating_add(1);
            if let Some(inner) = inner {
                size.selections = size.selections.saturating_add(inner.selections);
                size.depth = size.depth.max(inner.depth + 1);
            }
        }
        if size.selections > MAX_SELECTIONS { Err(TooLarge::Wide) } else { Ok(size) }
    }

    fn nested(&mut self, set: &'a [Selection], levels_left: usize) -> Result<Size, TooLarge> {
        self.set(set, levels_left.checked_sub(1).ok_or(TooLarge::Deep)?)
    }

    fn fragment(&mut self, name: &'a str, levels_left: usize) -> Result<Size, TooLarge> {
        match self.sizes.get(name) {
            Some(Some(size)) if size.depth < levels_left => return Ok(*size),
            Some(Some(_)) => return Err(TooLarge::Deep),
            Some(None) => return Ok(Size::default()),
            None => {}
        }
        self.sizes.insert(name, None);
        let mut size = Size::default();
        for set in self.definitions.get(name).cloned().unwrap_or_default() {
            let one = self.nested(set, levels_left)?;
            size = Size { depth: size.depth.max(one.depth), selections: size.selections.max(one.selections) };
        }
        self.sizes.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), TooLarge> {
        check(&Document::parse(text, "document").unwrap())
    }

    fn nested(levels: usize) -> String {
        format!("{{ {}b{} }}", "a { ".repeat(levels), " }".repeat(levels))
    }

    #[test]
    fn depth_is_counted_with_fragments_as_the_executor_counts() {
        assert_eq!(checked(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(checked(&nested(MAX_DEPTH + 1)), Err(TooLarge::Deep));
        let through = |levels| format!("{{ ...F }} fragment F on Query {}", nested(levels));
        assert_eq!(checked(&through(MAX_DEPTH - 1)), Ok(()));
        assert_eq!(checked(&through(MAX_DEPTH)), Err(TooLarge::Deep));
        let known = |levels| format!("{{ ...F a {{ ...F }} }} fragment F on Query {}", nested(levels));
        assert_eq!(checked(&known(MAX_DEPTH - 2)), Ok(()));
        assert_eq!(checked(&known(MAX_DEPTH - 1)), Err(TooLarge::Deep));
    }

    #[test]
    fn fragments_that_double_each_other_are_refused_without_being_spread_out() {
        let doubling: String = (0..13)
            .map(|i| {
                format!("fragment F{i} on Query {{ x: a {{ ...F{n} }} y: a {{ ...F{n} }} }} ", n = i + 1)
            })
            .collect();
        let refused = checked(&format!("{{ ...F0 }} {doubling} fragment F13 on Query {{ b }}"));
        assert_eq!(refused, Err(TooLarge::Wide));
        assert_eq!(
            checked(&format!("{{ b }} {doubling} fragment F13 on Query {{ b }}")),
            Err(TooLarge::Wide)
        );
    }

    #[test]
    fn selections_of_all_operations_are_added_up() {
        let operations = |count: usize| -> String {
            (0..count).map(|number| format!("query q{number} {{ ...F }} ")).collect()
        };
        let fragment = format!("fragment F on Query {{ {} }}", "b ".repeat(999));
        assert_eq!(checked(&(operations(10) + &fragment)), Ok(()));
        assert_eq!(checked(&(operations(11) + &fragment)), Err(TooLarge::Wide));
        assert_eq!(checked(&operations(51)), Err(TooLarge::Many));
    }

    #[test]
    fn fragments_that_spread_themselves_or_do_not_exist_are_left_to_validation() {
        assert_eq!(
            checked("{ ...F ...Gone } fragment F on Query { a { ...G } } fragment G on Query { ...F }"),
            Ok(())
        );
    }
}
