//! Limits of one operation: each has its own error before any upstream call. Also its time limit and the
//! admission of concurrent operations.

mod admission;
mod costs;
mod deadline;
mod documents;
mod rate_limits;

use serde_json::{Value, json};
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::operation::settings::LimitSettings;

use crate::world::{World, only_error};

/// The default limits.
pub(crate) fn shipped() -> LimitSettings {
    Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() }).unwrap().limits
}

fn world() -> World {
    World::new().with_limits(shipped())
}

/// The refusal of a query: reason, message and location. No call was made for it.
#[track_caller]
fn refusal(world: &World, answer: &Value) -> (String, String, Value) {
    let error = only_error(answer);
    assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{answer}");
    assert_eq!(answer.get("data"), None);
    assert_eq!(world.calls(), [] as [&str; 0]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["extensions"]["reason"]), text(&error["message"]), error["locations"].clone())
}

async fn refused(world: &World, query: &str, variables: Value) -> (String, String, Value) {
    let (answer, _) = world.outcome(json!({ "query": query, "variables": variables })).await;
    refusal(world, &answer)
}
