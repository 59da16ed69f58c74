//! The maximum lengths of the lists of a response.

use std::collections::HashMap;

use apollo_compiler::Schema;
use apollo_compiler::executable::Field;
use apollo_compiler::schema::ExtendedType;

use super::argument::{Argument, to_f64};
use crate::domain::toolkits::TOOLKITS_OF_PROVIDER_MAX;
use crate::loaders::settings::ConnectionSettings;

/// Assumed length of a list for which no limit is known, such as `ConnectionState.settings`. Fields below such lists
/// need no upstream call.
const DEFAULT_LENGTH: f64 = 5.0;

/// Number of counts by status: one for each status, and one for all unknown ones.
const STATUSES: f64 = 8.0;

/// Names of arguments that contain the id of each object of a list.
const ID_ARGUMENTS: [&str; 2] = ["ids", "slugs"];

/// The lengths of a schema's lists.
pub(super) struct Lengths {
    connections: ConnectionSettings,
    /// Length of each introspection list (`types`, `fields`, `args`, …) by field name: the number or the average in
    /// this schema, so that introspection of the whole schema has its real cost.
    introspection: HashMap<&'static str, f64>,
}

impl Lengths {
    pub(super) fn new(schema: &Schema, connections: ConnectionSettings) -> Self {
        let (mut fields, mut arguments, mut inputs, mut values) = (0, 0, 0, 0);
        for definition in schema.types.values() {
            let type_fields = match definition {
                ExtendedType::Object(object) => Some(&object.fields),
                ExtendedType::Interface(interface) => Some(&interface.fields),
                ExtendedType::InputObject(input) => {
                    inputs += input.fields.len();
                    None
                }
                ExtendedType::Enum(listed) => {
                    values += listed.values.len();
                    None
                }
                _ => None,
            };
            for field in type_fields.into_iter().flat_map(|fields| fields.values()) {
                fields += 1;
                arguments += field.arguments.len();
            }
        }
        let types = schema.types.len();
        let introspection = HashMap::from([
            ("types", to_f64(types)),
            ("fields", average(fields, types)),
            ("args", average(arguments, fields)),
            ("inputFields", average(inputs, types)),
            ("enumValues", average(values, types)),
            ("interfaces", 1.0),
            ("possibleTypes", 1.0),
            ("directives", to_f64(schema.directive_definitions.len())),
        ]);
        Self { connections, introspection }
    }

    /// Returns the number of objects of a field per parent. `page` is the page length of the parent, if it is a
    /// connection.
    pub(super) fn of(&self, field: &Field, page: Option<f64>, argument: impl Fn(&str) -> Argument) -> f64 {
        if !field.definition.ty.is_list() {
            return 1.0;
        }
        if let (Some(page), "edges" | "nodes") = (page, field.name.as_str()) {
            return page;
        }
        if field.definition.ty.inner_named_type().starts_with("__") {
            return self.introspection.get(field.name.as_str()).copied().unwrap_or(DEFAULT_LENGTH);
        }
        if field.name == "providersNeedingAttention" {
            return to_f64(self.connections.page_max);
        }
        let requested_length = ID_ARGUMENTS.iter().find_map(|name| match argument(name) {
            Argument::Items(items) => Some(to_f64(items)),
            // A single value is coerced to a list of one (specification, 3.11 "Input Coercion" of lists).
            Argument::Number(_) | Argument::Boolean(_) | Argument::Other => Some(1.0),
            Argument::None => None,
        });
        requested_length.unwrap_or_else(|| match field.definition.ty.inner_named_type().as_str() {
            // Providers of a toolkit, or of an account through its toolkit. Longer lists are rejected.
            "Provider" => to_f64(self.connections.toolkit_providers_max),
            // Toolkits of a provider. A mapping with longer lists is rejected at the start.
            "Toolkit" => to_f64(TOOLKITS_OF_PROVIDER_MAX),
            "ConnectedAccountStatusCount" => STATUSES,
            _ => DEFAULT_LENGTH,
        })
    }

    /// Returns the requested page size of a field, if it is a connection. Sizes above the limit are rejected later.
    pub(super) fn page(&self, field: &Field, argument: impl Fn(&str) -> Argument) -> Option<f64> {
        let name = field.definition.ty.inner_named_type();
        if !name.ends_with("Connection") {
            return None;
        }
        let size_max = to_f64(self.connections.page_max);
        let requested = ["first", "last"].into_iter().find_map(|name| match argument(name) {
            Argument::Number(number) => Some(number),
            _ => None,
        });
        let default = if name.as_str() == "ProviderConnection" {
            self.connections.providers_default
        } else {
            self.connections.accounts_default
        };
        Some(requested.unwrap_or(to_f64(default)).min(size_max))
    }
}

fn average(items: usize, lists: usize) -> f64 {
    to_f64(items) / to_f64(lists.max(1))
}
