//! [`object_type!`]: declares an object type of the schema, each field once.
//!
//! async-graphql resolves every field through a boxed future. Fields that need neither an upstream nor arguments have
//! nothing to wait for, so [`super::preserialized`] writes them directly. The macro generates both from one
//! declaration: the `#[Object]` resolvers, which define the schema, and the table [`SyncFields::FIELDS`], from which a
//! plan writes JSON.

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, ID, OutputType, Positioned, ServerResult, Value};
use std::borrow::Cow;

use super::date_time::DateTime;
use super::json_writer::JsonWriter;
use super::sync_fields::{ObjectWriter, SyncFields};

/// Declares an object type:
///
/// ```text
/// object_type! {
///     /// The description in the schema.
///     impl Account |Self(account)| {
///         /// A scalar, an enum, or a list of them.
///         name: &str = &account.name;
///         /// An object, an optional object, or a list of objects, whose own fields are written as well.
///         object state: State = State::of(account);
///         /// A field with arguments, or one that waits: an ordinary resolver.
///         async fn providers(&self, ctx: &Context<'_>) -> Vec<Provider> { … }
///     }
/// }
/// ```
///
/// The pattern between the bars binds `&self` in every expression. A second form declares a struct all of whose fields
/// are scalars.
macro_rules! object_type {
    ($(#[$($meta:tt)*])* impl $object:ident |$this:pat_param| { $($items:tt)* }) => {
        object_type!(@items [$(#[$($meta)*])*] $object ($this) {} {} $($items)*);
    };
    ($(#[$($meta:tt)*])* $visibility:vis struct $object:ident {
        $($(#[$($field_meta:tt)*])* $field_visibility:vis $name:ident: $type:ty,)*
    }) => {
        $(#[$($meta)*])*
        #[derive(async_graphql::SimpleObject)]
        $visibility struct $object {
            $($(#[$($field_meta)*])* $field_visibility $name: $type,)*
        }
        object_type!(@table $object {
            $((stringify!($name), $crate::graphql::sync_fields::SyncField::Scalar(
                |object, json| $crate::graphql::object_type::WriteJson::write_json(&object.$name, json),
            )),)*
        });
    };
    (@items $meta:tt $object:ident ($this:pat_param) {$($resolvers:tt)*} {$($table:tt)*}
        $(#[$($field_meta:tt)*])* object $name:ident: $type:ty = $value:expr; $($rest:tt)*
    ) => {
        object_type!(@items $meta $object ($this) {
            $($resolvers)*
            $(#[$($field_meta)*])*
            #[allow(unused_variables, reason = "one pattern for all fields")]
            async fn $name(&self) -> $type {
                let $this = self;
                $value
            }
        } {
            $($table)*
            (stringify!($name), $crate::graphql::sync_fields::SyncField::Objects(|selection| {
                let write = selection.writer::<<$type as $crate::graphql::object_type::ObjectValue>::Object>()?;
                Some(Box::new(move |$this, json| {
                    let value: $type = $value;
                    $crate::graphql::object_type::ObjectValue::write_objects(&value, &write, json);
                }))
            })),
        } $($rest)*);
    };
    (@items $meta:tt $object:ident ($this:pat_param) {$($resolvers:tt)*} $table:tt
        $(#[$($field_meta:tt)*])* $visibility:vis async fn $name:ident($($arguments:tt)*) -> $type:ty $body:block
        $($rest:tt)*
    ) => {
        object_type!(@items $meta $object ($this) {
            $($resolvers)*
            $(#[$($field_meta)*])*
            $visibility async fn $name($($arguments)*) -> $type $body
        } $table $($rest)*);
    };
    (@items $meta:tt $object:ident ($this:pat_param) {$($resolvers:tt)*} {$($table:tt)*}
        $(#[$($field_meta:tt)*])* $visibility:vis $name:ident: $type:ty = $value:expr; $($rest:tt)*
    ) => {
        object_type!(@items $meta $object ($this) {
            $($resolvers)*
            $(#[$($field_meta)*])*
            #[allow(unused_variables, reason = "one pattern for all fields")]
            $visibility async fn $name(&self) -> $type {
                let $this = self;
                $value
            }
        } {
            $($table)*
            (stringify!($name), $crate::graphql::sync_fields::SyncField::Scalar(|$this, json| {
                let value: $type = $value;
                $crate::graphql::object_type::WriteJson::write_json(&value, json);
            })),
        } $($rest)*);
    };
    (@items [$(#[$($meta:tt)*])*] $object:ident ($this:pat_param) {$($resolvers:tt)*} $table:tt) => {
        $(#[$($meta)*])*
        #[async_graphql::Object]
        impl $object { $($resolvers)* }
        object_type!(@table $object $table);
    };
    (@table $object:ident {$($table:tt)*}) => {
        impl $crate::graphql::sync_fields::SyncFields for $object {
            #[allow(unused_variables, reason = "one pattern for all fields")]
            const FIELDS: &'static [(&'static str, $crate::graphql::sync_fields::SyncField<Self>)] = &[$($table)*];
        }

        impl $crate::graphql::object_type::ObjectValue for $object {
            type Object = Self;

            fn write_objects(
                &self,
                write: &$crate::graphql::sync_fields::ObjectWriter<Self>,
                json: &mut $crate::graphql::json_writer::JsonWriter,
            ) {
                write(self, json);
            }
        }
    };
}

pub(super) use object_type;

/// The value of a field that is an object or has objects in it.
pub(super) trait ObjectValue {
    type Object: SyncFields;

    /// Writes the value; `write` writes one object.
    fn write_objects(&self, write: &ObjectWriter<Self::Object>, json: &mut JsonWriter);
}

impl<T: ObjectValue> ObjectValue for &T {
    type Object = T::Object;

    fn write_objects(&self, write: &ObjectWriter<T::Object>, json: &mut JsonWriter) {
        (**self).write_objects(write, json);
    }
}

impl<T: ObjectValue> ObjectValue for Option<T> {
    type Object = T::Object;

    fn write_objects(&self, write: &ObjectWriter<T::Object>, json: &mut JsonWriter) {
        match self {
            Some(object) => object.write_objects(write, json),
            None => json.raw(b"null"),
        }
    }
}

impl<T: ObjectValue> ObjectValue for Vec<T> {
    type Object = T::Object;

    fn write_objects(&self, write: &ObjectWriter<T::Object>, json: &mut JsonWriter) {
        json.list(self, |json, object| object.write_objects(write, json));
    }
}

/// The value of a field without objects.
pub(super) trait WriteJson {
    fn write_json(&self, json: &mut JsonWriter);
}

/// Implements [`WriteJson`] for types that serde writes in the form of the schema.
macro_rules! write_with_serde {
    ($($type:ty),*) => { $(impl WriteJson for $type {
        fn write_json(&self, json: &mut JsonWriter) {
            json.serialize(self);
        }
    })* };
}
write_with_serde!(bool, i32);

/// Types that are written as a string.
macro_rules! write_text {
    ($($type:ty),*) => { $(impl WriteJson for $type {
        fn write_json(&self, json: &mut JsonWriter) {
            json.text(self);
        }
    })* };
}
write_text!(str, String, ID);

/// Implements [`WriteJson`] for enums of the schema.
macro_rules! write_enum {
    ($($type:ty),* $(,)?) => { $(impl $crate::graphql::object_type::WriteJson for $type {
        fn write_json(&self, json: &mut $crate::graphql::json_writer::JsonWriter) {
            json.enum_value(*self);
        }
    })* };
}
pub(super) use write_enum;

impl WriteJson for DateTime {
    fn write_json(&self, json: &mut JsonWriter) {
        json.date_time(self.0);
    }
}

impl<T: WriteJson + ?Sized> WriteJson for &T {
    fn write_json(&self, json: &mut JsonWriter) {
        (**self).write_json(json);
    }
}

impl<T: WriteJson + ?Sized> WriteJson for Box<T> {
    fn write_json(&self, json: &mut JsonWriter) {
        (**self).write_json(json);
    }
}

impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, json: &mut JsonWriter) {
        match self {
            Some(value) => value.write_json(json),
            None => json.raw(b"null"),
        }
    }
}

impl<T: WriteJson> WriteJson for [T] {
    fn write_json(&self, json: &mut JsonWriter) {
        json.list(self, |json, value| value.write_json(json));
    }
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn write_json(&self, json: &mut JsonWriter) {
        self.as_slice().write_json(json);
    }
}

/// An `ID` that is borrowed from an object, so that writing it as JSON copies nothing.
pub(super) struct IdRef<'a>(pub(super) &'a str);

impl WriteJson for IdRef<'_> {
    fn write_json(&self, json: &mut JsonWriter) {
        json.text(self.0);
    }
}

impl OutputType for IdRef<'_> {
    fn type_name() -> Cow<'static, str> {
        <ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::String(self.0.to_owned()))
    }
}
