//! Limits that depend on the document only: depth, aliases, directives, and introspection.
//!
//! [`check`] is the entry point; its errors are cached with the validation result. Fragments are expanded, so a field
//! counts once for each time that it is executed. [`super::bounds`] runs before and guarantees that the expansion is
//! small. [`super::cost`] covers limits that also depend on variables.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::Node;
use apollo_compiler::ast::DirectiveList;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use async_graphql::Pos;

use super::codes::Code;
use super::errors::{GraphqlError, start_of};
use super::settings::LimitSettings;

/// Maximum nesting of introspection lists, as in graphql-js (`MaxIntrospectionDepthRule`). The queries of common tools
/// nest two, and each further list multiplies the response by its length.
const INTROSPECTION_LISTS: usize = 2;

/// Introspection fields that are lists and can be nested. `types`, the root of them all, does not count, and neither do
/// lists whose items have no types.
const NESTING_LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];

/// Returns the first exceeded limit of each kind, over all operations of a document that passed `bounds`.
pub(crate) fn check(document: &ExecutableDocument, limits: &LimitSettings) -> Vec<GraphqlError> {
    document
        .operations
        .iter()
        .flat_map(|operation| LimitVisitor::check(document, operation, limits))
        .collect()
}

struct LimitVisitor<'a> {
    document: &'a ExecutableDocument,
    limits: &'a LimitSettings,
    aliases: usize,
    directives: usize,
    first_alias_beyond: Option<Pos>,
    first_directive_beyond: Option<Pos>,
    too_deep: Option<(&'a Node<Field>, usize)>,
    deepest: usize,
    introspection_too_deep: Option<&'a Node<Field>>,
    introspection: Option<&'a Node<Field>>,
}

/// Nesting of a selection set.
#[derive(Clone, Copy)]
struct Place {
    /// The number of enclosing fields.
    depth: usize,
    /// The number of enclosing introspection lists; `None` outside introspection.
    lists: Option<usize>,
}

impl<'a> LimitVisitor<'a> {
    fn check(
        document: &'a ExecutableDocument,
        operation: &'a Operation,
        limits: &'a LimitSettings,
    ) -> Vec<GraphqlError> {
        let mut visitor = Self {
            document,
            limits,
            aliases: 0,
            directives: 0,
            first_alias_beyond: None,
            first_directive_beyond: None,
            too_deep: None,
            deepest: 0,
            introspection_too_deep: None,
            introspection: None,
        };
        visitor.directives(&operation.directives);
        for variable in &operation.variables {
            visitor.directives(&variable.directives);
        }
        visitor.selections(&operation.selection_set, Place { depth: 0, lists: None });
        visitor.into_errors()
    }

    fn selections(&mut self, set: &'a SelectionSet, place: Place) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => self.field(field, place),
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selections(&inline.selection_set, place);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    let document = self.document;
                    if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                        self.directives(&fragment.directives);
                        self.selections(&fragment.selection_set, place);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'a Node<Field>, place: Place) {
        self.directives(&field.directives);
        if let Some(alias) = &field.alias {
            self.aliases += 1;
            if self.aliases == self.limits.aliases + 1 {
                self.first_alias_beyond = self.position(alias.location());
            }
        }
        let is_meta = matches!(field.name.as_str(), "__schema" | "__type");
        // The field `_sdl` returns the schema too.
        let tells_schema = is_meta || matches!(field.name.as_str(), "_service" | "_sdl");
        if tells_schema && self.introspection.is_none() {
            self.introspection = Some(field);
        }
        let lists = match place.lists {
            None => is_meta.then_some(0),
            Some(lists) => Some(lists + usize::from(NESTING_LISTS.contains(&field.name.as_str()))),
        };
        if lists.is_some_and(|lists| lists > INTROSPECTION_LISTS) && self.introspection_too_deep.is_none() {
            self.introspection_too_deep = Some(field);
        }
        let depth = place.depth + 1;
        if lists.is_none() {
            self.deepest = self.deepest.max(depth);
            if depth > self.limits.depth && self.too_deep.is_none() {
                self.too_deep = Some((field, depth));
            }
        }
        self.selections(&field.selection_set, Place { depth, lists });
    }

    fn directives(&mut self, directives: &'a DirectiveList) {
        for directive in directives.iter() {
            self.directives += 1;
            if self.directives == self.limits.directives + 1 {
                self.first_directive_beyond = self.position(directive.location());
            }
        }
    }

    fn position(&self, at: Option<apollo_compiler::parser::SourceSpan>) -> Option<Pos> {
        start_of(at, &self.document.sources)
    }

    fn into_errors(self) -> Vec<GraphqlError> {
        let limits = self.limits;
        let mut errors = Vec::new();
        let mut tell = |reason, sentence: String, at: Option<Pos>| {
            let error = GraphqlError::new(Code::LimitExceeded, sentence).with_reason(reason);
            errors.push(error.at(at));
        };
        if let Some((field, _)) = self.too_deep {
            let sentence = format!(
                "The operation nests fields {} levels deep; {} are allowed, and `{}` lies beyond them. Split it into several.",
                self.deepest, limits.depth, field.name
            );
            tell("DEPTH", sentence, self.position(field.name.location()));
        }
        if self.aliases > limits.aliases {
            let sentence = format!(
                "The operation has {} aliases, fragments spread out; {} are allowed. Use a field for many ids, or several operations.",
                self.aliases, limits.aliases
            );
            tell("ALIASES", sentence, self.first_alias_beyond);
        }
        if self.directives > limits.directives {
            let sentence = format!(
                "The operation has {} directives, fragments spread out; {} are allowed. Remove some, or use several operations.",
                self.directives, limits.directives
            );
            tell("DIRECTIVES", sentence, self.first_directive_beyond);
        }
        if let Some(field) = self.introspection_too_deep {
            let sentence = format!(
                "The operation nests lists of introspection more than {INTROSPECTION_LISTS} deep, at `{}`.",
                field.name
            );
            tell("INTROSPECTION_DEPTH", sentence, self.position(field.name.location()));
        }
        if let Some(field) = self.introspection.filter(|_| !limits.introspection) {
            let sentence =
                format!("Introspection is disabled on this server: `{}` is not available.", field.name);
            let error = GraphqlError::new(Code::GraphqlValidationFailed, sentence);
            let at = self.position(field.name.location());
            errors.push(error.with_reason("INTROSPECTION_OFF").at(at));
        }
        errors
    }
}
