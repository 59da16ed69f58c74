//! Plans for writing objects: a selection, prepared once for all objects of a type.
//!
//! The library resolves every field of every object through a boxed future and collects the values in a map. That takes
//! about 1 µs per field, ten thousand times for two hundred accounts, although most fields only return data that the
//! object already has. A type lists those in [`SyncFields::FIELDS`], which `object_type!` generates. A [`Plan`] finds
//! the function of each selected field once, and writing an object calls them one after the other. Fields that are not
//! listed are resolved by the library, and so are all fields if no plan is possible; their values are inserted into the
//! written object.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::resolver_utils::ContainerType;
use async_graphql::{ContextSelectionSet, Positioned};

use super::json_writer::JsonWriter;

/// An object type of the schema with fields that need no upstream.
pub(super) trait SyncFields: ContainerType + Sized + 'static {
    /// The fields by the names of their resolvers. None has arguments, and each writes what its resolver returns. A
    /// field that is missing here is resolved by the library, which is slower.
    const FIELDS: &'static [(&'static str, SyncField<Self>)];
}

/// A field that needs no upstream.
pub(super) enum SyncField<T> {
    /// A field without objects, and the function that writes it.
    Scalar(fn(&T, &mut JsonWriter)),
    /// A field with objects, and the function that plans their selection by [`Subselection::writer`].
    Objects(fn(&Subselection<'_>) -> Option<ObjectWriter<T>>),
}

/// Function that writes a field's value.
pub(super) type ObjectWriter<T> = Box<dyn Fn(&T, &mut JsonWriter) + Send + Sync>;

/// Plan of a selection on a type.
pub(super) struct Plan<'a, T> {
    steps: Vec<(Box<[u8]>, Step<'a, T>)>,
}

/// The source of the value of one response name.
enum Step<'a, T> {
    TypeName(Box<str>),
    Scalar(fn(&T, &mut JsonWriter)),
    Objects(ObjectWriter<T>),
    /// Resolved by the library.
    ByLibrary(&'a Positioned<Field>),
}

/// The selections of one response name, which may be selected several times.
pub(super) struct Subselection<'a> {
    ctx: &'a ContextSelectionSet<'a>,
    sets: Vec<&'a SelectionSet>,
}

/// The selected fields of one response name. Validation ensures that they are the same field of the type.
struct Selected<'a> {
    first: &'a Positioned<Field>,
    repeated: Vec<&'a Positioned<Field>>,
}

impl<'a, T: SyncFields> Plan<'a, T> {
    /// Plans the selection of a context; `None` if the library has to resolve all of it.
    pub(super) fn new(ctx: &'a ContextSelectionSet<'a>) -> Option<Self> {
        if !is_selected_once(ctx) {
            return None;
        }
        Subselection { ctx, sets: vec![&ctx.item.node] }.plan()
    }

    /// Returns the fields that the library resolves, in their order.
    pub(super) fn library_fields(&self) -> impl Iterator<Item = &'a Positioned<Field>> {
        self.steps.iter().filter_map(|(_, step)| match step {
            Step::ByLibrary(field) => Some(*field),
            _ => None,
        })
    }

    /// Writes an object. `write_resolved` writes the value of the next field that the library resolved.
    pub(super) fn write(
        &self,
        object: &T,
        json: &mut JsonWriter,
        mut write_resolved: impl FnMut(&mut JsonWriter),
    ) {
        json.raw(b"{");
        for (name, step) in &self.steps {
            json.raw(name);
            match step {
                Step::TypeName(name) => json.quoted(name.as_bytes()),
                Step::Scalar(write) => write(object, json),
                Step::Objects(write) => write(object, json),
                Step::ByLibrary(_) => write_resolved(json),
            }
        }
        json.raw(b"}");
    }
}

impl<'a> Subselection<'a> {
    /// Returns a writer for objects with these selections; `None` if the library has to resolve one of their fields.
    pub(super) fn writer<U: SyncFields>(&self) -> Option<ObjectWriter<U>> {
        let plan = self.plan::<U>()?;
        let steps = plan.steps.into_iter().map(|(name, step)| {
            let step = match step {
                Step::TypeName(name) => Step::TypeName(name),
                Step::Scalar(write) => Step::Scalar(write),
                Step::Objects(write) => Step::Objects(write),
                Step::ByLibrary(_) => return None,
            };
            Some((name, step))
        });
        let plan = Plan::<'static, U> { steps: steps.collect::<Option<_>>()? };
        Some(Box::new(move |object, json| plan.write(object, json, |_| ())))
    }

