//! Bounds on a document's depth and width, checked before fragments are expanded.
//!
//! The entry point is [`check`], called by [`super::document`]. A few hundred bytes of fragments that spread each other
//! twice expand to billions of fields, and validation visits all fragments once for each operation. The parsed document
//! is therefore measured before validation. Each fragment is measured once, so the measuring takes time linear in the
//! text.
//!
//! Three costs of validation are more than linear in the text, and are part of [`Size::work`]:
//!
//! - A fragment is checked for cycles together with all fragments that it spreads, again for each operation.
//! - A field is hashed together with all fields below it, once for each level.
//! - Names are searched in the lists of variables and of object members.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{
    Argument, Definition, DirectiveList, Document, FragmentDefinition, Selection, Value,
};

/// Maximum nesting of selection sets, with fragments expanded: the executor's own bound.
pub(crate) const MAX_DEPTH: usize = 32;

/// Maximum number of selections of all operations, with fragments expanded. GraphiQL's introspection has about 150.
pub(crate) const MAX_SELECTIONS: usize = 10_000;

/// Maximum work of validation for all operations of a document, in units of about 100 ns: see [`Size::work`].
pub(crate) const MAX_WORK: usize = 100_000;

/// Number of bytes of a name or value that cost as much as one more selection.
const WEIGHT_BYTES: usize = 64;

/// Maximum length of a literal whose text does not count. async-graphql's parser takes about 80 ns for each byte of a
/// literal, so the bytes of a longer one count like work.
const LITERAL_BYTES: usize = 256;

/// Number of comparisons of names in one unit of work.
const NAMES_IN_UNIT: usize = 32;

/// Maximum number of operations of a document.
pub(crate) const MAX_OPERATIONS: usize = 50;

/// Size of a selection set with its fragments expanded.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    selections: usize,
    /// Number of selections, arguments and values, plus their bytes in units of [`WEIGHT_BYTES`].
    weight: usize,
    /// The weight, where each part counts once for each level above it.
    work: usize,
    /// Number of uses of variables.
    variables: usize,
    /// Bytes of long literals.
    literal_bytes: usize,
}

/// Reason why a document is too large. Its `Display` is for the client.
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
    #[error(
        "The document is too expensive to validate: its selections with their arguments, fragments spread out and counted once \
         for each level of nesting, come to more than {MAX_WORK}. Use fewer operations, fragments or nested selections in one document."
    )]
    Expensive,
}

impl TooLarge {
    /// Returns its `extensions.reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Deep => "DEPTH",
            Self::Many => "OPERATIONS",
            Self::Wide | Self::Expensive => "SELECTIONS",
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
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => {
                // A second fragment with the same name is a validation error. Until then it is measured like the first.
                measure.definitions.entry(&fragment.name).or_default().push(fragment);
            }
            _ => {}
        }
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(TooLarge::Many);
    }
    let (mut selections, mut work) = (0, 0);
    for operation in operations {
        let size = measure.set(&operation.selection_set, MAX_DEPTH)?;
        selections += size.selections;
        let mut defaults = Text::default();
        for variable in &operation.variables {
            variable.default_value.iter().for_each(|value| defaults.value(value));
        }
        work += size.work + operation.variables.len() * size.variables / NAMES_IN_UNIT;
        work += size.literal_bytes + defaults.literal_bytes;
    }
    // Validation visits unused fragments too.
    let fragments: Vec<&str> = measure.definitions.keys().copied().collect();
    for name in fragments {
        measure.fragment(name, MAX_DEPTH)?;
    }
    within_bounds(selections, work)
}

/// Returns the bytes of the long literals among literals of these lengths.
pub(crate) fn long_literal_bytes(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.filter(|length| *length > LITERAL_BYTES).sum()
}

/// Checks the bytes of a document's long literals.
///
/// # Errors
/// If they exceed the bound of a document's work.
pub(crate) fn check_literals(long_literal_bytes: usize) -> Result<(), TooLarge> {
    within_bounds(0, long_literal_bytes)
}

