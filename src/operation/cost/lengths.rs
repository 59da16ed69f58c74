//! The maximum lengths of the lists of a response.

use std::collections::HashMap;

use apollo_compiler::Schema;
use apollo_compiler::executable::Field;
use apollo_compiler::schema::ExtendedType;

use super::argument::{Argument, count};
use crate::domain::toolkits::TOOLKITS_OF_PROVIDER_MAX;
use crate::loaders::settings::ConnectionSettings;

/// Assumed length of a list without a known limit, such as a connection's settings. Fields below such lists need no
/// upstream call.
const A_HANDFUL: f64 = 5.0;

/// Number of counts by status: one for each status, and one for all unknown ones.
const STATUSES: f64 = 8.0;

/// Arguments that contain the id of each object of a list.
const NAMES: [&str; 2] = ["ids", "slugs"];

/// The lengths of a schema's lists.
pub(super) struct Lengths {
    connections: ConnectionSettings,
    /// Average length of the schema's own lists. It is assumed for lists of introspection, so that an introspection of
    /// the whole schema has its real cost.
    introspection: HashMap<&'static str, f64>,
}

impl Lengths {
    pub(super) fn new(schema: &Schema, connections: ConnectionSettings) -> Self {
        let (mut fields, mut arguments, mut inputs, mut values) = (0, 0, 0, 0);
        for definition in schema.types.values() {
            let of_type = match definition {
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
            for field in of_type.into_iter().flat_map(|fields| fields.values()) {
                fields += 1;
                arguments += field.arguments.len();
            }
        }
        let types = schema.types.len();
        let introspection = HashMap::from([
            ("types", count(types)),
            ("fields", average(fields, types)),
            ("args", average(arguments, fields)),
            ("inputFields", average(inputs, types)),
            ("enumValues", average(values, types)),
            ("interfaces", 1.0),
            ("possibleTypes", 1.0),
            ("directives", count(schema.directive_definitions.len())),
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
            return self.introspection.get(field.name.as_str()).copied().unwrap_or(A_HANDFUL);
        }
        if field.name == "providersNeedingAttention" {
            return count(self.connections.page_max);
        }
        let named = NAMES.iter().find_map(|name| match argument(name) {
            Argument::Items(items) => Some(count(items)),
            // A single value is coerced to a list of one (specification, 3.11 "Input Coercion" of lists).
            Argument::Number(_) | Argument::Is(_) | Argument::Other => Some(1.0),
            Argument::None => None,
        });
        named.unwrap_or_else(|| match field.definition.ty.inner_named_type().as_str() {
            // Providers of a toolkit, or of an account through its toolkit. Longer lists are rejected.
            "Provider" => count(self.connections.toolkit_providers_max),
            // Toolkits of a provider. A mapping with longer lists is rejected at the start.
            "Toolkit" => count(TOOLKITS_OF_PROVIDER_MAX),
            "ConnectedAccountStatusCount" => STATUSES,
            _ => A_HANDFUL,
        })
    }

    /// Returns the requested page size of a field, if it is a connection. Sizes above the limit are rejected later.
    pub(super) fn page(&self, field: &Field, argument: impl Fn(&str) -> Argument) -> Option<f64> {
        let name = field.definition.ty.inner_named_type();
        if !name.ends_with("Connection") {
            return None;
        }
        let size_max = count(self.connections.page_max);
        let requested = ["first", "last"].into_iter().find_map(|name| match argument(name) {
            Argument::Number(number) => Some(number),
            _ => None,
        });
        let default = if name.as_str() == "ProviderConnection" {
            self.connections.providers_default
        } else {
            self.connections.accounts_default
        };
        Some(requested.unwrap_or(count(default)).min(size_max))
    }
}

fn average(items: usize, lists: usize) -> f64 {
    count(items) / count(lists.max(1))
}
