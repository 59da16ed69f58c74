//! Several replicas that share reads: as clients see them, with the exact upstream calls of all replicas.

mod encrypted_entries;
mod invalidation;
mod processes;
mod shared_quota_day;
mod sharing;
mod store_outage;

use std::sync::Arc;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::replicas::store::Store;

use crate::replicas::memory::MemoryStore;
use crate::world::{Setup, World, tenant_a};

/// The query of a settings page: one call to each upstream.
const PAGE: &str = "{
    providers(first: 5) { freshness { fetchedAt state } nodes { name accountId status } }
    connectedAccounts(first: 5) { freshness { fetchedAt state } nodes { connectedAccountId status alias } }
}";

/// Three replicas over one sandbox, each with its own connection to one store.
struct Fleet {
    replicas: Vec<World>,
    stores: Vec<MemoryStore>,
}

impl Fleet {
    async fn new() -> Self {
        Self::with_setup(Setup::default()).await
    }

    async fn with_setup(setup: Setup) -> Self {
        let store = MemoryStore::new();
        let stores = vec![store.clone(), store.another_connection(), store.another_connection()];
        let connections =
            stores.iter().map(|store_connection| Some(Arc::new(store_connection.clone()) as Arc<dyn Store>));
        let fleet = Self { replicas: World::replicas(setup, connections), stores };
        fleet.settle().await;
        fleet
    }

    /// The sorted calls of all replicas since the last look.
    fn calls(&self) -> Vec<String> {
        self.replicas[0].calls_sorted()
    }

    /// Runs background tasks and delivers messages.
    async fn settle(&self) {
        for _ in 0..5 {
            self.replicas[0].settle().await;
        }
    }

    /// Sends the same query to all replicas concurrently.
    async fn query_all(&self, caller: &Caller, query: &str) -> Vec<Value> {
        let send = |replica: &'_ World| {
            let (operations, caller, query) = (replica.operations(), caller.clone(), query.to_owned());
            async move {
                let answer = crate::world::run(&operations, caller, &json!({ "query": query })).await;
                serde_json::from_slice(&answer.body).unwrap()
            }
        };
        futures_util::future::join_all(self.replicas.iter().map(send)).await
    }
}

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}
