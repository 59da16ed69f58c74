//! Entries in the store are encrypted: only the key with which the data was read can open them.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Fleet, PAGE};
use crate::world::{PROVIDERS, Setup, World, at, list, tenant_a, tenant_b};

/// The keys that tenant A's replicas stored, by kind of entry.
fn of_kind(entries: &BTreeMap<String, Vec<u8>>, kind: &str) -> Vec<String> {
    let kind = format!(":{kind}:");
    entries.keys().filter(|key| key.contains(&kind)).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn data_of_one_tenant_is_unreadable_with_another_key() {
    let fleet = Fleet::new().await;
    let [first, second, third] = &*fleet.replicas else { panic!() };
    first.data(PAGE).await;
    let of_a = fleet.stores[0].entries();
    let theirs = first.query_as(tenant_b(), PAGE, json!({})).await;
    let of_both = fleet.stores[0].entries();
    fleet.calls();
    for kind in ["page", "providers", "generation"] {
        let both: Vec<_> = of_both.keys().filter(|key| key.contains(&format!(":{kind}"))).collect();
        for own in both.iter().filter(|key| of_a.contains_key(**key)) {
            for other in both.iter().filter(|key| !of_a.contains_key(**key)) {
                if own.contains("leadlex") == other.contains("leadlex") {
                    fleet.stores[0].put(other, &of_both[*own]);
                }
            }
        }
    }
    let seen = second.query_as(tenant_b(), PAGE, json!({})).await;
    assert_eq!(at(&seen, "data.providers.nodes"), at(&theirs, "data.providers.nodes"));
    assert_eq!(at(&seen, "data.connectedAccounts.nodes"), at(&theirs, "data.connectedAccounts.nodes"));
    assert_eq!(fleet.calls(), [list(&[]), PROVIDERS.to_owned()]);
    // A's own entries still work.
    third.query_as(tenant_a(), PAGE, json!({})).await;
    assert_eq!(fleet.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn foreign_data_under_our_keys_is_a_miss() {
    let fleet = Fleet::new().await;
    let data = fleet.replicas[0].data(PAGE).await;
    let entries = fleet.stores[0].entries();
    fleet.calls();
    let pages = of_kind(&entries, "page");
    let (page, sealed) = (&pages[0], entries[&pages[0]].clone());
    let mut flipped = sealed.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut older = sealed.clone();
    older[0] += 1;
    let garbage: [Vec<u8>; 6] = [vec![], b"{}".to_vec(), vec![1], sealed[..20].to_vec(), flipped, older];
    for (round, bytes) in garbage.into_iter().enumerate() {
        fleet.stores[0].put(page, &bytes);
        // A new replica, which has nothing in its own cache.
        let line = std::sync::Arc::new(fleet.stores[0].another_connection());
        let other = World::replicas(Setup::default(), [Some(line as _)]).pop().unwrap();
        assert_eq!(other.data(PAGE).await["connectedAccounts"]["nodes"], data["connectedAccounts"]["nodes"]);
        assert_eq!(other.calls(), [list(&[])], "{round}");
    }
}

#[tokio::test(start_paused = true)]
async fn stored_entries_have_no_readable_data() {
    let fleet = Fleet::new().await;
    for replica in &fleet.replicas {
        replica.data(PAGE).await;
        replica
            .data("{ connectedAccounts { nodes { userId wordId state { settings { name value } } } } }")
            .await;
    }
    let accounts = fleet.replicas[0].sandbox.accounts(switchboard::sandbox::Tenant::A);
    let all: String = fleet.stores[0]
        .entries()
        .iter()
        .map(|(key, value)| format!("{key} {}\n", String::from_utf8_lossy(value)))
        .collect();
    assert!(all.lines().count() > 3);
    for account in accounts {
        assert!(!all.contains(&account.id) && !all.contains(&account.user_id));
    }
    for word in ["sandbox_a", "gmail", "slack", "user_", "@example", "token"] {
        assert!(!all.contains(word), "{word}");
    }
}
