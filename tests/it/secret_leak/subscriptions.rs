//! Messages of all subscriptions while data changes.

use serde_json::json;

use super::{LeakSearch, Situation, Surface, World};
use switchboard::config::Config;
use switchboard::domain::caller::Caller;
use switchboard::operation::TransportRules;
use switchboard::operation::request::OperationRequest;
use switchboard::operation::subscription::OperationOutput;
use switchboard::sandbox::Tenant;

/// Subscribes with every root field, changes data of each kind, and searches the messages.
pub(super) async fn listen(
    config: &Config,
    situation: &Situation,
    subscriptions: &[String],
    caller: &Caller,
    search: &mut LeakSearch,
) {
    let world = World::of(config, situation);
    let mut listeners = Vec::new();
    for text in subscriptions {
        let request = OperationRequest::from_json(json!({ "query": text }).to_string().as_bytes()).unwrap();
        let rules = TransportRules { mutations: true };
        match world.operations.run_or_subscribe(request, rules, caller.clone(), None).await {
            OperationOutput::Subscription(subscription) => listeners.push(subscription),
            OperationOutput::Response(answer) => panic!("{:.500}", String::from_utf8_lossy(&answer.body)),
        }
    }
    // Until the initial state is read; on the paused clock nothing else is due.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.sandbox.change_providers(Tenant::A, |rows| {
        for row in rows.iter_mut().filter(|row| row["status"] == "healthy") {
            row["status"] = json!("degraded");
        }
    });
    world.sandbox.change_accounts(Tenant::A, |rows| {
        for row in rows.iter_mut().take(3) {
            (row.status, row.updated_at) = ("EXPIRED", world.clock.now());
        }
    });
    for listener in &mut listeners {
        let message = listener.next().await.unwrap();
        let text = std::str::from_utf8(&message.response.body).unwrap();
        assert!(text.contains("\"data\":{"), "{text:.500}");
        search.look(Surface::Event, &situation.name, text);
        search.look(Surface::Event, &situation.name, &message.position);
    }
}