fn within_bounds(selections: usize, work: usize) -> Result<(), TooLarge> {
    if selections > MAX_SELECTIONS {
        Err(TooLarge::Wide)
    } else if work > MAX_WORK {
        Err(TooLarge::Expensive)
    } else {
        Ok(())
    }
}

struct Measure<'a> {
    definitions: HashMap<&'a str, Vec<&'a FragmentDefinition>>,
    /// `None` while a fragment is being measured. A fragment that is reached then spreads itself, which validation
    /// rejects.
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
            size.selections += 1;
            size.add_text(Text::of_selection(selection));
            if let Some(inner) = inner {
                size.add(inner);
                size.depth = size.depth.max(inner.depth + 1);
            }
        }
        within_bounds(size.selections, size.work)?;
        Ok(size)
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
        for fragment in self.definitions.get(name).cloned().unwrap_or_default() {
            let one = self.nested(&fragment.selection_set, levels_left)?;
            size.add(one);
            size.add_text(Text::of_directives(&fragment.directives));
            size.depth = size.depth.max(one.depth);
        }
        self.sizes.insert(name, Some(size));
        Ok(size)
    }
}

impl Size {
    /// Adds the size of a selection set that is nested one level deeper.
    fn add(&mut self, inner: Self) {
        self.selections += inner.selections;
        self.weight += inner.weight;
        self.work += inner.weight + inner.work;
        self.variables += inner.variables;
        self.literal_bytes += inner.literal_bytes;
    }

    fn add_text(&mut self, text: Text) {
        self.weight += text.weight;
        self.work += text.weight;
        self.variables += text.variables;
        self.literal_bytes += text.literal_bytes;
    }
}

/// Size of the text of one selection, without the selections in it.
#[derive(Default)]
struct Text {
    weight: usize,
    variables: usize,
    literal_bytes: usize,
}

impl Text {
    fn of_selection(selection: &Selection) -> Self {
        let mut text = Self { weight: 1, ..Self::default() };
        match selection {
            Selection::Field(field) => {
                text.name(&field.name);
                field.alias.iter().for_each(|alias| text.name(alias));
                text.arguments(&field.arguments);
            }
            Selection::InlineFragment(inline) => inline.type_condition.iter().for_each(|ty| text.name(ty)),
            Selection::FragmentSpread(spread) => text.name(&spread.fragment_name),
        }
        let directives = match selection {
            Selection::Field(field) => &field.directives,
            Selection::InlineFragment(inline) => &inline.directives,
            Selection::FragmentSpread(spread) => &spread.directives,
        };
        text.directives(directives);
        text
    }

    fn of_directives(directives: &DirectiveList) -> Self {
        let mut text = Self::default();
        text.directives(directives);
        text
    }

    fn name(&mut self, name: &str) {
        self.weight += name.len() / WEIGHT_BYTES;
    }

