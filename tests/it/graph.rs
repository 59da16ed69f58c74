//! The graph as a client sees it, and the exact upstream calls behind each answer.

mod accounts_paging;
mod answers;
mod bad_input;
mod canaries;
mod changing_lists;
mod failures;
mod freshness;
mod hostile;
mod joined;
mod members;
mod problems;
mod providers_paging;
mod roots;
mod sdl;
mod seeds;
mod selections;
mod tenants;
mod upstreams;
