//! The graph inside your own program, without a server: `cargo run --example embedded`.
//!
//! The upstreams are an emulation in this process. Replace `sandbox()` by `leadlex_api_key("wbk_…")` and
//! `composio_api_key("ak_…")` to read the real ones.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use switchboard::{Caller, Request, Switchboard};

const EXPIRED: &str = "query Expired($first: Int!) {
    connectedAccounts(first: $first, filter: { statuses: [EXPIRED] }) {
        totalCount
        nodes { userId toolkit { slug } statusReason }
    }
}";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let switchboard = Switchboard::builder()
        .sandbox()
        .set("limits.operation_timeout_ms", 5_000)
        .set("cache.limit_bytes", 16 * 1024 * 1024)
        .build()?;

    let caller = Caller::admin("embedded", switchboard.tenant());
    let request = Request::new(EXPIRED).variable("first", 3);
    let response = switchboard.execute(request, &caller).await;
    println!("{}", String::from_utf8_lossy(response.body()));
    Ok(())
}
