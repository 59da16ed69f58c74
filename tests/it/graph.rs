//! The graph as a client sees it, with the exact upstream calls behind each response.

mod accounts_paging;
mod answers;
mod bad_input;
mod changing_lists;
mod entities;
mod failures;
mod freshness;
mod health;
mod hostile;
mod joined;
mod members;
mod problems;
mod providers_paging;
mod roots;
mod sdl;
mod seeds;
mod specification;
mod subscriptions;
mod tenants;
mod upstreams;
mod webhooks;