    fn plan<T: SyncFields>(&self) -> Option<Plan<'a, T>> {
        let type_name = T::type_name();
        let mut selected = Vec::new();
        for set in &self.sets {
            self.collect(&type_name, set, &mut selected);
        }
        let steps = selected.into_iter().enumerate().map(|(index, selected)| {
            let name = selected.first.node.response_key().node.as_str();
            let before = if index == 0 { "\"" } else { ",\"" };
            let name = [before, name, "\":"].concat().into_bytes().into_boxed_slice();
            Some((name, self.step(&type_name, &selected)?))
        });
        Some(Plan { steps: steps.collect::<Option<_>>()? })
    }

    /// Collects the fields of each response name, in the order of their first occurrence (`CollectFields`,
    /// specification 6.3.2). Fields that `@skip` or `@include` exclude were removed before execution.
    fn collect(&self, type_name: &str, set: &'a SelectionSet, selected: &mut Vec<Selected<'a>>) {
        for selection in &set.items {
            let (condition, set) = match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.response_key();
                    match selected.iter_mut().find(|known| known.first.node.response_key().node == name.node)
                    {
                        Some(known) => known.repeated.push(field),
                        None => selected.push(Selected { first: field, repeated: Vec::new() }),
                    }
                    continue;
                }
                Selection::InlineFragment(inline) => {
                    (inline.node.type_condition.as_ref(), &inline.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let fragments = &self.ctx.query_env.fragments;
                    let Some(fragment) = fragments.get(&spread.node.fragment_name.node) else { continue };
                    (Some(&fragment.node.type_condition), &fragment.node.selection_set)
                }
            };
            if condition.is_none_or(|condition| self.applies(type_name, &condition.node.on.node)) {
                self.collect(type_name, &set.node, selected);
            }
        }
    }

    /// Whether a fragment with a type condition applies to a type.
    fn applies(&self, type_name: &str, condition: &str) -> bool {
        let interfaces = self.ctx.schema_env.registry.implements.get(type_name);
        type_name == condition || interfaces.is_some_and(|names| names.contains(condition))
    }

    /// Returns the step of one response name; `None` if the library would have to resolve several fields and merge
    /// their values.
    fn step<T: SyncFields>(&self, type_name: &str, selected: &Selected<'a>) -> Option<Step<'a, T>> {
        let Selected { first, repeated } = selected;
        let name = first.node.name.node.as_str();
        if name == "__typename" {
            return Some(Step::TypeName(type_name.into()));
        }
        let plain =
            T::FIELDS.iter().find(|(field, _)| is_named(field, name)).and_then(|(_, field)| match field {
                SyncField::Scalar(write) => Some(Step::Scalar(*write)),
                SyncField::Objects(objects) => {
                    let fields = std::iter::once(first).chain(repeated);
                    let sets = fields.map(|field| &field.node.selection_set.node).collect();
                    objects(&Subselection { ctx: self.ctx, sets }).map(Step::Objects)
                }
            });
        plain.or_else(|| repeated.is_empty().then_some(Step::ByLibrary(first)))
    }
}

/// Whether a name in the schema (`totalCount`) is that of a Rust function (`total_count`).
fn is_named(function: &str, field: &str) -> bool {
    let mut field = field.bytes();
    let mut begins_word = false;
    for byte in function.bytes() {
        if byte == b'_' {
            begins_word = true;
            continue;
        }
        let expected = if begins_word { byte.to_ascii_uppercase() } else { byte };
        begins_word = false;
        if field.next() != Some(expected) {
            return false;
        }
    }
    field.next().is_none()
}

/// Whether each name on the path to a context was selected only once. The library resolves all selections of a name and
/// merges their values, which it cannot do with preserialized ones.
fn is_selected_once(ctx: &ContextSelectionSet<'_>) -> bool {
    use async_graphql::QueryPathSegment::Name;
    let Some(path) = &ctx.path_node else { return true };
    let segments = std::iter::once(path).chain(path.parents()).map(|node| node.segment);
    let names: Vec<_> =
        segments.filter_map(|at| if let Name(name) = at { Some(name) } else { None }).collect();
    let mut set = Some(&ctx.query_env.operation.node.selection_set.node);
    names.into_iter().rev().all(|name| {
        let mut subselection = None;
        let is_single = set.is_some_and(|set| is_selected_at_most_once(ctx, set, name, &mut subselection));
        set = subselection;
        is_single
    })
}

/// Whether a name is selected at most once, including in fragments of any type. Sets `subselection` to what is
/// selected below it.
fn is_selected_at_most_once<'a>(
    ctx: &ContextSelectionSet<'a>,
    set: &'a SelectionSet,
    name: &str,
    subselection: &mut Option<&'a SelectionSet>,
) -> bool {
    set.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) if field.node.response_key().node == name => {
            subselection.replace(&field.node.selection_set.node).is_none()
        }
        Selection::Field(_) => true,
        Selection::InlineFragment(inline) => {
            is_selected_at_most_once(ctx, &inline.node.selection_set.node, name, subselection)
        }
        Selection::FragmentSpread(spread) => {
            let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
            fragment.is_none_or(|fragment| {
                is_selected_at_most_once(ctx, &fragment.node.selection_set.node, name, subselection)
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn fields_are_named_in_camel_case() {
        for (function, field) in
            [("id", "id"), ("total_count", "totalCount"), ("has_next_page", "hasNextPage")]
        {
            assert!(is_named(function, field), "{field}");
        }
        for (function, field) in
            [("id", "ids"), ("total_count", "total"), ("total", "totalCount"), ("total_count", "totalcount")]
        {
            assert!(!is_named(function, field), "{field}");
        }
    }
}
