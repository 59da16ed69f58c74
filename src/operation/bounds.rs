//! How deep and how wide a document may be before anything walks it with its fragments spread out.
//!
//! A few hundred bytes of fragments that spread each other twice stand for billions of fields. Each
//! fragment is measured once here, so that measuring costs what the text costs. The executor's own
//! check of depth walks every spread, and what it refuses would arrive as an error of a field.

use std::collections::HashMap;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Document;
use apollo_compiler::executable::{Selection, SelectionSet};

/// How many selection sets may lie in each other, fragments counted: the executor's own bound.
pub(crate) const MAX_DEPTH: usize = 32;

/// How many selections an operation may have, fragments spread out. GraphiQL's introspection has some 150.
pub(crate) const MAX_SELECTIONS: usize = 10_000;

/// How many operations a document may have: each is judged with all its fragments, so a few thousand tokens of both could
/// come to half a million errors.
pub(crate) const MAX_OPERATIONS: usize = 50;

/// What a selection set comes to with its fragments spread out.
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
    #[error("The operation has more than {MAX_SELECTIONS} selections, fragments spread out.")]
    Wide,
}

impl TooLarge {
    /// The word for it in `extensions.reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Deep => "DEPTH",
            Self::Many => "OPERATIONS",
            Self::Wide => "SELECTIONS",
        }
    }
}

/// Counts the operations of a document that nobody has judged yet.
pub(crate) fn check_operations(document: &Document) -> Result<(), TooLarge> {
    let operations = document.definitions.iter().filter(|one| one.as_operation_definition().is_some());
    if operations.count() > MAX_OPERATIONS { Err(TooLarge::Many) } else { Ok(()) }
}

/// Measures every operation of a document that is valid, so that its fragments form no cycle.
pub(crate) fn check(document: &ExecutableDocument) -> Result<(), TooLarge> {
    let mut ruler = Ruler { document, fragments: HashMap::new() };
    for operation in document.operations.iter() {
        ruler.measure(&operation.selection_set, MAX_DEPTH)?;
    }
    Ok(())
}

struct Ruler<'a> {
    document: &'a ExecutableDocument,
    fragments: HashMap<&'a str, Size>,
}

impl<'a> Ruler<'a> {
    fn measure(&mut self, set: &'a SelectionSet, levels_left: usize) -> Result<Size, TooLarge> {
        let mut size = Size::default();
        for selection in &set.selections {
            let inner = match selection {
                Selection::Field(field) if field.selection_set.is_empty() => None,
                Selection::Field(field) => Some(self.deeper(&field.selection_set, levels_left)?),
                Selection::InlineFragment(inline) => Some(self.deeper(&inline.selection_set, levels_left)?),
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

    fn deeper(&mut self, set: &'a SelectionSet, levels_left: usize) -> Result<Size, TooLarge> {
        self.measure(set, levels_left.checked_sub(1).ok_or(TooLarge::Deep)?)
    }

    fn fragment(&mut self, name: &'a str, levels_left: usize) -> Result<Size, TooLarge> {
        if let Some(&known) = self.fragments.get(name) {
            return if known.depth < levels_left { Ok(known) } else { Err(TooLarge::Deep) };
        }
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else { return Ok(Size::default()) };
        let size = self.deeper(&fragment.selection_set, levels_left)?;
        self.fragments.insert(name, size);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_compiler::Schema;

    fn checked(text: &str) -> Result<(), TooLarge> {
        let schema = Schema::parse_and_validate("type Query { a: Query b: Int }", "schema").unwrap();
        check(&ExecutableDocument::parse_and_validate(&schema, text, "document").unwrap())
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
    }
}