    fn literal(&mut self, text: &str) {
        self.name(text);
        if text.len() > LITERAL_BYTES {
            self.literal_bytes += text.len();
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        for directive in directives.iter() {
            self.weight += 1;
            self.name(&directive.name);
            self.arguments(&directive.arguments);
        }
    }

    fn arguments(&mut self, arguments: &[Node<Argument>]) {
        for argument in arguments {
            self.name(&argument.name);
            self.value(&argument.value);
        }
    }

    fn value(&mut self, value: &Value) {
        self.weight += 1;
        match value {
            Value::Variable(name) => {
                self.variables += 1;
                self.name(name);
            }
            Value::Enum(name) => self.name(name),
            Value::String(string) => self.literal(string),
            Value::Int(number) => self.literal(number.as_str()),
            Value::Float(number) => self.literal(number.as_str()),
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(members) => {
                // Validation compares two objects by searching each member by name.
                self.weight += members.len() * members.len() / NAMES_IN_UNIT;
                for (name, member) in members {
                    self.name(name);
                    self.value(member);
                }
            }
            Value::Null | Value::Boolean(_) => {}
        }
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
    fn exponential_fragments_are_rejected_without_expansion() {
        let doubling: String = (0..13)
            .map(|i| {
                format!("fragment F{i} on Query {{ x: a {{ ...F{n} }} y: a {{ ...F{n} }} }} ", n = i + 1)
            })
            .collect();
        for operation in ["{ ...F0 }", "{ b }"] {
            let refused = checked(&format!("{operation} {doubling} fragment F13 on Query {{ b }}"));
            assert_eq!(refused, Err(TooLarge::Expensive));
        }
    }

    #[test]
    fn selections_of_all_operations_are_summed() {
        let operations = |count: usize| -> String {
            (0..count).map(|number| format!("query q{number} {{ ...F }} ")).collect()
        };
        let fragment = format!("fragment F on Query {{ {} }}", "b ".repeat(999));
        assert_eq!(checked(&(operations(10) + &fragment)), Ok(()));
        assert_eq!(checked(&(operations(11) + &fragment)), Err(TooLarge::Wide));
        assert_eq!(checked(&operations(51)), Err(TooLarge::Many));
    }

    #[test]
    fn repeated_arguments_long_names_and_nesting_are_part_of_the_work() {
        let aliases = |count: usize| -> String {
            (0..count).map(|number| format!("a{number}: a {{ ...F }} ")).collect()
        };
        let with_list = |count: usize| {
            format!("{{ {} }} fragment F on Query {{ f(ids: [{}]) }}", aliases(count), "1 ".repeat(1_000))
        };
        assert_eq!(checked(&with_list(20)), Ok(()));
        assert_eq!(checked(&with_list(1_000)), Err(TooLarge::Expensive));
        let with_name = |bytes: usize| {
            format!("{{ {} }} fragment F on Query {{ {} }}", aliases(1_000), "x".repeat(bytes))
        };
        assert_eq!(checked(&with_name(100)), Ok(()));
        assert_eq!(checked(&with_name(10_000)), Err(TooLarge::Expensive));
        let nested =
            |width: usize| format!("{{ {} {} {} }}", "a { ".repeat(30), "b ".repeat(width), "}".repeat(30));
        assert_eq!(checked(&nested(1_000)), Ok(()));
        assert_eq!(checked(&nested(4_000)), Err(TooLarge::Expensive));
    }

    #[test]
    fn long_literals_are_part_of_the_work() {
        let of = |value: String| format!("{{ node(id: {value}) {{ id }} }}");
        let by_default = |value: String| format!("query ($id: ID = {value}) {{ node(id: $id) {{ id }} }}");
        for document in [of, by_default] {
            assert_eq!(checked(&document(format!("\"{}\"", "x".repeat(90_000)))), Ok(()));
            assert_eq!(checked(&document(format!("\"{}\"", "x".repeat(110_000)))), Err(TooLarge::Expensive));
            assert_eq!(checked(&document("1".repeat(110_000))), Err(TooLarge::Expensive));
            assert_eq!(checked(&document(format!("[{}]", "\"x\" ".repeat(4_000)))), Ok(()));
        }
        let fragment = of(format!("\"{}\"", "x".repeat(110_000)));
        assert_eq!(checked(&format!("{{ ...F }} fragment F on Query {fragment}")), Err(TooLarge::Expensive));
    }

    #[test]
    fn long_lists_of_names_are_part_of_the_work() {
        let members = |count: usize| -> String {
            let members: String = (0..count).map(|number| format!("m{number}: 1 ")).collect();
            format!("{{ f(o: {{ {members} }}) }}")
        };
        assert_eq!(checked(&members(100)), Ok(()));
        assert_eq!(checked(&members(2_000)), Err(TooLarge::Expensive));
        let variables = |count: usize| -> String {
            let defined: String = (0..count).map(|number| format!("$v{number}: ID ")).collect();
            let used: String = (0..count).map(|number| format!("$v{number} ")).collect();
            format!("query ({defined}) {{ f(ids: [{used}]) }}")
        };
        assert_eq!(checked(&variables(500)), Ok(()));
        assert_eq!(checked(&variables(2_000)), Err(TooLarge::Expensive));
    }

    #[test]
    fn recursive_and_unknown_fragments_are_ignored_by_the_bounds() {
        assert_eq!(
            checked("{ ...F ...Gone } fragment F on Query { a { ...G } } fragment G on Query { ...F }"),
            Ok(())
        );
    }
}
