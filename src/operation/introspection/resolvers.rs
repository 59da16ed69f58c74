//! The objects of introspection, and their fields (specification, 4.2).

use apollo_compiler::ast::{
    DirectiveDefinition, DirectiveList, EnumValueDefinition, FieldDefinition, InputValueDefinition, Type,
};
use apollo_compiler::schema::{ComponentName, ExtendedType};
use apollo_compiler::{Node, Schema};
use async_graphql::Value;

/// The reason of a `@deprecated` without a reason, as the directive defines it.
const NO_REASON: &str = "No longer supported";

/// An object of introspection.
pub(super) enum Object<'a> {
    Schema,
    Type(&'a ExtendedType),
    /// A list of this type.
    List(&'a Type),
    /// This type as a non-null type.
    NonNull(&'a Type),
    Field(&'a FieldDefinition),
    InputValue(&'a InputValueDefinition),
    EnumValue(&'a EnumValueDefinition),
    Directive(&'a DirectiveDefinition),
}

/// The value of a field, before its selection is applied.
pub(super) enum Resolved<'a> {
    Leaf(Value),
    Object(Object<'a>),
    List(Vec<Object<'a>>),
}

impl<'a> Resolved<'a> {
    fn null() -> Self {
        Self::Leaf(Value::Null)
    }

    fn text(text: impl AsRef<str>) -> Self {
        Self::Leaf(Value::from(text.as_ref()))
    }

    fn boolean(boolean: bool) -> Self {
        Self::Leaf(Value::from(boolean))
    }

    fn description(description: Option<&Node<str>>) -> Self {
        description.map_or_else(Self::null, Self::text)
    }

    fn nullable(object: Option<Object<'a>>) -> Self {
        object.map_or_else(Self::null, Self::Object)
    }
}

impl<'a> Object<'a> {
    /// Returns the value of `__type`.
    pub(super) fn type_named(schema: &'a Schema, name: &str) -> Resolved<'a> {
        Resolved::nullable(named(schema, name))
    }

    /// Returns the value of a field of this object.
    pub(super) fn resolve(&self, schema: &'a Schema, name: &str, includes_deprecated: bool) -> Resolved<'a> {
        match self {
            _ if name == "__typename" => Resolved::text(self.type_name()),
            Self::Schema => schema_field(schema, name),
            Self::Type(definition) => type_field(schema, definition, name, includes_deprecated),
            Self::List(item) => match name {
                "kind" => Resolved::text("LIST"),
                "ofType" => Resolved::nullable(Self::of(schema, item)),
                _ => Resolved::null(),
            },
            Self::NonNull(ty) => match (name, ty) {
                ("kind", _) => Resolved::text("NON_NULL"),
                ("ofType", Type::NonNullNamed(inner)) => Resolved::nullable(named(schema, inner)),
                ("ofType", Type::NonNullList(item)) => Resolved::Object(Self::List(item)),
                _ => Resolved::null(),
            },
            Self::Field(definition) => match name {
                "name" => Resolved::text(&definition.name),
                "description" => Resolved::description(definition.description.as_ref()),
                "args" => arguments(&definition.arguments, includes_deprecated),
                "type" => Resolved::nullable(Self::of(schema, &definition.ty)),
                _ => deprecation(&definition.directives, name),
            },
            Self::InputValue(definition) => match name {
                "name" => Resolved::text(&definition.name),
                "description" => Resolved::description(definition.description.as_ref()),
                "type" => Resolved::nullable(Self::of(schema, &definition.ty)),
                "defaultValue" => definition.default_value.as_ref().map_or_else(Resolved::null, |value| {
                    Resolved::text(value.serialize().no_indent().to_string())
                }),
                _ => deprecation(&definition.directives, name),
            },
            Self::EnumValue(definition) => match name {
                "name" => Resolved::text(&definition.value),
                "description" => Resolved::description(definition.description.as_ref()),
                _ => deprecation(&definition.directives, name),
            },
            Self::Directive(definition) => match name {
                "name" => Resolved::text(&definition.name),
                "description" => Resolved::description(definition.description.as_ref()),
                "isRepeatable" => Resolved::boolean(definition.repeatable),
                "locations" => {
                    let locations = definition.locations.iter().map(|location| Value::from(location.name()));
                    Resolved::Leaf(Value::List(locations.collect()))
                }
                "args" => arguments(&definition.arguments, includes_deprecated),
                _ => Resolved::null(),
            },
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Schema => "__Schema",
            Self::Type(_) | Self::List(_) | Self::NonNull(_) => "__Type",
            Self::Field(_) => "__Field",
            Self::InputValue(_) => "__InputValue",
            Self::EnumValue(_) => "__EnumValue",
            Self::Directive(_) => "__Directive",
        }
    }

    fn of(schema: &'a Schema, ty: &'a Type) -> Option<Self> {
        match ty {
            Type::Named(name) => named(schema, name),
            Type::List(item) => Some(Self::List(item)),
            Type::NonNullNamed(_) | Type::NonNullList(_) => Some(Self::NonNull(ty)),
        }
    }
}

fn named<'a>(schema: &'a Schema, name: &str) -> Option<Object<'a>> {
    schema.types.get(name).map(Object::Type)
}

fn schema_field<'a>(schema: &'a Schema, name: &str) -> Resolved<'a> {
    let definition = &schema.schema_definition;
    let root =
        |name: &Option<ComponentName>| Resolved::nullable(name.as_ref().and_then(|name| named(schema, name)));
    match name {
        "description" => Resolved::description(definition.description.as_ref()),
        "types" => {
            let mut types: Vec<_> = schema.types.values().collect();
            types.sort_unstable_by_key(|definition| definition.name());
            Resolved::List(types.into_iter().map(Object::Type).collect())
        }
        "directives" => {
            let mut directives: Vec<_> = schema.directive_definitions.values().collect();
            directives.sort_unstable_by_key(|definition| &definition.name);
            Resolved::List(directives.into_iter().map(|definition| Object::Directive(definition)).collect())
        }
        "queryType" => root(&definition.query),
        "mutationType" => root(&definition.mutation),
        "subscriptionType" => root(&definition.subscription),
        _ => Resolved::null(),
    }
}

fn type_field<'a>(
    schema: &'a Schema,
    definition: &'a ExtendedType,
    name: &str,
    includes_deprecated: bool,
) -> Resolved<'a> {
    use ExtendedType as T;
    let is_shown = |directives: &DirectiveList| includes_deprecated || !directives.has("deprecated");
    match (name, definition) {
        ("kind", _) => Resolved::text(match definition {
            T::Scalar(_) => "SCALAR",
            T::Object(_) => "OBJECT",
            T::Interface(_) => "INTERFACE",
            T::Union(_) => "UNION",
            T::Enum(_) => "ENUM",
            T::InputObject(_) => "INPUT_OBJECT",
        }),
        ("name", _) => Resolved::text(definition.name()),
        ("description", _) => Resolved::description(definition.description()),
        ("fields", T::Object(_) | T::Interface(_)) => {
            let fields = match definition {
                T::Object(object) => &object.fields,
                T::Interface(interface) => &interface.fields,
                _ => return Resolved::null(),
            };
            let shown = fields.values().filter(|field| is_shown(&field.directives));
            Resolved::List(shown.map(|field| Object::Field(field)).collect())
        }
        ("interfaces", T::Object(_) | T::Interface(_)) => {
            let interfaces = match definition {
                T::Object(object) => &object.implements_interfaces,
                T::Interface(interface) => &interface.implements_interfaces,
                _ => return Resolved::null(),
            };
            Resolved::List(interfaces.iter().filter_map(|name| named(schema, name)).collect())
        }
        ("possibleTypes", T::Union(union)) => {
            Resolved::List(union.members.iter().filter_map(|name| named(schema, name)).collect())
        }
        ("possibleTypes", T::Interface(interface)) => {
            let implements = |definition: &&ExtendedType| match definition {
                T::Object(object) => object.implements_interfaces.contains(&interface.name),
                _ => false,
            };
            Resolved::List(schema.types.values().filter(implements).map(Object::Type).collect())
        }
        ("enumValues", T::Enum(definition)) => {
            let shown = definition.values.values().filter(|value| is_shown(&value.directives));
            Resolved::List(shown.map(|value| Object::EnumValue(value)).collect())
        }
        ("inputFields", T::InputObject(input)) => {
            let shown = input.fields.values().filter(|field| is_shown(&field.directives));
            Resolved::List(shown.map(|field| Object::InputValue(field)).collect())
        }
        ("isOneOf", T::InputObject(input)) => Resolved::boolean(input.directives.has("oneOf")),
        ("specifiedByURL", T::Scalar(scalar)) => {
            let directive = scalar.directives.get("specifiedBy");
            let url = directive.and_then(|directive| directive.specified_argument_by_name("url"));
            url.and_then(|url| url.as_str()).map_or_else(Resolved::null, Resolved::text)
        }
        _ => Resolved::null(),
    }
}

fn arguments(definitions: &[Node<InputValueDefinition>], includes_deprecated: bool) -> Resolved<'_> {
    let is_shown = |definition: &&Node<InputValueDefinition>| {
        includes_deprecated || !definition.directives.has("deprecated")
    };
    Resolved::List(
        definitions.iter().filter(is_shown).map(|definition| Object::InputValue(definition)).collect(),
    )
}

fn deprecation<'a>(directives: &DirectiveList, name: &str) -> Resolved<'a> {
    let directive = directives.get("deprecated");
    match (name, directive) {
        ("isDeprecated", _) => Resolved::boolean(directive.is_some()),
        ("deprecationReason", Some(directive)) => {
            let reason = directive.specified_argument_by_name("reason").and_then(|reason| reason.as_str());
            Resolved::text(reason.unwrap_or(NO_REASON))
        }
        _ => Resolved::null(),
    }
}
