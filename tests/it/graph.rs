//! The graph as a client sees it, with the exact upstream calls behind each response.

mod accounts_paging;
mod batching;
mod changing_lists;
mod entities;
mod error_behavior;
mod example_documents;
mod failures;
mod freshness;
mod health;
mod hidden_users;
mod invalid_input;
mod malicious_upstream;
mod members;
mod problems;
mod providers_paging;
mod removed_accounts;
mod response_cache;
mod roots;
mod sdl;
mod specification;
mod subscriptions;
mod tenants;
mod toolkits;
mod upstreams;
mod webhooks;
