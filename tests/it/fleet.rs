//! Several replicas that share what they read: as their clients see it, and the exact upstream calls of the whole fleet.

mod away;
mod day;
mod drops;
mod processes;
mod sealed;
mod sharing;

use std::sync::Arc;

use serde_json::{Value, json};
use switchboard::domain::caller::Caller;
use switchboard::domain::role::{MemberId, Role};
use switchboard::replicas::store::Store;

use crate::replicas::memory::MemoryStore;
use crate::world::{Setup, World, tenant_a};

/// A settings page: both upstreams, in one call each.
const PAGE: &str = "{
    providers(first: 5) { freshness { fetchedAt state } nodes { name accountId status } }
    connectedAccounts(first: 5) { freshness { fetchedAt state } nodes { connectedAccountId status alias } }
}";

/// Three replicas over one sandbox, each with its own line to one store.
struct Fleet {
    replicas: Vec<World>,
    lines: Vec<MemoryStore>,
}

impl Fleet {
    async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    async fn of(setup: Setup) -> Self {
        let store = MemoryStore::new();
        let lines = vec![store.clone(), store.another_line(), store.another_line()];
        let over = lines.iter().map(|line| Some(Arc::new(line.clone()) as Arc<dyn Store>));
        let fleet = Self { replicas: World::replicas(setup, over), lines };
        fleet.settle().await;
        fleet
    }

    /// The calls of the whole fleet since the last look, in an order of their own.
    fn calls(&self) -> Vec<String> {
        self.replicas[0].calls_sorted()
    }

    /// Lets run what runs behind answers, and news arrive.
    async fn settle(&self) {
        for _ in 0..5 {
            self.replicas[0].settle().await;
        }
    }

    /// The same question to all at the same moment.
    async fn ask_all(&self, caller: &Caller, query: &str) -> Vec<Value> {
        let ask = |replica: &'_ World| {
            let (operations, caller, query) = (replica.operations(), caller.clone(), query.to_owned());
            async move {
                let answer = crate::world::run(&operations, caller, &json!({ "query": query })).await;
                serde_json::from_slice(&answer.body).unwrap()
            }
        };
        futures_util::future::join_all(self.replicas.iter().map(ask)).await
    }
}

fn member(id: &str) -> Caller {
    Caller { name: "Ann".into(), role: Role::Member(MemberId::new(id).unwrap()), ..tenant_a() }
}
