//! Resolver of `_entities`: objects by the keys that a federation router sends.
//!
//! async-graphql's own `_entities` returns null for all representations if one is invalid or has no object. Here each
//! has its own result, as in `nodes`. All are loaded in one batch, so they share their calls.

use async_graphql::{Any, Context, Union, Value};
use futures_util::future::join_all;

use super::accounts::ConnectedAccount;
use super::errors::FieldError;
use super::node;
use super::operation_context::operation;
use super::providers::Provider;
use super::query::user;
use super::toolkits::Toolkit;
use super::users::User;
use crate::domain::global_id::{self, GlobalId, ProviderId};
use crate::domain::input::{BadInput, BadInputReason};
use crate::domain::toolkits::ToolkitSlug;

/// An object to which other subgraphs can add fields.
#[derive(Union)]
#[graphql(name = "_Entity")]
pub(super) enum Entity {
    Provider(Provider),
    ConnectedAccount(ConnectedAccount),
    Toolkit(Toolkit),
    User(User),
}

/// The key of the requested object.
enum EntityKey {
    Provider(ProviderId),
    Account(Box<str>),
    Toolkit(ToolkitSlug),
    User(String),
}

/// Returns the object of each representation; `None` if it does not exist for this caller.
pub(super) async fn entities(
    ctx: &Context<'_>,
    representations: &[Any],
) -> Result<Vec<Option<Result<Entity, FieldError>>>, FieldError> {
    operation(ctx).check_ids("representations", representations.len())?;
    let results = representations.iter().enumerate().map(async |(index, Any(representation))| {
        let found = match parse(representation) {
            Ok(key) => entity(ctx, key).await?,
            Err(bad_representation) => Err(bad_representation.into()),
        };
        // The router replaces the error's path by its own, which has no index, so the error itself contains the index.
        Some(found.map_err(|error| match error {
            FieldError::BadInput(input) => FieldError::BadRepresentation { index, input },
            error => error,
        }))
    });
    Ok(join_all(results).await)
}

async fn entity(ctx: &Context<'_>, key: EntityKey) -> Option<Result<Entity, FieldError>> {
    Some(match key {
        EntityKey::Provider(id) => node::provider(ctx, id).await?.map(Entity::Provider),
        EntityKey::Account(id) => node::account(ctx, id).await?.map(Entity::ConnectedAccount),
        EntityKey::Toolkit(slug) => Ok(Entity::Toolkit(Toolkit(slug))),
        EntityKey::User(id) => user(ctx, &id)?.map(Entity::User),
    })
}

/// Parses a representation. If it has several keys, the first in the order of the schema is used.
fn parse(representation: &Value) -> Result<EntityKey, BadInput> {
    let key = |names| key(representation, names);
    match member(representation, "__typename") {
        Some(Value::String(name)) => match name.as_str() {
            "Provider" => global_id::provider_id(&key(&["id"])?.1).map(EntityKey::Provider),
            "ConnectedAccount" => {
                let (name, value) = key(&["id", "connectedAccountId"])?;
                account(&value, name == "id").map(EntityKey::Account)
            }
            "Toolkit" => match key(&["id", "slug"])? {
                ("id", id) => toolkit_id(&id).map(EntityKey::Toolkit),
                (_, slug) => ToolkitSlug::check(&slug).map(EntityKey::Toolkit),
            },
            "User" => key(&["id"]).map(|(_, id)| EntityKey::User(id)),
            _ => Err(bad_representation(
                "`__typename` of a representation is Provider, ConnectedAccount, Toolkit or User here.",
            )),
        },
        _ => Err(bad_representation("A representation is an object with its `__typename` and a key.")),
    }
}

/// Returns the first of several keys that a representation has.
fn key<'n>(representation: &Value, names: &[&'n str]) -> Result<(&'n str, String), BadInput> {
    let found = names.iter().find_map(|name| Some((*name, text(member(representation, name)?)?)));
    found.ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        bad_representation(format!("A representation of this type needs {}, as a text.", names.join(" or ")))
    })
}

/// Parses an account id: the global one or Composio's.
fn account(value: &str, is_global: bool) -> Result<Box<str>, BadInput> {
    let is_own = value.starts_with("ca_");
    if is_own == is_global {
        let kind =
            if is_global { "`id` is the global one" } else { "`connectedAccountId` begins with `ca_`" };
        return Err(BadInput::new(
            BadInputReason::BadId,
            format!("This is not the key of a connected account: {kind}."),
        ));
    }
    global_id::account_id(value)
}

fn toolkit_id(value: &str) -> Result<ToolkitSlug, BadInput> {
    match GlobalId::parse(value)? {
        GlobalId::Toolkit(slug) => Ok(slug),
        _ => Err(BadInput::new(
            BadInputReason::BadId,
            "This is not the id of a toolkit: pass its `id` or its `slug`.",
        )),
    }
}

fn member<'v>(representation: &'v Value, name: &str) -> Option<&'v Value> {
    match representation {
        Value::Object(members) => members.get(name),
        _ => None,
    }
}

/// Coerces an id by the specification: a string, or a whole number (3.5.5).
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn bad_representation(sentence: impl Into<String>) -> BadInput {
    BadInput::new(BadInputReason::BadRepresentation, sentence)
}
