//! Mutations that change connected accounts: what clients receive, and the exact upstream calls.

mod audit;
mod concurrency;
mod refusals;
mod settings;
mod unconfirmed;
mod writes;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::MemberId;
use switchboard::sandbox::Tenant;

use crate::world::{Setup, World, tenant_a};

/// The product's defaults with actions switched on.
fn setup() -> Setup {
    let mut setup = Setup::as_shipped();
    setup.config.actions.enabled = true;
    setup.config.actions.per_minute = 1_000;
    setup.config.actions.callback_origins =
        "https://app.example.com, http://localhost:3000".to_owned().try_into().unwrap();
    setup.config.actions.member_auth_configs = "ac_gmail".to_owned().try_into().unwrap();
    setup
}

fn world() -> World {
    World::new_with(setup())
}

fn member(id: &str) -> Caller {
    Caller::member("Ann", MemberId::new(id).unwrap(), tenant_a().tenant)
}

/// The name of a mutation's input type.
pub(crate) fn input_type(mutation: &str) -> String {
    let mut letters = mutation.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain("Input".chars()).collect()
}

/// A mutation with one input object and some selected fields of its payload.
fn mutation(name: &str, selected: &str) -> String {
    let type_name = input_type(name);
    format!(
        "mutation ($input: {type_name}!) {{ {name}(input: $input) {{ {selected} userErrors {{ field message code }} }} }}"
    )
}

/// The payload of a mutation, which must have no GraphQL errors.
async fn payload_as(world: &World, caller: Caller, name: &str, selected: &str, input: Value) -> Value {
    let query = mutation(name, selected);
    let mut answer = world.query_as(caller, &query, json!({ "input": input })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"][name].take()
}

async fn payload(world: &World, name: &str, selected: &str, input: Value) -> Value {
    payload_as(world, tenant_a(), name, selected, input).await
}

/// The only user error of a mutation of a caller: code, field and message.
async fn refused_as(world: &World, caller: Caller, name: &str, input: Value) -> (String, Value, String) {
    let payload = payload_as(world, caller, name, "clientMutationId", input).await;
    let errors = payload["userErrors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{payload}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (text("code"), errors[0]["field"].clone(), text("message"))
}

async fn refused(world: &World, name: &str, input: Value) -> (String, Value, String) {
    refused_as(world, tenant_a(), name, input).await
}

/// The first account of tenant A with a status, of a user and a toolkit.
fn account(world: &World, status: &str, user: &str, toolkit: &str) -> String {
    let accounts = world.sandbox.accounts(Tenant::A);
    let found = accounts.into_iter().find(|account| {
        account.status == status
            && (user.is_empty() || account.user_id == user)
            && (toolkit.is_empty() || account.toolkit == toolkit)
            && account.toolkit != "mailchimp"
            && !account.shared
            && !account.is_disabled
    });
    found.expect("the sandbox has such an account").id
}

/// The writes among the calls since the last look.
fn writes(world: &World) -> Vec<String> {
    world.calls().into_iter().filter(|call| !call.starts_with("GET ")).collect()
}
